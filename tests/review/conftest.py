"""A real Chromium, in which the page is used as people use it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from command_line import run_in_process
from person import Person

TOOLS = Path(__file__).resolve().parents[2] / ".venv-review"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def browser():
    """Chromium, driven by Playwright."""
    if str(TOOLS) not in sys.path:
        sys.path.append(str(TOOLS))
    playwright = pytest.importorskip("playwright.sync_api", reason="make test-review installs it")
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def classes(tour, tmp_path_factory):
    """Classes of the tour's minislabs."""
    folder = tmp_path_factory.mktemp("classes")
    table = tour / "minislabs/minislabs.star"
    words = ("classify", table, "-o", folder / "classes", "--classes", 8, "--iterations", 8)
    run_in_process(*words, cwd=tour)
    return folder / "classes"


@pytest.fixture
def review_folder(review_folder, classes):
    """The tour with classes."""
    (review_folder / "classes").symlink_to(classes)
    return review_folder


@pytest.fixture
def visit(browser):
    """Open the page of a server as one of its reviewers; checked at the end."""
    people = []

    def open_page(server, who=None, **looks):
        address, token = server.links[who or server.who]
        people.append(Person(browser, f"{address}?token={token}", **looks))
        return people[-1]

    yield open_page
    for one in people:
        one.check()
