"""Name what became slower: `compare.py OLD NEW`, two folders that benchmarks/results was copied to.

Times of the same machine are compared (how they were taken: `run.py`). What became slower by more
than the noise, which is what the runs of both differ by and a tenth at least, is named, and the
script ends with 1; ratios beside other programs that fell below their goals are named too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ratios import ratios, read_results

NOISE = 0.1
_TIMES = ("processor_seconds", "seconds", "ours")


def times(values: Any, name: str = "") -> Iterator[tuple[str, float, float]]:
    """Give the name, the time, and how much the runs differed, of all that has a time."""
    if isinstance(values, list):
        values = {str(number): one for number, one in enumerate(values)}
    if not isinstance(values, dict):
        return
    key = next((key for key in _TIMES if isinstance(values.get(key), (int, float))), None)
    if key is not None:
        yield name, float(values[key]), float(values.get("spread", 0.0))
    for part, inside in values.items():
        yield from times(inside, f"{name}, {part}" if name else str(part))


def compared(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, float, float, str]]:
    """Give name, times of both, and the verdict: slower, faster or the same."""
    before = {name: (seconds, spread) for name, seconds, spread in times(old)}
    rows = []
    for name, seconds, spread in times(new):
        if name not in before or not before[name][0]:
            continue
        was, other = before[name]
        noise = max(NOISE, spread + other)
        verdict = "same"
        if seconds > was * (1 + noise):
            verdict = "slower"
        elif seconds < was / (1 + noise):
            verdict = "faster"
        rows.append((name, was, seconds, verdict))
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    folders = parser.parse_args()
    old, new = read_results(folders.old), read_results(folders.new)
    rows = compared(old, new)
    if not rows:
        print("nothing was measured in both.")
        return 2
    for name, was, now, verdict in rows:
        if verdict != "same":
            print(f"{verdict}: {name}: {was:.2f} s before, {now:.2f} s now ({now / was:.2f} ×)")
    lost = {row.name: row for row in ratios(old) if row.verdict == "reached"}
    for row in ratios(new):
        if row.verdict == "missed" and row.name in lost:
            print(f"goal lost: {row.name} beside {row.peer}: {row.value:.1f}, was reached before")
    slower = sum(verdict == "slower" for *_, verdict in rows)
    print(f"{len(rows)} times compared, {slower} slower by more than the noise")
    return int(slower > 0)


if __name__ == "__main__":
    sys.exit(main())
