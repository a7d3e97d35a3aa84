"""492 small tomograms through `slabkit workflow`: `make soak`; figures for docs/scale.md."""

from __future__ import annotations

import contextlib
import resource
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from workflow_sets import CONFIG, call, configure

from slabkit.formats.volumes.mrc import write_mrc
from slabkit.formats.volumes.opening import open_tomogram

pytest.importorskip("snakemake", reason="Snakemake is not installed; make test-workflow has it")
pytestmark = pytest.mark.soak

COUNTS = (123, 246, 492)
COMMANDS = ("snakemake", "tomogram", "gather", "minislab", "classify", "label", "curate")


class PeakMemory(threading.Thread):
    """The most memory that a process of each command in a folder has held, in MB, by /proc."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.folder = folder
        self.found = Counter()
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(0.3):
            for process in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError, ValueError, IndexError):
                    words = (process / "cmdline").read_text().split("\0")
                    name = "snakemake" if "snakemake" in words else words[2]
                    ours = name in COMMANDS and (process / "cwd").resolve() == self.folder
                    status = (process / "status").read_text()
                    peak = int(status.partition("VmHWM:")[2].split()[0]) // 1000
                    if ours and peak > self.found[name]:
                        self.found[name] = peak


def cut(tour, folder, count):
    """Cut so many tomograms of 64 × 64 × 32 voxels, each another, out of a simulated one."""
    folder.mkdir(exist_ok=True)
    volume = open_tomogram(tour / "tomograms" / "sim_001.mrc")
    for number in range(count):
        path = folder / f"t{number:03}.mrc"
        z, y, x = 8 + 24 * (number // 246), 14 * (number % 246 // 18), 11 * (number % 18)
        part = volume.data[slice(z, z + 32), slice(y, y + 64), slice(x, x + 64)]
        if not path.exists():
            write_mrc(path, part, volume.voxel_size, label=path.stem)


def processor():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_492_tomograms_a_quarter_a_half_and_all(tour, tmp_path):
    """Each time what has come in is done and the global steps are made again, by a rule."""
    cut(tour, tmp_path / "data", COUNTS[0])
    call(
        *("workflow", "init", "set", "--tomograms", "data/*.mrc", "--diameter", "100:350"),
        cwd=tmp_path,
    )
    configure(tmp_path, CONFIG | {"choose: classes": "choose: auto"})
    memory = PeakMemory(tmp_path / "set")
    memory.start()
    before = 0
    for count in COUNTS:
        cut(tour, tmp_path / "data", count)
        began, used = time.monotonic(), processor()
        call("workflow", "run", "set", "--jobs", 2, cwd=tmp_path)
        took, used = time.monotonic() - began, processor() - used
        files = [path for path in (tmp_path / "set").rglob("*") if path.is_file()]
        engine = [path for path in files if ".snakemake" in path.parts]
        size = sum(path.stat().st_size for path in files) / 1e6
        began, asked = time.monotonic(), processor()
        call("workflow", "status", "set", cwd=tmp_path)
        print(
            f"\n  {count} tomograms, {count - before} of them new: {took:.0f} s, processor "
            f"{used:.0f} s; {len(files)} files, {len(engine)} of them the engine's, {size:.0f} MB; "
            f"status: processor {processor() - asked:.1f} s; at most, MB: "
            + ", ".join(f"{name} {peak}" for name, peak in sorted(memory.found.items()))
        )
        before = count
    memory.over.set()
    sys.stdout.flush()
    done = list((tmp_path / "set" / "tomograms").glob("*/done.json"))
    assert len(done) == COUNTS[-1]
