"""The command line, run in the process of the tests or in one of its own."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slabkit.cli.main import main

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


@contextlib.contextmanager
def _state_of_the_process() -> Iterator[None]:
    """Put back what a command changes in its process."""
    folder, environment, hook = os.getcwd(), dict(os.environ), sys.excepthook
    try:
        with warnings.catch_warnings():
            yield
    finally:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.excepthook = hook


def run_in_process(
    *arguments: object, cwd: Path, code: int = 0, stdin: str | bytes | None = None
) -> Done:
    """Run the command line in this process, in a folder; see the fixture ``slabkit``."""
    given = stdin if isinstance(stdin, bytes) else (stdin or "").encode()
    output, errors = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="\n") for _ in range(2))
    names = [str(argument) for argument in arguments]
    with pytest.MonkeyPatch.context() as patch, _state_of_the_process():
        patch.setattr(sys, "argv", ["slabkit", *names])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given), "utf-8"))
        patch.setattr(sys, "stdout", output)
        patch.setattr(sys, "stderr", errors)
        os.chdir(cwd)
        with pytest.raises(SystemExit) as stop:
            main()
    texts = []
    for stream in (output, errors):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())
    done = subprocess.CompletedProcess(["slabkit", *names], int(stop.value.code or 0), *texts)
    return _checked(done, code)


def run_script(script: str, cwd: Path) -> Done:
    """Run lines ``slabkit ...`` one after the other in this process; what all of them print."""
    lines = [shlex.split(line) for line in script.strip().splitlines()]
    done = [run_in_process(*words[1:], cwd=cwd) for words in lines if words[0] == "slabkit"]
    assert len(done) == len(lines), "each line is a command of slabkit"
    texts = ("".join(each.stdout for each in done), "".join(each.stderr for each in done))
    return subprocess.CompletedProcess(lines, 0, *texts)


def run_process(
    *arguments: object, cwd: Path, code: int = 0, stdin: str | bytes | None = None
) -> Done:
    """Run the command line in a process of its own; see the fixture ``slabkit_process``."""
    given = stdin if isinstance(stdin, bytes) else (stdin or "").encode()
    done = subprocess.run(
        [sys.executable, "-m", "slabkit.cli.main", *map(str, arguments)],
        input=given,
        capture_output=True,
        cwd=cwd,
        check=False,
        timeout=300,
    )
    texts = (done.stdout.decode(), done.stderr.decode())
    return _checked(subprocess.CompletedProcess(done.args, done.returncode, *texts), code)


def _checked(done: Done, code: int) -> Done:
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, f"exit {done.returncode}, not {code}:\n{done.stderr}"
    return done


TOUR = """
slabkit simulate -o tomograms --preset small --count 2 --seed 5 --jobs 1
slabkit slab tomograms/*.mrc -o slabs --step 75
slabkit pick blob slabs/slabs.star -o picks2d.star --diameter 100:350
slabkit map picks2d.star --slabs slabs/slabs.star -o picks.star
slabkit minislab picks.star -o minislabs --box 400 --depth 300 --stack
"""
