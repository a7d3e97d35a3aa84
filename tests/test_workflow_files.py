"""What `slabkit workflow` writes and refuses; runs are in tests/workflow (issue 16, item 2)."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

import slabkit as package
from slabkit.cli.commands import _load
from slabkit.steps.shared.choice import choice_text

FILES = Path(package.__file__).parent / "workflow"
# What the workflow says itself, or what no job needs.
NOT_SAID = {
    "tomogram": {"tomogram", "out"},
    "gather": {"sources", "out", "failed", "names"},
    "minislab": {"picks", "out", "reuse", "stack"},
    "classify": {"table", "out", "contrast", "pixel_size"},
}
RUNNING = {"overwrite", "update", "jobs", "quiet", "json_"}
# Of minislabs that are put together, what they are is decided where they are made.
MADE_BEFORE = {"box", "depth", "tomograms", "tilts", "tomo_type", "pixel_size", "diameter"}


@pytest.mark.parametrize("command", NOT_SAID)
def test_config_has_every_option_of_a_command(command):
    config = (FILES / "config.yaml").read_text(encoding="utf-8")
    sections = re.split(r"(?m)^(?=[a-z_]+:)", config)
    section = next(one for one in sections if one.startswith(f"{command}:"))
    said = set(re.findall(r"(?m)^  (?:# )?([a-z0-9-]+):", section))
    options = {
        max(one.opts, key=len).lstrip("-"): one.name
        for one in _load(command).params
        if one.param_type_name == "option" and one.name not in RUNNING | NOT_SAID[command]
    }
    if command == "minislab":
        kept = {"tiles", "border", "invert", "png"}
        assert said == kept
        assert kept <= set(options)
        assert set(options.values()) >= MADE_BEFORE
        return
    assert said == set(options)


def test_without_snakemake_the_extra_is_named(slabkit, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    (tmp_path / "t.mrc").write_bytes(b"")
    done = slabkit("workflow", "init", "set", "--tomograms", "t.mrc", code=2)
    assert "pip install 'slabkit-cryoet[workflow]'" in done.stderr
    assert not (tmp_path / "set").exists()
    assert "none: has no Snakefile" in slabkit("workflow", "run", "none", code=2).stderr


def test_init_without_tomograms_writes_nothing(slabkit, tmp_path):
    pytest.importorskip("yaml")
    (tmp_path / "t.mrc").write_bytes(b"")
    (tmp_path / "there").mkdir()
    for folder, pattern in (("set", "no*.mrc"), ("there/set", "no*.mrc"), ("there", "no*.mrc")):
        done = slabkit("workflow", "init", folder, "--tomograms", pattern, code=2)
        assert "no*.mrc: no tomogram there" in done.stderr.replace("\n", " ")
        assert not any((tmp_path / "there").iterdir())
        assert not (tmp_path / "set").exists()
    slabkit("workflow", "init", "there/set", "--tomograms", "t.mrc", "--diameter", "100:350")
    listed = (tmp_path / "there" / "set" / "tomograms.tsv").read_text().split()
    assert listed[4:6] == ["t", "../../t.mrc"]


@pytest.fixture
def classified(tour, tmp_path, slabkit):
    """Minislabs with classes, and the command that makes other classes of them."""
    shutil.copytree(tour / "minislabs", tmp_path / "minislabs")
    table = ("classify", "minislabs/minislabs.star", "-o", "classes", "--classes", 3)
    slabkit(*table, "--iterations", 1, "--angular-step", 60)
    return (*table, "--iterations", 2, "--angular-step", 60, "--overwrite")


LABEL = ("label", "classes/classified.star", "--minislabs", "minislabs/minislabs.star")


def test_a_choice_is_that_of_the_classes_and_of_one_classification(slabkit, tmp_path, classified):
    text = choice_text("a=1,b=2-3", tmp_path / "classes" / "classified.star")
    (tmp_path / "choice.txt").write_text(text)
    slabkit(*LABEL, "--choice", "choice.txt", "-o", "chosen.star")
    slabkit(*LABEL, "--classes", "a=1,b=2-3", "-o", "typed.star")
    assert (tmp_path / "chosen.star").read_bytes() == (tmp_path / "typed.star").read_bytes()
    done = slabkit(*LABEL, "--choice", "choice.txt", "--classes", "1", "-o", "x.star", code=2)
    assert "leave --classes out" in done.stderr
    slabkit(*classified)
    done = slabkit(*LABEL, "--choice", "choice.txt", "-o", "x.star", code=2)
    assert "choice.txt: was chosen on another classification than" in done.stderr
    (tmp_path / "choice.txt").write_text("1-3\n")
    done = slabkit(*LABEL, "--choice", "choice.txt", "-o", "x.star", code=2)
    assert "choice.txt: is not of slabkit workflow choose" in done.stderr
    assert not (tmp_path / "x.star").exists()
