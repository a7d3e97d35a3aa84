"""Names that options give, checked before anything is read."""

from __future__ import annotations


def species_option(name: str) -> str:
    """Give the species' name of ``--species`` or ``--map``, empty for none, or refuse it."""
    from slabkit.formats.programs.shared.values import check_names

    check_names([name], "species", "--species", empty=True)
    return name
