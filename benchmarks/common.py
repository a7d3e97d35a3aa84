"""What the benchmarks share: options, peers in an environment of their own, whole processes."""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".venv-peers"
RESULTS = Path(__file__).resolve().parent / "results"
DATA = Path(__file__).resolve().parent / ".data"
SLABKIT = Path(sys.executable).with_name("slabkit")


@dataclass(frozen=True)
class Measurement:
    """Medians over the runs of one command: seconds and peak memory in MB.

    ``processor_seconds`` are the process's own, which other work on the machine changes least;
    ``spread`` is what the processor seconds of the runs differ by, as a share of their median.
    """

    seconds: float
    anonymous_mb: float
    resident_mb: float
    processor_seconds: float = 0.0
    spread: float = 0.0


def option_parser(description: str | None) -> argparse.ArgumentParser:
    """Give a parser that knows what every benchmark knows: ``--small``."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="smaller inputs, for a quick look")
    return parser


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give a folder for a while, beside the benchmarks: /tmp may be small, or memory."""
    DATA.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        yield Path(folder)


def write_copick_project(folder: Path, overlay: str, objects: dict[str, float]) -> Path:
    """Write what copick knows a project by: where its runs are, and radii (Å) of its objects."""
    kinds = enumerate(objects.items(), 1)
    config = {
        "config_type": "filesystem",
        "name": "benchmark",
        "version": "1.0.0",
        "pickable_objects": [
            {"name": name, "is_particle": True, "label": label, "radius": radius}
            for label, (name, radius) in kinds
        ],
        "overlay_root": f"local://{folder / overlay}",
        "overlay_fs_args": {"auto_mkdir": True},
    }
    path = folder / "copick.json"
    path.write_text(json.dumps(config))
    return path


def peer_python(*requirements: str) -> Path | None:
    """Give the Python of an environment with the peers installed, or None where that fails."""
    python = PEERS / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", PEERS], check=True)
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*command, *requirements], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"left out: {', '.join(requirements)} cannot be installed here", file=sys.stderr)
        print(done.stderr.strip()[-500:], file=sys.stderr)
        return None
    return python


def data_folder() -> Path | None:
    """Give the folder of real maps and tomograms, or None."""
    folder = Path(os.environ.get("SLABKIT_DATA", ROOT.parent / "shared" / "data"))
    return folder if (folder / "tomograms").is_dir() else None


@cache
def compile_slabkit() -> None:
    """Compile the modules as an installer does, also where Python is told to keep nothing."""
    compileall.compile_dir(ROOT / "slabkit", quiet=1)


def run_once(
    command: Sequence[object],
    cwd: Path | None = None,
    *,
    environment: dict[str, str] | None = None,
) -> Measurement:
    """Run a command as a whole process; raise with its errors where it fails.

    ``environment`` holds variables on top of this process's own.
    """
    compile_slabkit()
    start, used = time.perf_counter(), os.times()
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | (environment or {}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    peak = {"RssAnon": 0, "VmHWM": 0}
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.005):
            try:
                with open(f"/proc/{process.pid}/status") as status:
                    for line in status:
                        name, _, value = line.partition(":")
                        if name in peak:
                            peak[name] = max(peak[name], int(value.split()[0]))
            except (OSError, ValueError, IndexError):
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    _, errors = process.communicate()
    seconds = time.perf_counter() - start
    stop.set()
    watcher.join()
    if process.returncode:
        raise RuntimeError(f"{command[0]} failed ({process.returncode}):\n{errors[-2000:]}")
    now = os.times()
    own = now.children_user + now.children_system - used.children_user - used.children_system
    return Measurement(seconds, peak["RssAnon"] / 1024, peak["VmHWM"] / 1024, own)


def compare(
    commands: dict[str, Sequence[object]], *, runs: int = 3, before: dict[str, object] | None = None
) -> dict[str, Measurement]:
    """Run commands in turn, one warm-up and ``runs`` counted rounds; give the medians.

    ``before`` holds a callable a command, run (not counted) before each of its runs.
    """
    collected: dict[str, list[Measurement]] = {name: [] for name in commands}
    for round_number in range(runs + 1):
        for name, command in commands.items():
            prepare = (before or {}).get(name)
            if callable(prepare):
                prepare()
            measured = run_once(command)
            if round_number:
                collected[name].append(measured)
    return {name: _median(measured) for name, measured in collected.items()}


def _median(measured: Sequence[Measurement]) -> Measurement:
    fields = ("seconds", "anonymous_mb", "resident_mb", "processor_seconds")
    middle = [statistics.median(getattr(one, field) for one in measured) for field in fields]
    own = [one.processor_seconds for one in measured]
    return Measurement(*middle, spread=(max(own) - min(own)) / middle[-1] if middle[-1] else 0.0)


def commit() -> str:
    """Give the commit that is measured, and whether files differ from it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


CARD = "\n## Graphics card\n"


def write_page(lines: Sequence[str], card: Sequence[str] = ()) -> None:
    """Write docs/benchmarks.md; of the page and its last section, keep what is not given."""
    path = ROOT / "docs" / "benchmarks.md"
    page, _, section = path.read_text(encoding="utf-8").partition(CARD)
    page = "\n".join(lines) + "\n" if lines else page
    section = "\n" + "\n".join(card) + "\n" if card else section
    path.write_text(page + CARD + section, encoding="utf-8")


def report(name: str, lines: Sequence[str], values: dict[str, object]) -> None:
    """Print a result and keep it, with its commit, in benchmarks/results/<name>.json."""
    print(f"== {name} ({platform.processor() or platform.machine()}, {os.cpu_count()} cores)")
    for line in lines:
        print(f"   {line}")
    RESULTS.mkdir(exist_ok=True)
    kept = {"commit": commit(), "arguments": sys.argv[1:], **values}
    (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n")
