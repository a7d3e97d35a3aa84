"""The one way from STAR files to checked tables and back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from slabkit.errors import FormatError
from slabkit.formats.tables.atomic import write_pieces
from slabkit.formats.tables.paths import no_text, read_bytes
from slabkit.formats.tables.star import NotStarError, parse_columns, pieces_of
from slabkit.formats.tables.star_rows import Columns
from slabkit.formats.tables.star_writing import Blocks, star_pieces
from slabkit.tables import Schema, block_of, validate_table

if TYPE_CHECKING:
    import pandas as pd

PathLike = str | os.PathLike[str]


def read_text(source: PathLike) -> str:
    """Read a text file, or standard input for ``-``.

    Without byte-order mark, lines ending in a line feed alone; refused where it is not text.
    """
    data = read_bytes(source)
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise no_text(data, str(source)) from error


def read_table(source: PathLike, schema: Schema) -> pd.DataFrame:
    """Read one table, or standard input for ``-``, as `slabkit.tables.validate_table` gives it.

    Unknown columns are text. Refused where it is not STAR or not such a table.
    """
    return table_block(read_blocks(source, schema), schema, str(source))


def read_blocks(
    source: PathLike | Iterator[bytes], *schemas: Schema, where: str = ""
) -> dict[str, Columns]:
    """Read every block of a STAR file, or of pieces of one, numbers where a schema has them.

    ``where`` is what messages begin with, without it the path.
    """
    pieces = pieces_of(source) if isinstance(source, (str, os.PathLike)) else source
    kinds = {one.block: {column.name: column.kind for column in one.columns} for one in schemas}
    try:
        return parse_columns(
            pieces, where or str(source), lambda block: kinds.get(block, {}), objects=False
        )
    except NotStarError as error:
        if not schemas:
            raise
        wanted = schemas[0]
        raise FormatError(
            f"{error} A {wanted.name} table is needed; {wanted.written_by}."
        ) from None


def table_block(
    blocks: dict[str, Columns] | dict[str, pd.DataFrame], schema: Schema, where: str
) -> pd.DataFrame:
    """Take a schema's block of those of a file, as a checked table.

    ``none`` in further columns is empty as well.
    """
    import pandas as pd

    block = block_of(blocks, schema, where)
    if isinstance(block, pd.DataFrame):
        block = dict(block.items())
    known = set(schema.names)
    columns = {}
    for name in list(block):
        values = block.pop(name)  # column by column, to need less memory
        text = name not in known or schema[name].kind == "string"
        dtype = "str" if text and values.dtype == object else None
        columns[name] = pd.Series(values, dtype=dtype, copy=False)
        if name not in known:
            none = (columns[name] == "none").to_numpy(dtype=bool)
            columns[name] = columns[name].mask(none, "") if none.any() else columns[name]
    return validate_table(pd.DataFrame(columns, copy=False), schema, where)


def write_table(target: PathLike, table: pd.DataFrame, schema: Schema) -> None:
    """Write one table, which is checked, as its schema's block, or to standard output for ``-``."""
    write_blocks(target, {schema.block: validate_table(table, schema)})


def write_blocks(target: PathLike, blocks: Blocks, lists: tuple[str, ...] = ()) -> None:
    """Write tables as a STAR file, or to standard output for ``-``.

    ``blocks`` are as `slabkit.formats.tables.star_writing.format_star` takes them; those named in
    ``lists``, of one row, are written as a list of pairs.
    """
    write_pieces(target, star_pieces(blocks, lists))
