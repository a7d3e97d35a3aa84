"""Why the defaults of `slabkit auto` are what they are: each beside its neighbours.

Three sets: tomograms simulated with real maps, on which the values were chosen; phantoms, as
`slabkit demo` has them; and the small tomograms of SLABKIT_DATA (default ../shared/data), on which
nothing was chosen. One value is changed at a time. Given is F4 of all picks against the scored
species (picks without names are candidates for any; beta-amylase left out), before curation where
only picking differs, else after `label --auto --picks`; and recall and precision.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from auto import numbers
from common import DATA, data_folder, option_parser, report
from loop import MAPS

from slabkit.cli.main import main as main_of_slabkit
from slabkit.formats.tables.native import read_minislabs
from slabkit.steps.classify import default_classes

FOLDER = DATA / "defaults"
CHOSEN: dict[str, Any] = {
    "step": 150, "precision": 0.7, "box": None, "depth": None, "classes": None, "auto": "picks",
}  # fmt: skip
VARIANTS: dict[str, tuple[Any, ...]] = {
    "step": (75, 150, 300),
    "precision": (0.5, 0.6, 0.7, 0.8, 0.9),
    "box": (0.8, None, 1.25),
    "depth": (0.67, None, 1.33),
    "classes": (0.5, None, 2.0),
    "auto": ("none", "plain", "picks"),
}
COPIES = {"ribosome": 7, "virus-like-particle": 2, "thyroglobulin": 4, "beta-galactosidase": 2}
COPIES |= {"apo-ferritin": 5, "beta-amylase": 2}
SEED, TOMOGRAMS = 21, 4


def tomograms(data: Path) -> dict[str, tuple[list[Path], Path]]:
    """Give volumes and truth of each set, simulating what is not there."""
    simulated, phantoms = FOLDER / "maps", FOLDER / "phantoms"
    maps = [
        f"--map={species}={data / 'maps' / file}:{COPIES[species]}"
        for species, file in MAPS.items()
    ]
    for folder, more in ((simulated, maps), (phantoms, [])):
        command = ["simulate", "-o", folder, "--preset", "small", "--count", TOMOGRAMS]
        slabkit(*command, "--seed", SEED, *more)
    sets = {
        "simulated with maps": (sorted(simulated.glob("*.mrc")), simulated / "truth.star"),
        "phantoms": (sorted(phantoms.glob("*.mrc")), phantoms / "truth.star"),
    }
    shared = sorted((data / "tomograms").glob("TS_91*.mrc"))
    return sets | {"shared": (shared, data / "tomograms" / "truth.csv")}


def slabkit(*words: object) -> None:
    """Run a command in this process: a start of Python takes longer than most of them here."""
    before = sys.argv
    sys.argv = ["slabkit", *map(str, words), "--quiet"]
    try:
        main_of_slabkit()
    except SystemExit as stop:
        if stop.code:
            raise RuntimeError(
                f"slabkit {' '.join(map(str, words))}: exit code {stop.code}"
            ) from stop
    finally:
        sys.argv = before


class Chain:
    """The commands of `slabkit auto` on one set; what several variants share is made once."""

    def __init__(self, volumes: list[Path], folder: Path) -> None:
        self._volumes, self._folder = volumes, folder
        folder.mkdir(parents=True, exist_ok=True)

    def _made(self, name: str, *command: object) -> Path:
        path = self._folder / name
        if not path.exists():
            slabkit(*command, "-o", path)
        return path

    def picks(self, step: float, precision: float) -> Path:
        """Slab, pick and map."""
        key = f"{step}_{precision}"
        slabs = self._folder / f"slabs_{step}" / "slabs.star"
        if not slabs.exists():
            slabkit("slab", *self._volumes, "-o", slabs.parent, "--step", step)
        hits = self._made(f"hits_{key}.star", "pick", "blob", slabs, "--diameter", "100:350",
                          "--target-precision", precision)  # fmt: skip
        return self._made(f"picks_{key}.star", "map", hits, "--slabs", slabs)

    def curated(self, values: dict[str, Any]) -> Path:
        """Go on to the curated list."""
        picks = self.picks(values["step"], values["precision"])
        if values["auto"] == "none":
            return picks
        key = picks.stem
        sizes: list[object] = []
        if values["box"] or values["depth"]:
            usual = read_minislabs(self._minislabs(picks, key, []))[1].iloc[0]
            box, depth = float(usual["slabkitBox"]), float(usual["slabkitDepth"])
            sizes = ["--box", round(box * (values["box"] or 1))]
            sizes += ["--depth", round(depth * (values["depth"] or 1))]
            key += f"_{sizes[1]}_{sizes[3]}"
        minislabs = self._minislabs(picks, key, sizes)
        count: list[object] = []
        if values["classes"]:
            usual = default_classes(len(read_minislabs(minislabs)[0]))
            count = ["--classes", max(1, round(usual * values["classes"]))]
            key += f"_{count[1]}"
        classes = self._folder / f"classes_{key}"
        if not classes.exists():
            slabkit("classify", minislabs, "-o", classes, *count)
        rule = ["--picks", picks] if values["auto"] == "picks" else []
        key += f"_{values['auto']}"
        labels = self._made(f"labels_{key}.star", "label", classes / "classified.star",
                            "--minislabs", minislabs, "--auto", *rule)  # fmt: skip
        return self._made(f"curated_{key}.star", "curate", picks, labels)

    def _minislabs(self, picks: Path, key: str, sizes: list[object]) -> Path:
        table = self._folder / f"minislabs_{key}" / "minislabs.star"
        if not table.exists():
            slabkit("minislab", picks, "-o", table.parent, "--stack", *sizes)
        return table


def shown(name: str, value: Any) -> str:
    """Write a value of a default as the table shows it."""
    if name == "auto":
        texts = {"none": "no curation", "plain": "--auto", "picks": "--auto --picks"}
        return texts[value]
    if name in ("box", "depth", "classes"):
        return "as it follows" if value is None else f"{value:g} of that"
    return f"{value:g}"


def main() -> None:
    """Run all variants and report them."""
    option_parser(__doc__).parse_args()
    data = data_folder()
    if data is None:
        print("left out: there is no SLABKIT_DATA")
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    sets = tomograms(data)
    chains = {name: Chain(volumes, FOLDER / name) for name, (volumes, _) in sets.items()}
    lines = [f"{'':34s}" + "".join(f"{name:>30s}" for name in sets)]
    lines.append(f"{'':34s}" + f"{'F4 precision recall':>30s}" * len(sets))
    values: dict[str, Any] = {}
    for option, tried in VARIANTS.items():
        for value in tried:
            row = []
            for name, (_, truth) in sets.items():
                chain = chains[name]
                changed = CHOSEN | {option: value}
                if option in ("step", "precision"):
                    table = chain.picks(changed["step"], changed["precision"])
                else:
                    table = chain.curated(changed)
                row.append(numbers(table, truth))
            values.setdefault(option, {})[shown(option, value)] = dict(zip(sets, row, strict=True))
            cells = "".join(
                f"{one['F4']:18.3f}{one['precision']:6.2f}{one['recall']:6.2f}" for one in row
            )
            mark = "  *" if value == CHOSEN[option] else ""
            lines.append(f"{option:12s}{shown(option, value) + mark:22s}{cells}")
            print(lines[-1], flush=True)
    report("defaults", lines, values)


if __name__ == "__main__":
    main()
