"""``--help`` and the values that the shell completes (issue 13, item 4)."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys

import pytest

from slabkit.cli.commands import _COMMANDS, _PANELS, _load, command_names
from slabkit.cli.help import LISTS, MORE, RUNNING, VOLUMES
from slabkit.cli.options.completion import WRITTEN
from slabkit.formats.registry import written_formats

GROUPS = {name.rpartition(" ")[0] for name in _COMMANDS} - {""}
LEAVES = [name for name in _COMMANDS if name not in GROUPS]


def words(text):
    return re.sub(r"-\s+", "-", " ".join(text.split()))


def test_i4_panels_of_the_first_help(slabkit):
    text = slabkit("--help").stdout
    places = [text.index(f"\n{panel}:\n") for panel in _PANELS]
    assert len(places) == 4
    assert places == sorted(places)
    assert sorted(n for names in _PANELS.values() for n in names if n in command_names()) == sorted(
        command_names()
    )
    assert "..." not in text.partition("\n\n")[2]
    for name in command_names():
        assert f"{name} {words(_COMMANDS[name])}" in words(text)
    assert text.endswith("Example:\n  slabkit demo -o demo\n")


@pytest.mark.parametrize("name", list(_COMMANDS))
def test_i4_each_help_ends_with_an_example_that_can_be_typed(slabkit, name):
    text = slabkit(*name.split(), "--help").stdout
    example = text.rstrip().rpartition("\n\nExample:\n  ")[2]
    assert example.startswith(f"slabkit {name} ")
    assert "\n" not in example
    typed = shlex.split(example)[1:]
    path = next(leaf for leaf in LEAVES if typed[: leaf.count(" ") + 1] == leaf.split())
    _load(path).make_context(path, typed[path.count(" ") + 1 :]).close()
    if name in GROUPS:
        return
    headings = re.findall(r"(?m)^(\S.*):$", text)
    order = ["Arguments", "Options", MORE, VOLUMES, LISTS, RUNNING, "Example"]
    assert headings == [one for one in order if one in headings]
    first = text.partition("\nOptions:\n")[2].partition("\n\n")[0]
    assert len(re.findall(r"(?m)^  -", first)) <= (6 if "--help" in first else 5)
    assert not re.search(r"<(int|float|str|list)\b|x>=", text)
    assert not re.search(r"[{}]|\.\.\.\S*\.\.\.", text.partition("\n")[0])


def test_i4_defaults_are_shown_with_the_digits_they_have(slabkit):
    text = slabkit("slab", "--help").stdout
    for shown in ("[default: 300]", "[default: mean]", "[default: 0]"):
        assert shown in text
    assert "[default: 4]" in slabkit("score", "--help").stdout
    assert "[default: latest]" in words(slabkit("curate", "--help").stdout)


def test_i4_formats_that_can_be_written():
    assert WRITTEN.split() == [one.name for one in written_formats()]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("curate --policy ", ["latest", "all", "any", "majority", "weighted"]),
        ("curate --keep r", ["rejected"]),
        ("rescue --which contr", ["contradictory"]),
        ("convert --to st", ["stopgap"]),
        ("convert --to polnet", []),
        ("convert --from polnet", ["polnet"]),
        ("label --species apo", ["apo-ferritin"]),
        ("merge --distance rib", ["ribosome="]),
        ("pick segmentation --species 1=rib", ["1=ribosome"]),
        ("slab --z-range a", ["auto"]),
        ("cur", ["curate"]),
    ],
)
def test_i4_values_complete_in_the_shell(typed, expected):
    line = f"slabkit {typed}"
    count = len(line.split()) - (not line.endswith(" "))
    wanted = {"_SLABKIT_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(count)}
    code = "import sys; sys.argv = ['slabkit']; from slabkit.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **wanted},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == expected, done.stderr
