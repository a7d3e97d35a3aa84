"""The benchmarks in turn; one that fails does not stop the others.

    python benchmarks/run.py [NAME ...] [--peers] [--continue] [--small]

NAME: only these, as `slab minislabs`; by default all that need no folders of the user.
`--peers`: only what the table of ratios needs. `--continue`: not those that were measured at this
commit already, as after a break. At the end it writes results/ratios.md: slabkit beside each other
program, with the goals and the commits.
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
# Short ones first: what a long one that is broken off would cost
PEERS = {
    "slab": [],
    "minislabs": [],
    "blob_picking": [],
    "copick_picks": [],
    "tables": [],
    "picking": [],  # takes template_speed in
    "classification": ["--without", "plain,growth"],
}
OTHERS = (
    "auto",
    "class_quality",
    "defaults",
    "depth",
    "depth_confidence",
    "device",
    "diameter",
    "junk",
    "loop",
    "merging",
    "slab_choice",
    "suggest",
)
ALL = {name: [] for name in (*PEERS, *OTHERS)}


def main() -> int:
    parser = option_parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ALL))
    parser.add_argument("--peers", action="store_true", help="what the table of ratios needs")
    parser.add_argument(
        "--continue", dest="go_on", action="store_true", help="not what this commit has already"
    )
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in ALL]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]}; there are: {', '.join(ALL)}")
    chosen = PEERS if options.peers else ALL
    chosen = {name: chosen.get(name, []) for name in options.names or chosen}
    small = ["--small"] if options.small else []
    outcomes: list[tuple[str, str, float]] = []
    for name, arguments in chosen.items():
        run = {"commit": commit(), "arguments": [*arguments, *small]}
        there = run.items() <= read_results(RESULTS).get(name, {}).items()
        if options.go_on and there and not commit().endswith("-dirty"):
            outcomes.append((name, "there already", 0.0))
            continue
        start = time.perf_counter()
        command = [sys.executable, FOLDER / f"{name}.py", *run["arguments"]]
        code = subprocess.run(command, check=False).returncode
        outcome = f"FAILED ({code})" if code else "done"
        outcomes.append((name, outcome, time.perf_counter() - start))
        print(flush=True)
    print("== summary")
    for name, outcome, seconds in outcomes:
        print(f"   {name:16s} {outcome:13s} {seconds:7.0f} s")
    results = read_results(RESULTS)
    commits = sorted({str(one["commit"]) for one in results.values() if "commit" in one})
    about = f"commit {', '.join(commits)}, {os.cpu_count()} cores ({platform.machine()})"
    lines = table(ratios(results), about)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "ratios.md").write_text("\n".join(lines) + "\n")
    print("\n".join(["", *lines, ""]))
    print(f"   numbers are in {RESULTS}")
    return int(any(outcome.startswith("FAILED") for _, outcome, _ in outcomes))


if __name__ == "__main__":
    sys.exit(main())
