"""Fixtures that the tests of the workflow share."""

from __future__ import annotations

import shutil

import pytest
from small_tomograms import write_small_tomograms
from workflow_sets import CONFIG, call, configure


@pytest.fixture(scope="session")
def begun(tour, tmp_path_factory):
    """Six tomograms and the files of their workflow."""
    folder = tmp_path_factory.mktemp("begun")
    write_small_tomograms(tour / "tomograms" / "sim_001.mrc", folder / "data")
    call(
        "workflow", "init", "set", "--tomograms", "data/*.mrc", "--diameter", "100:350", cwd=folder
    )
    configure(folder, CONFIG)
    return folder


@pytest.fixture(scope="session")
def finished(begun, tmp_path_factory):
    """The workflow run to its end, with a choice."""
    folder = tmp_path_factory.mktemp("finished") / "all"
    shutil.copytree(begun, folder)
    said = call("workflow", "run", "set", "--jobs", 2, cwd=folder)
    assert "look at set/classes/classes.png, then slabkit workflow choose set CLASSES" in said
    call("workflow", "choose", "set", "1-2", cwd=folder)
    call("workflow", "run", "set", "--jobs", 2, cwd=folder)
    return folder


@pytest.fixture
def done(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "copy")
    return tmp_path / "copy"
