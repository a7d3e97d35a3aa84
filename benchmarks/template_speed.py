"""Template picking against a plain SciPy FFT correlation over the same templates and angles.

The slabs of one tomogram (300 Å, side by side and every 150 Å), the five density maps of
`picking.py`, default angles and coarse ones. Both search the same filtered slabs with the same
turned templates under the same masks; see `template_peers.py`. Times are those of the processor,
with one thread. The plain ways search two of the slabs, and their time is multiplied; templates
are drawn for them for nothing, for slabkit in its set-up. `--small`: one slab, few angles.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from common import DATA, SLABKIT, data_folder, option_parser, report, run_once, scratch_folder
from loop import MAPS
from scipy import ndimage
from template_peers import local_deviation, zero_mean_kernels

from slabkit.arrays.filters import coarse_position
from slabkit.arrays.peaks import find_peaks
from slabkit.picking.template_search import in_plane_angles

MAPPED = ("ribosome", "virus-like-particle", "thyroglobulin", "beta-galactosidase", "apo-ferritin")
OPTIONS = {"default": (30.0, 10.0), "coarse": (60.0, 15.0)}  # view step, angular step; degrees
SMALL_OPTIONS = {"default": (60.0, 30.0), "coarse": (90.0, 45.0)}
SAMPLED_WAYS = ("all pixels", "fftconvolve")
COMPARED = "150 Å"  # the slabs on which the plain ways search
SEARCHED = 2  # slabs
GOAL = 5.0
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "OMP", "MKL")}


def measure(slabs: dict[str, Path], maps: Path, small: bool) -> dict[str, Any]:
    """Measure all ways at all options.

    Parameters
    ----------
    slabs : dict of str to Path
        Slab tables by name, `COMPARED` among them; of each its first tomogram is taken.
    maps : Path
        Folder of the density maps.
    small : bool
        Few angles, and one slab for the plain ways.

    Returns
    -------
    dict
        By the name of the options; see `at_options`.
    """
    options = SMALL_OPTIONS if small else OPTIONS
    return {
        name: at_options(slabs, maps, view_step, angular_step, 1 if small else SEARCHED)
        for name, (view_step, angular_step) in options.items()
    }


def at_options(
    slabs: dict[str, Path], maps: Path, view_step: float, angular_step: float, searched: int
) -> dict[str, Any]:
    """Measure all ways with templates at some angles.

    Returns
    -------
    dict
        ``templates``: how many turned ones; ``slabs``: by the name of the table their number, and
        seconds of slabkit's search with its set-up (``ours``), of the set-up, and of the others;
        ``memory``: peak MB by way; ``agreement``: see `agreement`.
    """
    values: dict[str, Any] = {"view_step": view_step, "angular_step": angular_step}
    values |= {"slabs": {}, "memory": {}}
    job: dict[str, Any] = {"view_step": view_step, "angular_step": angular_step}
    job |= {"searched": searched, "maps": {name: str(maps / MAPS[name]) for name in MAPPED}}
    with scratch_folder() as folder:

        def run(way: str, table: Path) -> dict[str, Any]:
            (folder / "job.json").write_text(json.dumps(job | {"slabs": str(table)}))
            script = Path(__file__).with_name("template_peers.py")
            cost = run_once([sys.executable, script, way, folder], environment=ONE_THREAD)
            values["memory"][way] = cost.anonymous_mb
            return dict(json.loads((folder / f"{way}.json").read_text()))

        order = sorted(slabs, key=lambda name: name == COMPARED)  # last: its candidates are kept
        found = {name: run("ours", slabs[name]) for name in order}
        values["templates"] = run("draw", slabs[COMPARED])["templates"]
        plain = run("plain", slabs[COMPARED])
        others = {way: run(way, slabs[COMPARED]) for way in SAMPLED_WAYS}
        values["memory"] = {way: values["memory"][way] for way in ("ours", "plain")}
        for name in slabs:
            one = found[name]
            number = one["slabs"]
            values["slabs"][name] = {
                "number": number,
                "ours": one["seconds"],
                "setup": one["setup"],
                "plain": number * plain["seconds"],
                "plain, transforms shared": number * (plain["seconds"] - plain["transforms"])
                + plain["transforms"],
                **{way: number * cost["seconds"] for way, cost in others.items()},
            }
        last = found[COMPARED]
        values["agreement"] = agreement(folder, last["shape"], last["views"], angular_step)
    return values


def agreement(
    folder: Path, shape: tuple[int, int], views: list[int], angular_step: float
) -> dict[str, Any]:
    """Compare slabkit's coefficients, templates and angles with those of the plain correlation.

    Coefficients at all peaks of slabkit's maps, templates and angles at its picks.

    Returns
    -------
    dict
        ``peaks``, ``picks``: how many; ``largest``, ``p99`` and ``median`` difference of
        coefficients; ``span`` from the lowest to the highest of the plain coefficients at these
        peaks; ``same``, the share of picks whose template and angle are the ones that correlate
        best by the plain formula, at the pick's place between the pixels (splines); ``loss_p99``,
        ``loss``: by how much the coefficient of slabkit's template is below that of the best,
        99th percentile and largest.
    """
    angles = in_plane_angles(angular_step)
    filtered = np.load(folder / "filtered.npy")
    first = np.cumsum([0, *views])
    differences, values, same, loss = [], [], [], []
    with np.load(folder / "ours.npz") as file:
        ours = dict(file)
    for number in range(len(views)):
        with np.load(folder / f"plain_{number}.npz") as file:
            plain = dict(file)
        with np.load(folder / f"drawn_{number}.npz") as file:
            kernels, weights = zero_mean_kernels(file["templates"], file["mask"])
        reach = len(weights) // 2
        for slab, image in enumerate(filtered):
            highest = plain["highest"][slab]
            own = ours["maps"][slab, number]
            place = find_peaks(np.stack([own - 1, own, own - 1]), -1.0).whole[1:]
            differences.append(np.abs(own[place] - highest[place]))
            values.append(highest[place])
            padded = np.pad(image, reach, mode="symmetric")
            deviation = local_deviation(padded, weights)
            line = np.arange(-reach, reach + 1.0)
            of_set = (first[number] <= ours["template"]) & (ours["template"] < first[number + 1])
            for pick in np.flatnonzero((ours["slab"] == slab) & of_set):
                y, x = (
                    coarse_position(ours[axis][pick], n, m)
                    for axis, n, m in zip("yx", shape, image.shape, strict=True)
                )
                around = np.meshgrid(y + line + reach, x + line + reach, indexing="ij")
                patch = ndimage.map_coordinates(padded, around, order=5, mode="nearest")
                value = np.einsum("yx,nyx->n", patch, kernels) / deviation[round(y), round(x)]
                turn = int(np.argmin(np.abs(angles - ours["psi"][pick] % 360)))
                index = (ours["template"][pick] - first[number]) * len(angles) + turn
                same.append(bool(index == value.argmax()))
                loss.append(float(value.max() - value[index]))
    wrong, span = np.concatenate(differences), np.ptp(np.concatenate(values))
    return {
        "peaks": len(wrong),
        "largest": float(wrong.max()),
        "p99": float(np.percentile(wrong, 99)),
        "median": float(np.median(wrong)),
        "span": float(span),
        "picks": len(same),
        "same": float(np.mean(same)),
        "loss": float(np.max(loss)),
        "loss_p99": float(np.percentile(loss, 99)),
    }


def text(values: dict[str, Any]) -> list[str]:
    """Write the lines of the report."""
    lines = []
    for name, one in values.items():
        lines.append(
            f"{name}: views every {one['view_step']:g}°, angles every {one['angular_step']:g}°: "
            f"{one['templates']} turned templates"
        )
        for step, cost in one["slabs"].items():
            lines.append(
                f"    {cost['number']} slabs, {step}: {cost['ours']:.1f} s, {cost['setup']:.1f} of "
                f"them set-up; × plain {ratio(cost, 'plain'):.1f}, without set-up "
                f"{ratio(cost, 'plain', setup=False):.1f} (goal: at least {GOAL:.0f}); × plain with"
                f" transforms shared by slabs {ratio(cost, 'plain, transforms shared'):.1f}; "
                f"× plain on all pixels {ratio(cost, 'all pixels'):.1f}; × fftconvolve "
                f"{ratio(cost, 'fftconvolve'):.1f}"
            )
        memory = ", ".join(f"{way} {mb:.0f}" for way, mb in one["memory"].items())
        a = one["agreement"]
        lines.append(
            f"    MB: {memory}; coefficients at {a['peaks']} peaks span {a['span']:.2f} and differ "
            f"by at most {a['largest']:.4f}, 99 % by at most {a['p99']:.4f}; of {a['picks']} picks "
            f"{a['same']:.0%} have the best template and angle, that of the others is lower by "
            f"at most {a['loss']:.4f}, 99 % {a['loss_p99']:.4f}"
        )
    return lines


def ratio(cost: dict[str, float], way: str, *, setup: bool = True) -> float:
    """Tell how many times as long another way takes as slabkit, with or without its set-up."""
    return cost[way] / (cost["ours"] - (0.0 if setup else cost["setup"]))


def main() -> None:
    small = option_parser(__doc__).parse_args().small
    data = data_folder()
    if data is None or not (data / "maps").is_dir():
        print("template_speed: left out, there is no folder of real maps; set SLABKIT_DATA")
        return
    folder = DATA / "template_speed"
    shutil.rmtree(folder, ignore_errors=True)
    volume = sorted((data / "tomograms").glob("*.mrc"))[0]
    slabs = {}
    for name, step in (("side by side", []), (COMPARED, ["--step", 150])):
        out = folder / name.split()[0]
        run_once([SLABKIT, "slab", volume, "-o", out, *step])
        slabs[name] = out / "slabs.star"
    values = measure(slabs, data / "maps", small)
    shutil.rmtree(folder)
    report("template_speed", text(values), {"small": small, "options": values})


if __name__ == "__main__":
    main()
