"""Fixtures that several test files share."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slabkit.cli.main import main

# As the command line does, before a test imports numpy: the matrices are small, and threads that
# wait for each other would waste processor time.
for _library in ("OPENBLAS", "OMP", "MKL", "VECLIB_MAXIMUM"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real maps and tomograms, or a skip that says where it was looked for."""
    folder = Path(os.environ.get("SLABKIT_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "tomograms").is_dir():
        pytest.skip(f"no real data at {folder}; set SLABKIT_DATA")
    return folder


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


@pytest.fixture
def slabkit(tmp_path: Path) -> Run:
    """Run the command line in this process, in the test's own folder.

    ``slabkit("slab", path, "-o", "slabs", code=0, stdin=None)`` checks the exit code and gives what
    `subprocess.run` would: returncode, stdout, stderr. An error that slabkit does not foresee
    fails the test as it is.
    """

    def run(
        *arguments: object, code: int = 0, stdin: str | bytes | None = None, cwd: Path = tmp_path
    ) -> Done:
        return run_in_process(*arguments, cwd=cwd, code=code, stdin=stdin)

    return run


@pytest.fixture
def slabkit_process(tmp_path: Path) -> Run:
    """Run the command line as ``slabkit`` does, for tests in which the process is the point."""

    def run(
        *arguments: object, code: int = 0, stdin: str | bytes | None = None, cwd: Path = tmp_path
    ) -> Done:
        return run_process(*arguments, cwd=cwd, code=code, stdin=stdin)

    return run
