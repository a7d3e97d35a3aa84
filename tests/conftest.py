"""Fixtures that several test files share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real maps and tomograms, or a skip that says where it was looked for."""
    folder = Path(os.environ.get("SLABKIT_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "tomograms").is_dir():
        pytest.skip(f"no real data at {folder}; set SLABKIT_DATA")
    return folder


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def slabkit(tmp_path: Path) -> Run:
    """Run the real command line in a subprocess, in the test's own folder.

    ``slabkit("slab", path, "-o", "slabs", code=0, stdin=None)`` checks the exit code and that no
    traceback was printed, and gives the completed process.
    """

    def run(
        *arguments: object, code: int = 0, stdin: str | None = None, cwd: Path = tmp_path
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "slabkit.cli.main", *map(str, arguments)],
            input="" if stdin is None else stdin,
            capture_output=True,
            text=True,
            cwd=cwd,
            check=False,
            timeout=300,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == code, f"exit {done.returncode}, not {code}:\n{done.stderr}"
        return done

    return run
