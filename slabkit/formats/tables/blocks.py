"""Blocks of STAR text to checked tables and back."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slabkit.errors import FormatError, InputError
from slabkit.formats.tables.atomic import write_pieces
from slabkit.formats.tables.star import parse_star
from slabkit.formats.tables.star_writing import star_pieces
from slabkit.tables import Schema, validate_table

if TYPE_CHECKING:
    import pandas as pd


def read_text(source: str | os.PathLike[str]) -> str:
    """Read a text file, or standard input for ``-``.

    Parameters
    ----------
    source : path-like or "-"

    Returns
    -------
    str
        Without byte-order mark, lines ending in a line feed alone.

    Raises
    ------
    InputError
        The file cannot be read.
    FormatError
        It is not text.
    """
    if str(source) == "-" and sys.stdin is None:
        raise InputError("standard input: is closed; give a file instead of -.")
    try:
        data = sys.stdin.buffer.read() if str(source) == "-" else Path(source).read_bytes()
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{source}: is not a text file.") from error


def read_block(
    source: str | os.PathLike[str], block: str, schema: Schema, hint: str
) -> pd.DataFrame:
    """Read one block of a STAR file (or ``-``) as a checked table; ``hint`` says who writes one."""
    where = str(source)
    return table_block(parse_star(read_text(source), where), block, schema, where, hint)


def table_block(
    blocks: dict[str, pd.DataFrame], block: str, schema: Schema, where: str, hint: str
) -> pd.DataFrame:
    """Take one of the parsed blocks as a checked table; ``none`` becomes the empty string."""
    if block not in blocks:
        there = ", ".join(filter(None, blocks)) or "none"
        raise InputError(
            f"{where}: has no block data_{block} (it has {there}), so it is not a "
            f"{schema.name} table; {hint}."
        )
    table = blocks[block]
    known = {column.name: column for column in schema.columns}
    for name in table.columns:
        column = known.get(name)
        if column is None or (column.kind == "string" and column.default == ""):
            table[name] = table[name].replace("none", "")
    return validate_table(table, schema, where)


def write_blocks(
    target: str | os.PathLike[str], blocks: dict[str, Any], lists: tuple[str, ...] = ()
) -> None:
    """Write tables as a STAR file, or to standard output for ``-``."""
    write_pieces(target, star_pieces(blocks, lists))
