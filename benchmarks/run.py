"""All benchmarks in turn; one that fails does not stop the others. `--small` passes through.

At the end it writes results/ratios.md: slabkit beside each other program, with the goals.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from common import RESULTS, commit, option_parser
from ratios import ratios, read_results, table

FOLDER = Path(__file__).resolve().parent
NO_BENCHMARKS = (
    "common.py",
    "compare.py",
    "picking_pages.py",
    "picking_peers.py",
    "plain_classification.py",
    "ratios.py",
    "run.py",
    "names.py",  # takes folders
    "template_peers.py",
    "template_speed.py",  # a part of picking.py
)


def main() -> int:
    arguments = ["--small"] if option_parser(__doc__).parse_args().small else []
    outcomes: list[tuple[str, str, float]] = []
    for script in sorted(FOLDER.glob("*.py")):
        if script.name in NO_BENCHMARKS:
            continue
        start = time.perf_counter()
        code = subprocess.run([sys.executable, script, *arguments], check=False).returncode
        outcome = f"FAILED ({code})" if code else "done"
        outcomes.append((script.stem, outcome, time.perf_counter() - start))
        print(flush=True)
    print("== summary")
    for name, outcome, seconds in outcomes:
        print(f"   {name:15s} {outcome:12s} {seconds:7.0f} s")
    about = f"commit {commit()}, {os.cpu_count()} cores ({platform.machine()})"
    lines = table(ratios(read_results(RESULTS)), about)
    (RESULTS / "ratios.md").write_text("\n".join(lines) + "\n")
    print("\n".join(["", *lines, ""]))
    print(f"   numbers are in {RESULTS}")
    return int(any(outcome != "done" for _, outcome, _ in outcomes))


if __name__ == "__main__":
    sys.exit(main())
