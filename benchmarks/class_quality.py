"""What the quality of classes is worth, whether they come again, and how often names are right.

Sets, picked and classified as `slabkit auto` does: the tomograms of SLABKIT_DATA (default
../shared/data); tomograms simulated with its maps; phantoms, as `slabkit demo` has them. The
constants of quality and of `--auto --picks` are from logistic regressions on simulated tomograms of
other seeds (0 and 1 without maps, 21 and 22 with them), on none of SLABKIT_DATA.

- Quality: the area under the ROC curve of "the image is of a particle" by the quality of its class,
  and what the threshold of `label --auto` keeps of particles and of others. Particles are those of
  the truth and other complexes that are there (`unscored.csv`; of simulated tomograms the same);
  membrane proteins, second picks and small proteins are others.
- Repeats: mean share of two repeats in which images of particles and of others come again, and what
  `--auto` keeps after `--repeats 3`.
- `--auto` and `--auto --picks`: precision, recall and F4 against the scored species (beta-amylase
  left out of the truth) beside those of all picks.
- Names (not of phantoms): classes of which half the members and more are of one of the five
  species, and how many of them are named right, wrong or not; the same of their images; and how
  many of the classes without such a majority are named all the same.

`--small` leaves the largest tomogram out.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from auto import MAPS as NAMED
from auto import numbers
from common import DATA, SLABKIT, data_folder, option_parser, report, run_once
from defaults import COPIES
from loop import MAPS, XYZ

from slabkit.formats.picks.reading import read_picks
from slabkit.formats.tables.star import read_star
from slabkit.scoring import match_picks
from slabkit.steps.classify import GOOD_QUALITY

FOLDER = DATA / "class_quality"
SEED, TOMOGRAMS, NEAR = 31, 4, 80.0
Flags = npt.NDArray[np.bool_]


@contextmanager
def placed() -> Iterator[list[tuple[str, str, float, float, float]]]:
    """Note where complexes that are not in the truth are put while tomograms are simulated."""
    from slabkit.simulation import sample as module
    from slabkit.simulation.species import decoys

    found: list[tuple[str, str, float, float, float]] = []
    usual, names = module.Sample.place, set(decoys())

    def place(self: Any, model: Any, count: int, clustered: float = 0.0) -> Any:
        put = usual(self, model, count, clustered)
        if model.name in names:
            found.extend(("", "decoy", *one.position.tolist()) for one in put)
        return put

    module.Sample.place = place  # type: ignore[method-assign]
    try:
        yield found
    finally:
        module.Sample.place = usual  # type: ignore[method-assign]


def simulate(folder: Path, data: Path, maps: bool) -> None:
    """Write tomograms, truth.star and unscored.csv."""
    from slabkit.execution.frame import Frame
    from slabkit.steps import simulate as step

    files = tuple(
        step.MapFile(species, data / "maps" / file, COPIES[species])
        for species, file in MAPS.items()
    )
    rows = []
    for number in range(TOMOGRAMS):  # one at a time, so that it is known whose the complexes are
        own = folder / str(number)
        options = step.Options(str(own), "small", 1, SEED + number, files if maps else ())
        with placed() as found:
            step.run(options, Frame(jobs=1))
        (own / "sim_001.mrc").rename(folder / f"sim_{number}.mrc")
        truth = pd.read_csv(own / "truth.csv", dtype={"tomogram": str})
        truth["tomogram"] = f"sim_{number}"
        truth.to_csv(folder / "truth.csv", mode="a", header=not number, index=False)
        rows += [(f"sim_{number}", *row[1:]) for row in found]
        shutil.rmtree(own)
    columns = ["tomogram", "kind", "x", "y", "z"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "unscored.csv", index=False)


def is_particle(picks: pd.DataFrame, truth: pd.DataFrame, unscored: pd.DataFrame) -> Flags:
    """Say which picks are at a particle of the truth, one to one, or near another complex."""
    from scipy.spatial import KDTree

    found = np.zeros(len(picks), dtype=bool)
    others = unscored[unscored["kind"] == "decoy"]
    for name, own in others.groupby("tomogram"):
        rows = np.flatnonzero(picks["slabkitTomogram"] == name)
        if len(rows):
            away, _ = KDTree(own[["x", "y", "z"]].to_numpy()).query(picks[XYZ].to_numpy()[rows])
            found[rows] = away < NEAR
    found[match_picks(picks, truth)["pick"]] = True
    return found


def area(values: npt.NDArray[np.float64], true: Flags) -> float:
    """Give the area under the ROC curve."""
    from scipy.stats import rankdata

    ranks, count = rankdata(values), int(true.sum())
    return float((ranks[true].sum() - count * (count + 1) / 2) / (count * (len(true) - count)))


def judge(name: str, volumes: list[Path], data: Path, truth_file: Path) -> dict[str, Any]:
    """Run the chain on one set and measure everything."""
    out = FOLDER / name
    run_once([SLABKIT, "auto", *volumes, "--diameter", "100:350", "-o", out])
    again, minislabs = out / "again", out / "minislabs" / "minislabs.star"
    maps = [f"--map={n}={data / 'maps' / '10A' / file}.mrc" for n, file in NAMED.items()]
    run_once([SLABKIT, "classify", minislabs, "-o", again, "--repeats", 3])
    for classes in (out / "classes", again):
        label = [SLABKIT, "label", classes / "classified.star", "--minislabs", minislabs, "--auto"]
        run_once([*label, "-o", classes / "labels.star"])
        run_once([SLABKIT, "curate", out / "picks.star", classes / "labels.star", "-o",
                  classes / "curated.star"])  # fmt: skip
    run_once([SLABKIT, "name", out / "classes", *maps])

    picks = read_picks(out / "picks.star").picks
    truth = read_picks(truth_file).picks
    truth = truth[truth["slabkitTomogram"].isin(picks["slabkitTomogram"].unique())]
    truth = truth.reset_index(drop=True)
    unscored = pd.read_csv(truth_file.with_name("unscored.csv"), dtype={"tomogram": str})
    particle = pd.Series(
        is_particle(picks.assign(slabkitSpecies=""), truth, unscored), picks["slabkitPickId"]
    )
    matches = match_picks(picks.assign(slabkitSpecies=""), truth)
    species = pd.Series("", picks["slabkitPickId"])
    species.iloc[matches["pick"]] = matches["species"].to_numpy()

    images = read_star(out / "classes" / "classified.star")["particles"]
    images = images[images["rlnClassNumber"] != "0"]
    table = read_star(out / "classes" / "classes.star")["classes"].set_index("rlnClassNumber")
    own = table["slabkitQuality"].astype(float)[images["rlnClassNumber"]].to_numpy()
    true = particle[images["slabkitPickId"]].to_numpy()
    repeated = read_star(again / "classified.star")["particles"]
    share = repeated["slabkitRepeatShare"].astype(float).to_numpy()
    of_share = particle[repeated["slabkitPickId"]].to_numpy()
    return {
        "images": len(own),
        "particles": int(true.sum()),
        "area": area(own, true),
        "kept": [
            float((own[true] >= GOOD_QUALITY).mean()),
            float((own[~true] < GOOD_QUALITY).mean()),
        ],
        "shares": [float(share[of_share].mean()), float(share[~of_share].mean())],
        "all picks": numbers(out / "picks.star", truth_file),
        "--auto": numbers(out / "classes" / "curated.star", truth_file),
        "--repeats 3, --auto": numbers(again / "curated.star", truth_file),
        "--auto --picks": numbers(out / "curated.star", truth_file),
        "names": names(images, table, species[images["slabkitPickId"]].to_numpy()),
    }


def names(images: pd.DataFrame, table: pd.DataFrame, species: npt.NDArray[Any]) -> dict[str, int]:
    """Count classes, and images, that are named right, wrong and not."""
    counts: dict[str, int] = {}
    given = table["slabkitSpecies"].replace("none", "")
    for number, members in pd.Series(species).groupby(images["rlnClassNumber"].to_numpy()):
        most = members[members.isin(NAMED)].value_counts()
        majority = most.index[0] if len(most) and most.iloc[0] >= len(members) / 2 else ""
        name = given[number]
        what = "not named" if not name else "right" if name == majority else "wrong"
        kind = f"majority, {what}" if majority else f"no majority, {'named' if name else 'not'}"
        for key, count in ((kind, 1), (f"{kind}, images", len(members))):
            counts[key] = counts.get(key, 0) + count
    return dict(sorted(counts.items()))


def main() -> None:
    """Judge all sets and report them."""
    arguments = option_parser(__doc__).parse_args()
    data = data_folder()
    if data is None:
        print("left out: there is no SLABKIT_DATA")
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    pattern = "TS_91*.mrc" if arguments.small else "*.mrc"
    tomograms = data / "tomograms"
    sets = {"shared": (sorted(tomograms.glob(pattern)), tomograms / "truth.csv")}
    for name, maps in (("maps", True), ("phantoms", False)):
        folder = FOLDER / f"{name}_tomograms"
        folder.mkdir()
        simulate(folder, data, maps)
        sets[name] = (sorted(folder.glob("*.mrc")), folder / "truth.csv")
    lines, values = [], {}
    for name, (volumes, truth) in sets.items():
        one = values[name] = judge(name, volumes, data, truth)
        keeps, rejects = one["kept"]
        lines.append(
            f"{name}: {one['images']} images, {one['particles']} of particles; "
            f"area {one['area']:.3f}; "
            f"--auto keeps {keeps:.2f} of particles, rejects {rejects:.2f} of others; "
            "come again: particles {:.2f}, others {:.2f}".format(*one["shares"])
        )
        for rule in ("all picks", "--auto", "--repeats 3, --auto", "--auto --picks"):
            got = one[rule]
            lines.append(
                f"    {rule:20s} {got['picks']:5d} picks, precision {got['precision']:.2f}, "
                f"recall {got['recall']:.2f}, F4 {got['F4']:.3f}"
            )
        lines.append(f"    names: {one['names']}")
        print("\n".join(lines[-6:]), flush=True)
    report("class_quality", lines, values)


if __name__ == "__main__":
    main()
