"""The table of ratios: slabkit beside each other program, with the goals; `run.py` writes it.

It is made of what the benchmarks left in a folder of results, so that a part that was not measured
is said to be missing. Each ratio is a time (or an amount) of the other over slabkit's, more is
better; where the other is a copy of the files or slabkit itself, the other way round.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Values = dict[str, Any]


@dataclass(frozen=True)
class Ratio:
    """One row: what was compared, with what, how it came out, and the goal."""

    name: str
    peer: str
    value: float | None  # None: not measured
    goal: float
    at_most: bool = False  # whether less is better

    @property
    def verdict(self) -> str:
        """Whether the goal is reached."""
        if self.value is None:
            return "not measured"
        good = self.value <= self.goal if self.at_most else self.value >= self.goal
        return "reached" if good else "missed"


def read_results(folder: Path) -> dict[str, Values]:
    """Read what the benchmarks left, by their names."""
    files = sorted(folder.glob("*.json"))
    return {file.stem: json.loads(file.read_text()) for file in files}


def ratios(results: dict[str, Values]) -> list[Ratio]:
    """Make the rows of the results there are."""

    def value(benchmark: str, of: Callable[[Values], float]) -> float | None:
        try:
            return of(results[benchmark])
        except (KeyError, TypeError, ZeroDivisionError):
            return None

    def seconds(benchmark: str, one: str, other: str, key: str = "seconds") -> float | None:
        return value(benchmark, lambda found: found[one][key] / found[other][key])

    rows = [
        Ratio("slab, 4 tomograms", "cat", seconds("slab", "slab, four", "cat, four"), 1.3, True),
        Ratio(
            "slab --step 75",
            "slab",
            seconds("slab", "slab --step 75, four", "slab, four"),
            1.3,
            True,
        ),
        Ratio("slab", "slabpick", seconds("slab", "slabpick make_slabs, one", "slab, one"), 5),
    ]
    for count, goal in ((5000, 3.0), (50000, 5.0)):
        names = [f"{count}: {one}" for one in ("slabpick make_minislabs", "slabkit minislab")]
        rows.append(
            Ratio(f"minislab, {count:,} picks", "slabpick", seconds("minislabs", *names), goal)
        )
    blobs = seconds("blob_picking", "skimage blob_log", "slabkit, rims")
    rows.append(Ratio("blob search, one slab", "scikit-image", blobs, 10))
    rows += list(_pickers(results.get("picking", {})))
    speed = results.get("picking", {}).get("template_speed")
    speed = speed or results.get("template_speed", {}).get("options", {})
    for angles in ("default", "coarse"):
        for step in ("side by side", "150 Å"):
            one = value(
                "picking", lambda _, a=angles, s=step: _template(speed[a]["slabs"][s])
            ) or value(
                "template_speed", lambda _, a=angles, s=step: _template(speed[a]["slabs"][s])
            )
            rows.append(Ratio(f"pick template, {angles} angles, {step}", "SciPy's FFT", one, 5))
    for task in ("read", "write"):
        one = seconds("tables", f"starfile {task} picks", f"{task} picks", key="processor_seconds")
        rows.append(Ratio(f"{task} a million picks", "starfile", one, 1))
    for way, name in (("out", "copick project to a table"), ("in", "table to a copick project")):
        names = [f"{one}, {way}" for one in ("copick", "slabkit")]
        rows.append(Ratio(name, "copick", seconds("copick_picks", *names), 1))
    relion = value("classification", lambda found: float(found["times_faster_than_relion"]))
    return [*rows, Ratio("classify, 1,000 images", "RELION", relion, 20)]


def _template(cost: dict[str, float]) -> float:
    return cost["plain"] / cost["ours"]


def _pickers(picking: Values) -> Iterator[Ratio]:
    """Compare whole processes of picking, for each set and each step of slabs."""
    for peer, goal in (("RELION LoG", 5.0), ("scikit-image blob_log", 5.0)):
        found = False
        for name in ("data", "simulated"):
            for step, own in picking.get(name, {}).items():
                pickers = own.get("pickers", {}) if isinstance(own, dict) else {}
                if not {peer, "slabkit blob"} <= pickers.keys() or "pick" not in pickers[peer]:
                    continue
                found = True
                times = [
                    pickers[one]["pick"]["processor_seconds"] for one in (peer, "slabkit blob")
                ]
                yield Ratio(f"pick blob, {name}, {step}", peer, times[0] / times[1], goal)
        if not found:
            yield Ratio("pick blob", peer, None, goal)


def table(rows: list[Ratio], about: str) -> list[str]:
    """Write the rows in Markdown; ``about`` says of which commit and where."""
    lines = [
        f"Ratios, {about}.",
        "",
        "| what | beside | ratio | goal | |",
        "|---|---|---:|---:|---|",
    ]
    for row in rows:
        value = "" if row.value is None else f"{row.value:.1f}"
        goal = f"{'at most' if row.at_most else 'at least'} {row.goal:g}"
        lines.append(f"| {row.name} | {row.peer} | {value} | {goal} | {row.verdict} |")
    return lines
