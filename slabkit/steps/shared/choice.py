"""Which classes a person chose, and of which classification: a choice holds for no other."""

from __future__ import annotations

from pathlib import Path

from slabkit.errors import InputError


def choice_text(classes: str, classified: Path) -> str:
    """Give the text of ``choice.txt``."""
    from slabkit.execution.records import describe_input

    return f"classes {classes}\nclassified {describe_input(classified)['hash']}\n"


def read_choice(path: str, classified: str) -> str:
    """Read the words for ``label --classes``; refuse those on another classification."""
    from slabkit.execution.records import describe_input
    from slabkit.formats.tables.blocks import read_text

    lines = dict(line.split(" ", 1) for line in read_text(path).splitlines() if " " in line)
    if set(lines) != {"classes", "classified"}:
        raise InputError(f"{path}: is not of slabkit workflow choose; choose again.")
    if lines["classified"].strip() != describe_input(classified)["hash"]:
        raise InputError(
            f"{path}: was chosen on another classification than {classified} is now; look at its "
            "classes.png and choose again."
        )
    return lines["classes"].strip()
