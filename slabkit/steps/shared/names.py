"""What steps check of names, and say of tomograms, before anything is read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from slabkit.errors import warn

if TYPE_CHECKING:
    from slabkit.execution.frame import Work
    from slabkit.tomogram import TomogramRef


def species_name(name: str, option: str) -> str:
    """Give a species' name, empty for none, or refuse what tables cannot hold."""
    if name:
        from slabkit.formats.programs.shared.values import check_names

        check_names([name], "species", option)
    return name


def warn_of_spellings(species: Iterable[str], where: str) -> None:
    """Warn of species whose names differ only in case, blanks, dashes and underscores."""
    spelt: dict[str, list[str]] = {}
    for name in sorted(set(species)):
        spelt.setdefault(re.sub(r"[\s_-]", "", name).casefold(), []).append(name)
    for names in spelt.values():
        if len(names) > 1:
            listed = ", ".join(map(repr, names))
            warn(f"{where}: {listed} count as different species; is one meant?")


def say_flipped(work: Work, volumes: Iterable[TomogramRef]) -> None:
    """Say which tomograms are read upside down: no report is to be without it."""
    refs = list(volumes)
    flipped = [ref.name for ref in refs if ref.reading.flip_z]
    if flipped:
        more = "" if len(flipped) == 1 else f" and {len(flipped) - 1} more"
        work.note(f"{flipped[0]}{more}: planes are read from the last to the first (--flip-z).")
        work.summary["flipped"] = len(flipped)
