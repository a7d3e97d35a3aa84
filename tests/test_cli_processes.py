"""Every command in a process of its own: what it imports is there, and it ends as it should."""

from __future__ import annotations

import subprocess
import sys

import pytest

from slabkit.cli.commands import command_names

# Commands that end at the file that is not there, with the options they cannot do without.
MISSING = {
    "slab": ("none", "-o", "x"),
    "pick": ("blob", "none", "-o", "x.star", "--diameter", "100"),
    "inspect": ("none", "--slabs", "none", "-o", "x.html"),
    "view": ("none", "-o", "x.html"),
    "map": ("none", "--slabs", "none", "-o", "x.star"),
    "minislab": ("none", "-o", "x", "--box", "100", "--depth", "100"),
    "classify": ("none", "-o", "x"),
    "label": ("none", "--minislabs", "none", "-o", "x.star"),
    "curate": ("none", "none", "-o", "x.star"),
    "agree": ("none", "-o", "x.star"),
    "rescue": ("none", "-o", "x.star"),
    "suggest": ("none", "--picks", "none", "-o", "x.star"),
    "merge": ("none", "-o", "x.star", "--distance", "10"),
    "conflicts": ("none", "-o", "x"),
    "history": ("p0", "none"),
    "name": ("none", "--map", "a=none", "-o", "x"),
    "learn": ("--minislabs", "none", "--labels", "none", "-o", "x"),
    "predict": ("none", "--model", "none", "-o", "x.star"),
    "review": ("none",),
    "tomogram": ("none", "--diameter", "100", "-o", "x"),
    "gather": ("none", "-o", "x.star"),
    "workflow": ("status", "none"),
    "report": ("none",),
    "stats": ("none",),
    "score": ("none", "none"),
    "split": ("none", "-o", "x.star", "--fractions", "train=1"),
    "convert": ("none", "x.star"),
    "export": ("cryosparc", "none", "-o", "x"),
    "auto": ("none", "--diameter", "100", "-o", "x"),
    "import": ("slabpick", "--slab-map", "none", "-o", "x"),
    "simulate": ("-o", "x", "--map", "a=none:3"),
    "info": ("none",),
}


@pytest.mark.parametrize("name", [name for name in command_names() if name != "demo"])
def test_a_file_that_is_not_there(slabkit_process, tmp_path, name):
    """The demo takes no file; test_cli_pipeline.py runs the whole of it as a process."""
    done = slabkit_process(name, *MISSING[name], code=2)
    assert done.stdout == ""
    assert done.stderr.count("error: ") == 1
    assert "none" in done.stderr
    answer = ["x", "x/done.json"] if name == "tomogram" else []  # for the workflow that asked
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == answer


def test_python_runs_the_command_by_the_name_of_the_package():
    done = subprocess.run(
        [sys.executable, "-m", "slabkit", "--version"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.split()[0]) == (0, "slabkit")
