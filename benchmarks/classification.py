"""`slabkit classify` against RELION's 2D classification and a plain prototype; and how it grows.

The stack: 1,000 minislabs (box 400 Å, 300 Å deep) about picks of `slabkit pick blob` in the
tomograms of the folder SLABKIT_DATA and in two of `slabkit simulate --preset czii` with its real
density maps: 400 that are particles of the five scored species, and the 600 best-scored false ones
(membranes, other complexes, background). All programs run as whole processes:

- RELION 3.1 (`relion_refine`): steps of 12° sampled twice, thus 6°, as it is, and with white noise
  of three background deviations added by hand, without which it collapses on denoised tomograms;
- a plain prototype: expectation maximisation of rotated and shifted references in pixels, two
  matrix products an iteration (benchmarks/plain_classification.py);
- `slabkit classify`, at the same number of classes, iterations and angular step for the speed, and
  with its defaults, three seeds.

What is reported, classes being kept in which most members are true, as an expert would by eye:

- precision of the images kept and recall of the true ones;
- adjusted Rand index, purity and completeness (1 - H(class | species) / H(class), Rosenberg and
  Hirschberg 2007) of classes against species, all false picks being one;
- the same precision and recall for the classes that `label --auto` accepts, by quality;
- seconds, and peak memory; then how both grow with images and classes, on images of the same stack,
  turned, with fresh noise.

`--small` takes 200 minislabs and the small simulation; `--large` grows to 100,000 images (hours on
two cores); `--keep` leaves the stack in benchmarks/.data/classification and takes it from there if
it is; `--without relion,plain,growth` leaves parts out.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import numpy.typing as npt
import pandas as pd
from common import (
    DATA,
    SLABKIT,
    Measurement,
    data_folder,
    option_parser,
    report,
    run_once,
    scratch_folder,
)
from loop import simulate
from scipy.ndimage import rotate

from slabkit.formats.picks.reading import read_picks
from slabkit.formats.tables.native import PickList, write_picks
from slabkit.formats.tables.star import read_star
from slabkit.formats.volumes.mrc import write_mrc
from slabkit.scoring import match_picks
from slabkit.steps.classify import GOOD_QUALITY

Array = npt.NDArray[Any]

FOLDER = DATA / "classification"
SPECIES = ("ribosome", "virus-like-particle", "thyroglobulin", "beta-galactosidase", "apo-ferritin")
BOX, DEPTH, VOXEL_SIZE = 400, 300, 10.0
IMAGES, TRUE_SHARE, SEEDS = 1000, 0.4, (0, 1, 2)
CLASSES, MORE_CLASSES, ITERATIONS, STEP = 10, 30, 15, 6
SPEED_GOAL, MEMORY_GOAL_MB = 20, 2048
GROWTH_ITERATIONS = 4
RELION = ["--psi_step", 2 * STEP, "--offset_range", 5, "--offset_step", 2, "--oversampling", 1]
RELION += ["--pad", 2, "--tau2_fudge", 2, "--particle_diameter", round(0.68 * BOX)]
# Without --norm --scale: minislabs are normalised already.
RELION += ["--zero_mask", "--flatten_solvent", "--pool", 30, "--j", 2]


# --- the stack


def picked(volumes: list[Path], truth_file: Path, out: Path) -> tuple[PickList, list[str]]:
    """Pick; give the picks and the species of each, "" for none."""
    slabs, hits, picks = out / "slabs" / "slabs.star", out / "hits.star", out / "picks.star"
    run_once([SLABKIT, "slab", *volumes, "-o", slabs.parent, "--step", 150])
    run_once([SLABKIT, "pick", "blob", slabs, "-o", hits, "--diameter", "100:350"])
    run_once([SLABKIT, "map", hits, "--slabs", slabs, "-o", picks])
    found, truth = read_picks(picks), read_picks(truth_file).picks
    matches = match_picks(found.picks, truth)
    species = np.full(len(found.picks), "", dtype=object)
    species[matches["pick"]] = matches["species"]
    return found, list(species)


def make_stack(data: Path, small: bool) -> None:
    """Write minislabs.star, stacks and truth.csv (species of each minislab, "" for none)."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    simulated = FOLDER / "tomograms"
    simulate(data / "maps", simulated, "small" if small else "czii")
    sets = {"data": (sorted((data / "tomograms").glob("*.mrc")), data / "tomograms" / "truth.csv")}
    sets["simulated"] = (sorted(simulated.glob("*.mrc")), simulated / "truth.csv")
    if small:
        sets["data"] = (sets["data"][0][:1], sets["data"][1])
    tables, tomograms = [], []
    for name, (volumes, truth_file) in sets.items():
        found, species = picked(volumes, truth_file, FOLDER / name)
        tables.append(found.picks.assign(species=species))
        tomograms.append(found.tomograms)
    picks = pd.concat(tables, ignore_index=True)
    count = IMAGES // 5 if small else IMAGES
    true = picks[picks["species"].isin(SPECIES)]
    wanted = min(len(true), round(TRUE_SHARE * count))
    true = true.sample(wanted, random_state=0).sort_index()
    false = picks[picks["species"] == ""].sort_values("slabkitScore", ascending=False).iloc
    chosen = pd.concat([true, false[: count - wanted]]).sample(frac=1, random_state=1)
    truth = chosen[["slabkitPickId", "species"]]
    chosen = chosen.drop(columns="species").reset_index(drop=True)
    write_picks(FOLDER / "chosen.star", PickList(chosen, pd.concat(tomograms, ignore_index=True)))
    command = [SLABKIT, "minislab", FOLDER / "chosen.star", "-o", FOLDER / "minislabs", "--stack"]
    run_once([*command, "--box", BOX, "--depth", DEPTH])
    for part in ("tomograms", *sets):
        shutil.rmtree(FOLDER / part)
    truth.to_csv(FOLDER / "truth.csv", index=False)


def read_stack() -> tuple[Array, Array]:
    """Give the images in the order of minislabs.star, and their species."""
    particles = read_star(FOLDER / "minislabs" / "minislabs.star")["particles"]
    truth = pd.read_csv(FOLDER / "truth.csv", keep_default_na=False).set_index("slabkitPickId")
    stacks: dict[str, Array] = {}
    images = []
    for image in particles["rlnImageName"]:
        number, _, path = image.partition("@")
        name = Path(path).name
        if name not in stacks:
            stacks[name] = mrcfile.read(FOLDER / "minislabs" / name)
        images.append(stacks[name][int(number) - 1])
    return np.stack(images), truth.loc[particles["slabkitPickId"], "species"].to_numpy()


def write_images(images: Array, stack: Path, table: Path) -> None:
    """Write a stack and a RELION table."""
    write_mrc(stack, images, VOXEL_SIZE, label="benchmark", stack=True)
    write_table(stack, table, len(images), images.shape[1])


def write_table(stack: Path, table: Path, count: int, side: int) -> None:
    """Write a RELION table of all images of a stack."""
    names = [
        "OpticsGroup",
        "OpticsGroupName",
        "Voltage",
        "SphericalAberration",
        "AmplitudeContrast",
    ]
    names += ["ImagePixelSize", "ImageSize", "ImageDimensionality"]
    lines = ["data_optics", "", "loop_", *(f"_rln{name}" for name in names)]
    lines += [f"1 optics1 300 2.7 0.1 {VOXEL_SIZE:g} {side} 2", "", "data_particles", "", "loop_"]
    lines += ["_rlnImageName", "_rlnOpticsGroup"]
    lines += [f"{i:06d}@{stack} 1" for i in range(1, count + 1)]
    table.write_text("\n".join(lines) + "\n")


# --- judging


def entropy(counts: Array) -> float:
    """Give the entropy of counts, in natural units."""
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def judge(found: Array, species: Array, kept: Array | None = None) -> dict[str, float]:
    """Compare classes with the truth; ``kept`` are images kept, else those of good classes."""
    true = species != ""
    table = pd.crosstab(found, species).to_numpy().astype(float)
    if kept is None:
        good = pd.Series(true).groupby(found).transform("mean").to_numpy()
        kept = good > 0.5
    pairs = [float((n * (n - 1) / 2).sum()) for n in (table, table.sum(0), table.sum(1))]
    both, columns, rows = pairs
    expected = rows * columns / (table.sum() * (table.sum() - 1) / 2)
    inside = sum(entropy(column) * column.sum() for column in table.T) / table.sum()
    spread = entropy(table.sum(1))
    return {
        "precision": float(true[kept].mean()) if kept.any() else 0.0,
        "recall": float(kept[true].mean()),
        "rand_index": (both - expected) / ((rows + columns) / 2 - expected),
        "purity": float(table.max(1).sum() / table.sum()),
        "completeness": 1 - inside / spread if spread else 1.0,
        "largest_class": float(table.sum(1).max() / table.sum()),
    }


# --- the programs


def run_slabkit(out: Path, table: Path, *arguments: object) -> tuple[Measurement, Array, Array]:
    """Classify; give the cost, the class of each image and the quality of its class."""
    cost = run_once([SLABKIT, "classify", table, "-o", out, "--jobs", 2, *arguments])
    numbers = read_star(out / "classified.star")["particles"]["rlnClassNumber"].astype(int)
    classes = next(t for t in read_star(out / "classes.star").values() if "slabkitQuality" in t)
    quality = np.r_[0, classes["slabkitQuality"].astype(float)]
    return cost, numbers.to_numpy(), quality[numbers]


def run_relion(out: Path, table: Path, classes: int) -> tuple[Measurement, Array]:
    """Classify; give the cost and the class of each image."""
    out.mkdir()
    command = ["relion_refine", "--i", table, "--o", out / "run", "--iter", ITERATIONS]
    cost = run_once([*command, "--K", classes, *RELION, "--random_seed", 0], cwd=out)
    result = read_star(out / f"run_it{ITERATIONS:03d}_data.star")["particles"]
    # RELION groups rows as it likes.
    number = result["rlnImageName"].str.partition("@")[0].astype(int).to_numpy()
    found = np.zeros(len(result), dtype=int)
    found[number - 1] = result["rlnClassNumber"].astype(int)
    return cost, found


def run_plain(out: Path, stack: Path, classes: int, seed: int) -> tuple[Measurement, Array]:
    """Classify; give the cost and the class of each image."""
    script = Path(__file__).with_name("plain_classification.py")
    cost = run_once([sys.executable, script, stack, out, classes, ITERATIONS, 2 * STEP, seed])
    return cost, np.load(out)


# --- the parts


def mean_of(results: list[dict[str, float]]) -> dict[str, float]:
    """Average over seeds."""
    return {name: float(np.mean([r[name] for r in results])) for name in results[0]}


def row(label: str, cost: Measurement, result: dict[str, float]) -> str:
    """Write one line of the table."""
    names = ("precision", "recall", "rand_index", "purity", "completeness", "largest_class")
    numbers = "".join(f"{result[name]:9.2f}" for name in names)
    return f"{label:40s}{numbers}{cost.seconds:9.1f} s{cost.anonymous_mb:7.0f} MB"


def compare_programs(
    images: Array, species: Array, without: set[str], scratch: Path
) -> tuple[list[str], dict[str, Any]]:
    """Run all programs on the stack; give lines and numbers."""
    minislabs = FOLDER / "minislabs" / "minislabs.star"
    plain = scratch / "plain.mrcs"
    write_images(images, plain, scratch / "plain.star")
    # Minislabs have deviation 1 in the background.
    noisy = images + np.random.default_rng(2).normal(0, 3, images.shape)
    write_images(noisy / np.sqrt(10), scratch / "noisy.mrcs", scratch / "noisy.star")
    lines = [
        f"{len(images)} minislabs, {int((species != '').sum())} of them true; "
        "classes with more true members than others kept",
        f"{'':40s}precision   recall     Rand   purity complete  largest     time  memory",
    ]
    values: dict[str, Any] = {}

    def add(label: str, run: Callable[[int], tuple[Any, ...]], seeds: tuple[int, ...]) -> None:
        costs, results, autos = [], [], []
        for seed in seeds:
            cost, found, *quality = run(seed)
            costs.append(cost)
            results.append(judge(found, species))
            if quality:
                autos.append(judge(found, species, quality[0] >= GOOD_QUALITY))
        middle = sorted(costs, key=lambda cost: cost.seconds)[len(costs) // 2]
        lines.append(row(label, middle, mean_of(results)))
        values[label] = {**vars(middle), **mean_of(results), "seeds": results}
        if autos:
            auto = mean_of(autos)
            lines.append(
                f"{'    as label --auto':40s}{auto['precision']:9.2f}{auto['recall']:9.2f}"
            )
            values[label]["auto"] = {name: auto[name] for name in ("precision", "recall")}
        print(lines[-1], file=sys.stderr, flush=True)

    same = f"{CLASSES} classes, {ITERATIONS} iterations, {STEP}°"
    step = ("--iterations", ITERATIONS, "--angular-step", STEP)

    def slabkit(classes: int, *arguments: object) -> Callable[[int], tuple[Any, ...]]:
        def run(seed: int) -> tuple[Any, ...]:
            out = scratch / f"slabkit_{classes}_{len(arguments)}_{seed}"
            return run_slabkit(out, minislabs, "--classes", classes, "--seed", seed, *arguments)

        return run

    add(f"slabkit, {same}", slabkit(CLASSES, *step), SEEDS)
    add(f"slabkit, {CLASSES} classes", slabkit(CLASSES), SEEDS)
    add(f"slabkit, {MORE_CLASSES} classes", slabkit(MORE_CLASSES), SEEDS)
    if "plain" not in without:
        for classes in (CLASSES, MORE_CLASSES):
            add(
                f"plain prototype, {classes} classes",
                lambda seed, k=classes: run_plain(scratch / f"p{k}_{seed}.npy", plain, k, seed),
                SEEDS,
            )
    if "relion" not in without and shutil.which("relion_refine"):
        for kind in ("plain", "noisy"):
            label = f"RELION, {same}" + (", noise added" if kind == "noisy" else "")
            out, table = scratch / f"relion_{kind}", scratch / f"{kind}.star"
            try:
                add(label, lambda _, o=out, t=table: run_relion(o, t, CLASSES), (0,))
            except RuntimeError as error:
                lines.append(f"{label}: stops, {str(error).strip().splitlines()[-1]}")
    times = [value["seconds"] for label, value in values.items() if label.startswith("RELION")]
    if times:
        # The quicker of the two runs, where both ended.
        quicker = min(times) / values[f"slabkit, {same}"]["seconds"]
        verdict = "reached" if quicker >= SPEED_GOAL else "MISSED"
        lines.append(
            f"slabkit is {quicker:.1f} x faster than RELION (goal {SPEED_GOAL}): {verdict}"
        )
        values["times_faster_than_relion"] = quicker
    else:
        lines.append("no time of RELION: no relion_refine on PATH, or not wanted, or it stopped")
    return lines, values


def write_many(images: Array, count: int, stack: Path, table: Path) -> None:
    """Write images of the stack, drawn, turned, with fresh noise; a few at a time."""
    random = np.random.default_rng(3)
    side = images.shape[1]
    shape = (count, side, side)
    with mrcfile.new_mmap(stack, shape, mrc_mode=2, overwrite=True) as file:
        file.set_image_stack()
        file.voxel_size = VOXEL_SIZE
        for start in range(0, count, 500):
            own = images[random.integers(len(images), size=min(500, count - start))]
            turned = [
                rotate(image, angle, reshape=False, order=1, mode="reflect")
                for image, angle in zip(own, random.uniform(0, 360, len(own)), strict=True)
            ]
            noise = random.normal(0, 0.5, own.shape)
            file.data[start : start + len(own)] = np.stack(turned) + noise
    write_table(stack, table, count, side)


def growth(images: Array, scratch: Path, small: bool, large: bool) -> tuple[list[str], list[Any]]:
    """Measure time and memory against the number of images, and of classes."""
    base = 500 if small else 10_000
    steps = [base, 3 * base] + ([10 * base] if large else [])
    plan = [(n, 50, GROWTH_ITERATIONS) for n in steps]
    plan += [(base, k, GROWTH_ITERATIONS) for k in (25, 100)]
    plan += [] if small else [(base, 50, None)]
    lines = [
        "growth:   images  classes  iterations         time     memory  µs / image, class, iter."
    ]
    values = []
    for number, (count, classes, iterations) in enumerate(plan):
        stack, table = scratch / f"many_{count}.mrcs", scratch / f"many_{count}.star"
        if not table.exists():
            write_many(images, count, stack, table)
        arguments = ["--classes", classes] + (["--iterations", iterations] if iterations else [])
        cost, _, _ = run_slabkit(scratch / f"growth_{number}", table, *arguments)
        done = iterations or 25
        each = cost.seconds / (count * classes * done) * 1e6
        verdict = "" if cost.anonymous_mb < MEMORY_GOAL_MB else f"  MISSED: {MEMORY_GOAL_MB} MB"
        lines.append(
            f"{count:16,d}{classes:9d}{done:12d}{cost.seconds:11.1f} s{cost.anonymous_mb:8.0f} MB"
            f"{each:12.2f}{verdict}"
        )
        print(lines[-1], file=sys.stderr, flush=True)
        entry = {"images": count, "classes": classes, "iterations": done}
        values.append({**entry, **vars(cost), "microseconds_each": each})
        shutil.rmtree(scratch / f"growth_{number}")
    return lines, values


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--large", action="store_true", help="grow to 100,000 images: hours")
    parser.add_argument("--keep", action="store_true", help="leave the stack, and use it again")
    parser.add_argument("--without", default="", help="relion, plain, growth: what to leave out")
    options = parser.parse_args()
    data = data_folder()
    if data is None or not (data / "maps").is_dir():
        print("classification: left out, there are no real maps and tomograms; set SLABKIT_DATA")
        return
    if not (options.keep and (FOLDER / "truth.csv").exists()):
        make_stack(data, options.small)
    without = set(options.without.split(","))
    images, species = read_stack()
    with scratch_folder() as scratch:
        lines, values = compare_programs(images, species, without, scratch)
        if "growth" not in without:
            more, values["growth"] = growth(images, scratch, options.small, options.large)
            lines += ["", *more]
    report("classification", lines, {"small": options.small, **values})
    if not options.keep:
        shutil.rmtree(FOLDER)


if __name__ == "__main__":
    main()
