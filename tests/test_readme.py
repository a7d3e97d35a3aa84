"""The tour of the README is what the examples run."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def block(heading, language=""):
    """The first block of code after a text in the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").split(heading, 1)[1]
    return re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)[1].splitlines()


def test_the_tour_is_the_example():
    example = (ROOT / "examples" / "tour.sh").read_text(encoding="utf-8").splitlines()
    lines = [line for line in block("## A tour\n") if line.startswith("slabkit ")]
    assert len(lines) > 7
    places = []
    for line in lines:
        wanted = line.replace(" truth.star", " tomograms/truth.star")
        found = [i for i, other in enumerate(example) if f"{other} ".startswith(f"{wanted} ")]
        assert found, line
        places.append(found[0])
    assert places == sorted(places)


def test_the_python_tour_is_the_example():
    example = (ROOT / "examples" / "python_tour.py").read_text(encoding="utf-8").splitlines()
    lines = [line for line in block("The same from Python", "python") if "=" in line]
    same = [line for line in lines if line in example]
    # The README reads its tomogram and truth from files, the example makes them.
    assert len(lines) - len(same) == 2
    assert len(same) > 3


def test_the_demo_takes_the_same_way():
    from slabkit.steps.demo import commands

    lines = [f"slabkit {command.line}" for command in commands(2, 1)]
    for line in block("## A tour\n"):
        if line.startswith(("slabkit pick", "slabkit map", "slabkit minislab", "slabkit classify")):
            assert line in lines


def test_the_demo_runs_the_commands_that_it_prints(monkeypatch):
    import slabkit.cli.commands as cli
    from slabkit.cli import running
    from slabkit.steps.demo import commands

    typed = []
    monkeypatch.setattr(running, "execute", lambda run, options, **_: typed.append((run, options)))
    chain = commands(2, 1)
    for command in chain:
        cli.app(command.line.split(), standalone_mode=False)
    assert typed == [(command.run, command.options) for command in chain]


def test_pages_and_pictures_that_are_named_are_there():
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"
