"""Names that options give, checked before anything is read."""

from __future__ import annotations


def species_name(name: str, option: str) -> str:
    """Give a species' name, empty for none, or refuse what tables cannot hold."""
    if name:
        from slabkit.formats.programs.shared.values import check_names

        check_names([name], "species", option)
    return name
