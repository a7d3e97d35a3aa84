"""What `slabkit tomogram` leaves in a folder, and what it says there of how it ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from slabkit.errors import InputError

DONE, PICKS, MINISLABS = "done.json", "picks.star", "minislabs/minislabs.star"
NAMES = "names.star"  # where maps were given


def read_answer(folder: Path) -> dict[str, Any]:
    """Read the ``done.json`` of a folder; an empty one where it is not there."""
    from slabkit.formats.tables.paths import read_bytes

    path = folder / DONE
    if not path.is_file():
        return {}
    try:
        told = json.loads(read_bytes(path))
    except ValueError:
        told = None
    if not isinstance(told, dict) or told.get("status") not in ("done", "failed"):
        raise InputError(f"{path}: is not of slabkit tomogram; make it again.")
    return told
