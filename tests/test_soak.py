"""The long form of the experiments of docs/reliability.md: `make soak SECONDS=600`."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import tifffile
from command_line import run_in_process, run_process
from killed_runs import (
    COMMANDS,
    Trial,
    check_deaths,
    contents,
    prepare,
    states_of_death,
    words_of,
)
from soak_time import soak_share
from test_mutations import mutated
from volume_files import random_volume

from slabkit.formats.volumes.mrc import write_mrc

pytestmark = pytest.mark.soak

RUN = [sys.executable, "-m", "slabkit.cli.main"]


@pytest.fixture(scope="module", autouse=True)
def _one_core() -> Iterator[None]:
    """Leave the other cores to whoever else is there."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    yield
    os.sched_setaffinity(0, before)


def say(counts: Counter[str]) -> None:
    print("".join(f"\n  {count:6} {what}" for what, count in counts.most_common()))


@pytest.mark.parametrize("name", COMMANDS)
def test_g8_g9_death_at_every_operation(tour, tmp_path, name):
    count = check_deaths(name, prepare(tour, tmp_path / "t"), tmp_path, states_of_death)
    say(Counter({f"different states after a death of {name}": count}))


def test_g8_g9_death_at_random_moments(tour, tmp_path):
    base, counts, trials = prepare(tour, tmp_path / "base"), Counter[str](), {}
    for chance in soak_share(0.3):
        name, over = chance.choice(list(COMMANDS)), chance.random() < 0.6
        if name not in trials:
            folder = tmp_path / name
            shutil.copytree(base, folder / "t")
            began = time.monotonic()
            trials[name] = Trial(name, folder / "t", folder), (time.monotonic() - began) / 2
        trial, usual = trials[name]
        words = trial.start(over)
        with subprocess.Popen(
            [*RUN, *words], cwd=trial.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0.2, 0.6 + 1.5 * usual))
            process.kill()
        counts["killed" if process.returncode == -signal.SIGKILL else "had ended"] += 1
        trial.check(over, f"after a death of {name} at random")
    say(counts)


def read_in_child(words: list[str], cwd: Path) -> str:
    """Run a command in a process that may die or hang; how it ended."""
    child = os.fork()
    if not child:
        try:
            signal.alarm(60)
            run_in_process(*words, cwd=cwd)
            os._exit(0)
        except AssertionError as error:
            code = re.match(r"exit (\d+)", str(error))
            os._exit(int(code[1]) if code else 9)
        finally:
            os._exit(9)
    return str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


READERS = {
    # files by pattern, and the commands that read them; {} is the damaged file
    "picks.star": ["info {}", "convert {} o.csv", "curate {} -o o.star", "merge {} -o o.star"],
    "c.*": ["info {}", "convert {} o.star --tomograms tomograms"],
    "slabs/slabs.star": ["info {}", "pick blob {} -o o.star --diameter 150"],
    "picks2d.star": ["info {}", "map {} --slabs slabs/slabs.star -o o.star"],
    "minislabs/minislabs.star": ["info {}", "label labels.csv --minislabs {} -o o.star"],
    "labels.*": ["label {} --minislabs minislabs/minislabs.star -o o.star", "info {}"],
    "small*": ["info {}", "slab {} -o o"],
    "cs/*.cs*": ["info {}", "label {} --minislabs minislabs/minislabs.star -o o.star"],
}
FORMATS = ("csv", "ndjson", "dynamo", "imod", "relion5", "artiax", "tomotwin", "copick", "eman")


def test_mutated_files_through_the_commands(tour, tmp_path):
    folder, counts = prepare(tour, tmp_path / "t"), Counter[str]()
    for name in FORMATS:
        with contextlib.suppress(AssertionError):
            run_in_process("convert", "few.star", f"out_{name}", "--to", name, cwd=folder)
    for path in [*folder.glob("out_*/**/*"), *folder.glob("out_*")]:
        if path.is_file() and not path.name.endswith((".star.json", "picks.star")):
            shutil.copy(path, folder / f"c.{path.parent.name}.{path.name}")
    run_in_process("export", "cryosparc", "minislabs/minislabs.star", "-o", "cs", cwd=folder)
    small = random_volume((8, 12, 12)).astype("f4")
    write_mrc(folder / "small.mrc", small, 10, label="soak")
    tifffile.imwrite(folder / "small.tif", small, imagej=True)
    seeds = [(path, lines) for glob, lines in READERS.items() for path in folder.glob(glob)]
    before = set(contents(folder))
    for chance in soak_share(0.15):
        path, lines = chance.choice(seeds)
        damaged = path.with_name(f"damaged{''.join(path.suffixes)}")
        data = mutated(path.read_bytes(), chance)
        damaged.write_bytes(data)
        line = chance.choice(lines).replace("{}", str(damaged.relative_to(folder)))
        ended = read_in_child(line.split(), folder)
        counts[f"exit {ended}"] += 1
        if ended not in ("0", "1", "2", "75"):
            kept = tmp_path / damaged.name
            kept.write_bytes(data)
            pytest.fail(f"slabkit {line}: exit {ended}; the file is kept as {kept}")
        damaged.unlink()
        for new in set(contents(folder)) - before:
            assert not Path(new).name.startswith("."), f"{new} is left by: {line}"
            (folder / new).unlink()
        for record in folder.glob("o*.json"):
            record.unlink()
    say(counts)


def test_full_disk(tour, tmp_path):
    folder, counts = prepare(tour, tmp_path / "t"), Counter[str]()
    (folder / "set").mkdir()
    script = (
        "mount -t tmpfs -o size=$1 tmpfs set && shift && "
        '{ "$@" > said 2>&1; echo $? > code; ls -A set > left; }'
    )
    with_disk = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    if not shutil.which("unshare") or subprocess.call([*with_disk, "8k", "true"], cwd=folder):
        pytest.skip("a small disk cannot be mounted here")
    for chance in soak_share(0.1):
        name = chance.choice(list(COMMANDS))
        words = words_of(COMMANDS[name][0], 1)
        size = f"{4 * chance.randrange(2, 60)}k"
        assert subprocess.call([*with_disk, size, *RUN, *words], cwd=folder) == 0
        code, left, said = ((folder / one).read_text() for one in ("code", "left", "said"))
        counts[f"exit {code.strip()}"] += 1
        assert code.strip() in ("0", "1", "75"), f"{name} on {size}: {said}"
        assert "Traceback" not in said, f"{name} on {size}: {said}"
        assert not re.search(r"^\.", left, re.MULTILINE), f"{name} on {size}: {left}"
    say(counts)


def test_g10_races_for_one_result(tour, tmp_path):
    base, counts = prepare(tour, tmp_path / "base"), Counter[str]()
    for number, chance in enumerate(soak_share(0.15)):
        name = chance.choice(["label", "merge", "curate", "split", "convert"])
        folder = tmp_path / str(number)
        shutil.copytree(base, folder / "t")
        trial = Trial(name, folder / "t", folder)
        words = trial.start(over=chance.random() < 0.5)
        (folder / "t/set").mkdir(exist_ok=True)
        for target in [word for word in words if word.startswith("set/")]:
            (folder / "t" / Path(target).with_name(f".{Path(target).name}.lock")).touch()
        started = [
            subprocess.Popen(
                [*RUN, *words], cwd=folder / "t", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            for _ in range(4)
        ]
        codes = []
        for process in started:
            _, errors = process.communicate()
            codes.append(process.returncode)
            assert process.returncode in (0, 75), errors.decode()
        assert 0 in codes
        counts.update(f"exit {code}" for code in codes)
        assert contents(folder / "t/set") == trial.made["--overwrite" in words]
        assert not [p for p in (folder / "t/set").rglob(".*") if p.suffix != ".lock"]
        run_process(*words, cwd=folder / "t")
        shutil.rmtree(folder)
    say(counts)
