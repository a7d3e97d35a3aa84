"""The pick formats slabkit knows, by name.

To add one, write a module with two functions (see `slabkit.formats.file_format`) and put its
`PickFormat` into the list below, or call `add_format` from outside.
"""

from __future__ import annotations

import os
from pathlib import Path

from slabkit.errors import FormatError, InputError
from slabkit.formats.file_format import PickFormat
from slabkit.formats.programs import artiax as pick_artiax
from slabkit.formats.programs import coords as pick_coords
from slabkit.formats.programs import csv_ as pick_csv
from slabkit.formats.programs import deepfinder as pick_deepfinder
from slabkit.formats.programs import dynamo as pick_dynamo
from slabkit.formats.programs import imod as pick_imod
from slabkit.formats.programs import matching as pick_matching
from slabkit.formats.programs import native as pick_native
from slabkit.formats.programs import ndjson as pick_ndjson
from slabkit.formats.programs import polnet as pick_polnet
from slabkit.formats.programs.copick import picks as pick_copick
from slabkit.formats.programs.cryolo import picks as pick_cryolo
from slabkit.formats.programs.eman import picks as pick_eman
from slabkit.formats.programs.relion import particles as pick_relion
from slabkit.formats.programs.slabpick import picks as pick_slabpick
from slabkit.formats.source import Source
from slabkit.formats.tables.star import require_star_block

_FORMATS: dict[str, PickFormat] = {}


def add_format(pick_format: PickFormat) -> None:
    """Add a format, or replace the one of that name.

    Parameters
    ----------
    pick_format : PickFormat
    """
    _FORMATS[pick_format.name] = pick_format


for _format in (
    pick_native.FORMAT,
    pick_csv.FORMAT,
    pick_ndjson.FORMAT,
    pick_copick.FORMAT,
    pick_relion.RELION5,
    pick_relion.RELION4,
    pick_dynamo.FORMAT,
    pick_eman.FORMAT,
    pick_imod.FORMAT,
    pick_coords.ARTIAX,
    pick_artiax.FORMAT,
    pick_coords.TOMOTWIN,
    pick_coords.CRYOLO_COORDS,
    pick_cryolo.FORMAT,
    pick_matching.PYTOM,
    pick_matching.WARP,
    pick_matching.WARP_PX,
    pick_deepfinder.FORMAT,
    pick_polnet.FORMAT,
    pick_slabpick.FORMAT,
):
    add_format(_format)


def pick_formats() -> list[PickFormat]:
    """Give every format, in the order of the documentation."""
    return list(_FORMATS.values())


def format_named(name: str) -> PickFormat:
    """Give the format of a name.

    Parameters
    ----------
    name : str
        What ``--from`` and ``--to`` take.

    Returns
    -------
    PickFormat

    Raises
    ------
    InputError
        There is none; lists those there are.
    """
    if name not in _FORMATS:
        raise InputError(f"there is no pick format {name!r}; there are {', '.join(_FORMATS)}.")
    return _FORMATS[name]


def detect_format(source: Source) -> PickFormat:
    """Tell the format of a file by its content.

    Parameters
    ----------
    source : Source

    Returns
    -------
    PickFormat

    Raises
    ------
    FormatError
        None or several fit. A format that the file's name declares gives its own message later.
    """
    fitting = [known for known in _FORMATS.values() if known.sniff(source)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        declared = _by_suffix(source.where)
        if declared is not None and not _is_star(source):
            return declared
        require_star_block(source.text, source.where)
        raise FormatError(
            f"{source.where}: is no pick list that can be told by its content; say what it is with "
            f"--from ({', '.join(_FORMATS)})."
        )
    names = ", ".join(known.name for known in fitting)
    raise FormatError(f"{source.where}: could be {names}; say which with --from.")


def folder_formats(chosen: PickFormat | None = None) -> dict[str, str]:
    """Give the formats that are read from folders too.

    Parameters
    ----------
    chosen : PickFormat, optional
        Only this one.

    Returns
    -------
    dict of str to str
        Name of the format to the glob of its files in a folder.
    """
    known = [chosen] if chosen is not None else pick_formats()
    return {entry.name: entry.folder_glob for entry in known if entry.folder_glob}


def format_to_write(target: str | os.PathLike[str]) -> PickFormat:
    """Tell the format a result is meant to have by its name; native for ``-``.

    Parameters
    ----------
    target : path-like or "-"

    Returns
    -------
    PickFormat

    Raises
    ------
    InputError
        The suffix means no format.
    """
    found = _FORMATS["native"] if str(target) == "-" else _by_suffix(str(target))
    if found is None:
        endings = ", ".join(f"{s} is {f.name}" for f in _FORMATS.values() for s in f.suffixes)
        raise InputError(
            f"{target}: its name does not say a pick format ({endings}); give --to "
            f"({', '.join(_FORMATS)})."
        )
    return found


def format_table() -> str:
    """Give the table of formats in the documentation, as Markdown.

    Returns
    -------
    str
    """
    header = ("format", "what it is", "written for", "unit", "zero point", "index base", "loses")
    rows = [
        (
            f"`{known.name}`",
            known.title,
            _written_for(known),
            known.unit,
            known.origin,
            known.index_base,
            known.lost,
        )
        for known in _FORMATS.values()
    ]
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _written_for(known: PickFormat) -> str:
    if known.write is None:
        return "(only read)"
    return ", ".join(f"`{suffix}`" for suffix in known.suffixes) or f"`--to {known.name}`"


def _by_suffix(name: str) -> PickFormat | None:
    suffix = Path(name).suffix.lower()
    for known in _FORMATS.values():
        if suffix in known.suffixes:
            return known
    return None


def _is_star(source: Source) -> bool:
    return Path(source.where).suffix.lower() == ".star" and not source.empty
