"""STAR files, strictly: what is written is read back equal, or an error says why not.

The common reader of the field turns names like ``00255``, ``1e5`` and ``nan`` into numbers, swaps
quotes, ends rows at ``#`` and lets short rows, doubled columns and doubled blocks pass; its writer
rounds to six decimals and stamps the time. So text goes in and out here, and a column becomes a
number only where its schema says so.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slabkit.errors import FormatError, InputError

if TYPE_CHECKING:
    import pandas as pd

_MANY_ROWS = 10_000
_PLAIN = re.compile(r"(?!data_|loop_)[A-Za-z0-9./@+-][A-Za-z0-9./@+_,:=-]*")  # nearly all values
_TOKEN = re.compile(r'"([^"]*)"(?=\s|$)|\'([^\']*)\'(?=\s|$)|(\S+)')


def read_star(path: str | os.PathLike[str]) -> dict[str, pd.DataFrame]:
    """Read every block of a STAR file, all values as strings.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    dict of str to DataFrame
        Block name (without ``data_``) to table, in the file's order; a block that is a list of
        pairs is a table of one row. Column names lack the leading underscore.

    Raises
    ------
    FormatError
        No block; a row that is short or long; a doubled block or column; not text. Names the line.
    InputError
        The file cannot be read.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: is not a text file, so not a STAR file.") from error
    return parse_star(text, str(path))


def parse_star(text: str, where: str = "STAR text") -> dict[str, pd.DataFrame]:
    """Parse STAR text as `read_star` does.

    Parameters
    ----------
    text : str
    where : str, optional
        What the message begins with.

    Returns
    -------
    dict of str to DataFrame

    Raises
    ------
    FormatError
        As `read_star`.
    """
    blocks: dict[str, pd.DataFrame] = {}
    lines = text.split("\n")
    position = 0
    while position < len(lines):
        line = lines[position].strip()
        position += 1
        if not line or line.startswith(("#", ";")):
            continue
        if not line.startswith("data_"):
            raise FormatError(
                f"{where}, line {position}: expected a block (data_...), found {line[:60]!r}."
            )
        name = line.split()[0][len("data_") :]
        if name in blocks:
            raise FormatError(f"{where}, line {position}: a second block data_{name}.")
        blocks[name], position = _parse_block(lines, position, where)
    if not blocks:
        raise FormatError(f"{where}: is empty or has no data_ block, so it is not a STAR file.")
    return blocks


def require_star_block(text: str, where: str) -> None:
    """Refuse a table that begins as in a STAR file, but without the name of its block.

    Parameters
    ----------
    text : str
    where : str

    Raises
    ------
    FormatError
        Names the line.
    """
    for number, line in enumerate(text.split("\n"), 1):
        word = line.strip().partition(" ")[0]
        if word == "loop_" or word.startswith(("_rln", "_slabkit")):
            raise FormatError(
                f"{where}, line {number}: expected a block (data_...), found {word[:60]!r}."
            )
        if word and not word.startswith("#"):
            return


def _parse_block(lines: list[str], position: int, where: str) -> tuple[pd.DataFrame, int]:
    names: list[str] = []
    pairs: list[str] = []
    first = last = position  # the rows of the loop are lines[first:last]
    loop = False
    while position < len(lines):
        line = lines[position].strip()
        if line.startswith("data_"):
            break
        position += 1
        if not line or line.startswith(("#", ";")):
            continue
        if line == "loop_" and not loop and not names:
            loop = True
        elif line.startswith("_"):
            tokens = _tokens(line)
            names.append(tokens[0][1:])
            if not loop:
                if len(tokens) < 2:
                    raise FormatError(f"{where}, line {position}: {tokens[0]} has no value.")
                pairs.append(tokens[1])
        elif loop and names:
            first = last = position - 1
            while last < len(lines) and lines[last].strip():  # an empty line ends a loop
                last += 1
            position = last
            break
        else:
            raise FormatError(f"{where}, line {position}: {line[:60]!r} has no place there.")
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        raise FormatError(f"{where}: column _{min(doubled)} stands there twice.")
    if not loop and names:
        return _string_table(names, [pairs]), position
    return _parse_rows(lines[first:last], first, names, where), position


def _parse_rows(lines: list[str], first: int, names: list[str], where: str) -> pd.DataFrame:
    rows: list[list[str]] = []
    plain = True
    for number, line in enumerate(lines, first + 1):
        if line.lstrip().startswith(("#", ";")):
            plain = False
            continue
        plain = plain and '"' not in line and "'" not in line
        tokens = _tokens(line)
        if len(tokens) != len(names):
            raise FormatError(
                f"{where}, line {number}: {len(tokens)} values for {len(names)} columns."
            )
        if len(lines) < _MANY_ROWS or not plain:
            rows.append(tokens)
    if len(rows) == len(lines) or not plain:
        if len(rows) < len(lines):
            rows = [_tokens(line) for line in lines if not line.lstrip().startswith(("#", ";"))]
        return _string_table(names, rows)
    # Large and plain: the counts are checked, so pandas' C parser can split them in less memory.
    import csv
    import io

    import pandas as pd

    return pd.read_csv(
        io.StringIO("\n".join(lines)),
        sep=r"\s+",
        header=None,
        names=names,
        dtype=str,
        na_filter=False,
        quoting=csv.QUOTE_NONE,
    ).astype(object)


def _string_table(names: list[str], rows: list[list[str]]) -> pd.DataFrame:
    import pandas as pd

    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    data = {
        name: np.array(column, dtype=object) for name, column in zip(names, columns, strict=True)
    }
    return pd.DataFrame(data, dtype=object)


def _tokens(line: str) -> list[str]:
    if '"' not in line and "'" not in line:
        return line.split()
    return [a or b or c for a, b, c in _TOKEN.findall(line)]


def format_star(
    blocks: Mapping[str, pd.DataFrame | Mapping[str, Sequence[object]]], lists: tuple[str, ...] = ()
) -> str:
    """Write tables as STAR text: same tables, same bytes.

    Parameters
    ----------
    blocks : mapping of str to DataFrame or mapping
        Block name to table (or to lists by column name), written in this order. Floats are written
        so that they read back equal; NaN as ``nan``; empty strings as ``none``.
    lists : tuple of str, optional
        Blocks of one row to write as a list of pairs instead of a loop.

    Returns
    -------
    str

    Raises
    ------
    InputError
        A string that STAR cannot hold: a ``#``, a line break, both kinds of quote with a space.
    """
    parts = ["# version 30001\n"]
    for name, table in blocks.items():
        names = [str(column) for column in table]
        columns = [_text_column(_values(table[column]), str(column)) for column in table]
        parts.append(f"\ndata_{name}\n\n")
        if name in lists and len(columns[0]) == 1:
            parts.extend(
                f"_{column} {values[0]}\n" for column, values in zip(names, columns, strict=True)
            )
        else:
            parts.append("loop_\n")
            parts.extend(f"_{column} #{i}\n" for i, column in enumerate(names, 1))
            parts.extend("\t".join(row) + "\n" for row in zip(*columns, strict=True))
        parts.append("\n")
    return "".join(parts)


def _values(column: Any) -> Any:
    return column.to_numpy() if hasattr(column, "to_numpy") else column


def _text_column(values: Any, name: str) -> list[str]:
    kind = getattr(values, "dtype", np.dtype(object)).kind
    if kind in "iu":
        return [str(v) for v in values.tolist()]
    if kind == "b":
        return [str(int(v)) for v in values.tolist()]
    if kind == "f":
        return [real_text(v) for v in values.tolist()]
    return [_text_value(value, name) for value in values]


def real_text(value: float) -> str:
    """Write a float as short as it reads back equal, whole numbers with a decimal.

    Parameters
    ----------
    value : float

    Returns
    -------
    str
    """
    return repr(float(value))


def _text_value(value: object, name: str) -> str:
    if isinstance(value, (bool, np.bool_)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        return real_text(float(value))
    text = "" if value is None else str(value)
    if _PLAIN.fullmatch(text):
        return text
    if text == "":
        return "none"
    if "#" in text or not text.isprintable():
        raise InputError(
            f"{name} {text!r} cannot be written to a STAR file: it has a '#' or a line break or "
            "another unprintable character; rename it."
        )
    plain = not any(character.isspace() for character in text)
    if plain and text[0] not in "\"'_;" and not text.startswith(("data_", "loop_")):
        return text
    for quote in ('"', "'"):
        if quote not in text:
            return f"{quote}{text}{quote}"
    raise InputError(
        f"{name} {text!r} cannot be written to a STAR file: it has spaces and both kinds of quote; "
        "rename it."
    )
