"""Fixtures that several test files share."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import TOUR, Done, Run, run_in_process, run_process, run_script
from hypothesis import HealthCheck, settings

# As the command line does, before a test imports numpy: the matrices are small, and threads that
# wait for each other would waste processor time.
for _library in ("OPENBLAS", "OMP", "MKL", "VECLIB_MAXIMUM"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

# How long it takes to draw examples says something of the machine, not of the code.
settings.register_profile("slabkit", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("slabkit")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real maps and tomograms, or a skip that says where it was looked for."""
    folder = Path(os.environ.get("SLABKIT_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "tomograms").is_dir():
        pytest.skip(f"no real data at {folder}; set SLABKIT_DATA")
    return folder


@pytest.fixture(scope="session")
def reports(data_folder: Path) -> Path:
    """The files of the reports; other tests have files of the same kinds."""
    if not (data_folder / "reports").is_dir():
        pytest.skip(f"no reports at {data_folder}")
    return data_folder / "reports"


@pytest.fixture(scope="session")
def tour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tour of the README on two simulated tomograms (`TOUR`): to read, or to copy."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # which the workers of a run share
    folder = base / "tour"
    with (base / "tour.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = tmp_path_factory.mktemp("tour")
            run_script(TOUR, unfinished)
            unfinished.rename(folder)
    return folder


@pytest.fixture
def review_folder(tour: Path, tmp_path: Path) -> Path:
    """The results of the tour, by links, so that a review may write beside them."""
    for one in tour.iterdir():
        (tmp_path / one.name).symlink_to(one)
    return tmp_path


@pytest.fixture
def serve(review_folder: Path) -> Iterator[Callable[..., Any]]:
    """Start `slabkit review` with further words; see `review_server.Server`."""
    from review_server import Server

    servers = []

    def start(*words: str) -> Server:
        servers.append(Server(review_folder, *words))
        return servers[-1]

    yield start
    for one in servers:
        one.stop()


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
