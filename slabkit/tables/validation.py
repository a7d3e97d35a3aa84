"""Making and checking tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError
from slabkit.tables.schemas import DECISIONS, Column, Schema

if TYPE_CHECKING:
    import pandas as pd

_MOST_COLUMNS = 4096
_PIECE = 50_000
_DTYPES = {"string": "str", "integer": "int64", "real": "float64"}


def rotation_text(matrix: npt.NDArray[np.float64]) -> str:
    """Write a 3 × 3 matrix as the column `ROTATION` has it."""
    return ",".join(repr(float(value) + 0.0) for value in matrix.ravel())


def empty_table(schema: Schema) -> pd.DataFrame:
    """Make the table with no rows: all columns of the schema with their types."""
    return make_table(schema, {column.name: [] for column in schema.columns})


def make_table(schema: Schema, columns: dict[str, Any]) -> pd.DataFrame:
    """Make a table from columns, filling in defaults, checked as by `validate_table`.

    At least the required columns, all of one length; scalars are repeated.
    """
    import pandas as pd

    return validate_table(pd.DataFrame(columns), schema)


def validate_table(
    table: pd.DataFrame | Mapping[str, pd.DataFrame], schema: Schema, where: str = ""
) -> pd.DataFrame:
    """Check a table against its schema and give it in canonical form.

    Parameters
    ----------
    table : DataFrame or mapping of str to DataFrame
        Left as it is. All blocks of a file, as `starfile.read` gives them, are taken too.
    schema : Schema
    where : str, optional
        What the message begins with, a file name for instance.

    Returns
    -------
    DataFrame
        A new table: the schema's columns first, in order and typed, missing optional ones filled
        with their defaults; then unknown columns as they are; index 0 to n-1.

    Raises
    ------
    InputError
        A required column is missing, columns are doubled, or a value is not of the column's kind
        (required reals must be finite). Says which rows, counted from 1.
    """
    import pandas as pd

    where = where or f"{schema.name} table"
    table = block_of(table, schema, where)
    names = [str(name) for name in table.columns]
    if (doubled := repeated(names)) is not None:
        raise InputError(f"{where}: column {doubled} appears more than once.")
    missing = [c.name for c in schema.columns if c.required and c.name not in names]
    if missing:
        raise InputError(
            f"{where}: a {schema.name} table needs the column {', '.join(missing)}; it has "
            f"{names_listed(names)}."
        )
    result: dict[str, pd.Series] = {}
    for column in schema.columns:
        if column.name not in names:
            default = np.full(len(table), column.default, dtype=object)
            result[column.name] = pd.Series(default, dtype=_DTYPES[column.kind])
        else:
            read = _strings if column.kind == "string" else _numbers
            result[column.name] = read(table[column.name], column, where)
    for name in names:
        if name not in result:
            result[name] = _as_it_is(table[name])
    checked = pd.DataFrame(result, copy=False)
    if "slabkitDecision" in schema.names:
        require_values(checked, "slabkitDecision", DECISIONS, where)
    return checked


def block_of(
    table: pd.DataFrame | Mapping[str, pd.DataFrame], schema: Schema, where: str
) -> pd.DataFrame:
    """Give a schema's block of all the blocks of a file; a single table as it is."""
    if not isinstance(table, Mapping):
        return table
    if schema.block not in table:
        there = ", ".join(filter(None, table)) or "none"
        raise InputError(
            f"{where}: has no block data_{schema.block} (it has {there}), so it is not a "
            f"{schema.name} table; {schema.written_by}."
        )
    return table[schema.block]


def require_values(
    table: pd.DataFrame, column: str, allowed: Sequence[str], where: str = "table"
) -> None:
    """Refuse a table in which a column has a value that is not allowed, naming rows and value."""
    wrong = ~table[column].isin(list(allowed)).to_numpy(dtype=bool)
    if wrong.any():
        value = table[column].iloc[int(np.flatnonzero(wrong)[0])]
        raise InputError(
            f"{where}: {column} is {_shown(value)} in {rows_named(wrong)}; "
            f"it must be one of {', '.join(allowed)}."
        )


def require_unique(table: pd.DataFrame, column: str, where: str = "table") -> None:
    """Refuse a table in which a column repeats a value, naming the first one and its rows."""
    if has_repeats(table[column]):
        repeated = table[column].duplicated(keep=False).to_numpy(dtype=bool)
        value = table[column].iloc[int(np.flatnonzero(repeated)[0])]
        same = (table[column] == value).to_numpy(dtype=bool)
        raise InputError(f"{where}: {column} {value!r} appears in {rows_named(same)}.")


def has_repeats(values: pd.Series) -> bool:
    """Tell whether a column repeats a value, in less memory than a set of them takes."""
    pieces = (values.iloc[i : i + _PIECE].tolist() for i in range(0, len(values), _PIECE))
    hashes = np.fromiter(map(hash, chain.from_iterable(pieces)), np.int64, len(values))
    hashes.sort()
    return bool((hashes[1:] == hashes[:-1]).any()) and not values.is_unique


def rows_named(wrong: npt.NDArray[np.bool_], most: int = 5) -> str:
    """Name the rows that are wrong, counted from 1, as a message does, ``most`` of them.

    For instance ``row 3`` or ``rows 1, 2, 3, 4, 5 and 12 more``.
    """
    rows = (np.flatnonzero(wrong) + 1).tolist()
    named = ", ".join(str(row) for row in rows[:most])
    more = f" and {len(rows) - most} more" if len(rows) > most else ""
    return f"{'rows' if len(rows) > 1 else 'row'} {named}{more}"


def names_listed(names: Iterable[str], most: int = 40) -> str:
    """List names, of columns say, as a message does; ``none`` where there is none."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return (", ".join(listed[:most]) or "none") + more


def check_width(count: int, where: str) -> None:
    """Refuse more columns than any table has: to read a hundred thousand takes minutes."""
    if count > _MOST_COLUMNS:
        raise InputError(
            f"{where}: has more than {_MOST_COLUMNS} columns, as no table of picks or images has, "
            "so it is not read."
        )


def repeated(names: Sequence[str]) -> str | None:
    """Give the first by the alphabet of the names that appear more than once."""
    if len(set(names)) == len(names):
        return None
    return min(name for name, count in Counter(names).items() if count > 1)


def parse_real(value: object) -> float | None:
    """Read a number as every program does; None for what is none.

    Python alone reads ``1_000`` and the digits of other scripts.
    """
    if isinstance(value, str) and ("_" in value or not value.isascii()):
        return None
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None


def _as_it_is(values: pd.Series) -> pd.Series:
    import pandas as pd

    if values.dtype.kind in "iuf" or isinstance(values.dtype, pd.StringDtype):
        return values.reset_index(drop=True)
    return pd.Series(values.to_numpy(), copy=True)


def _numbers(series: pd.Series, column: Column, where: str) -> pd.Series:
    import pandas as pd

    values, about = series.to_numpy(), f"{where}: {column.name}"
    if values.dtype.kind in "iufb":
        numbers = values
    else:
        read = [parse_real(value) for value in values]
        wrong = np.array([number is None for number in read], dtype=bool)
        _refuse(wrong, values, about, "it must be a number (with a decimal point)")
        numbers = np.array(read, dtype=np.float64)
    if column.kind == "integer" and numbers.dtype.kind not in "iub":
        wrong = ~(abs(numbers) < 2.0**63) | (numbers != np.round(numbers))
        _refuse(wrong, values, about, "it must be a whole number")
    if column.kind == "real" and column.required:
        _refuse(~np.isfinite(numbers), values, about, "it must be a finite number")
    if series.dtype == _DTYPES[column.kind]:
        return series.reset_index(drop=True)
    return pd.Series(numbers.astype(_DTYPES[column.kind]))


def _refuse(wrong: npt.NDArray[np.bool_], values: npt.NDArray[Any], about: str, due: str) -> None:
    if wrong.any():
        value = values[int(np.flatnonzero(wrong)[0])]
        raise InputError(f"{about} is {_shown(value)} in {rows_named(wrong)}; {due}.")


def _strings(values: pd.Series, column: Column, where: str) -> pd.Series:
    """Give texts; in optional columns ``none`` and missing values are the empty text."""
    import pandas as pd

    texts = values.reset_index(drop=True)
    if not isinstance(texts.dtype, pd.StringDtype) or texts.hasnans:
        objects = texts.to_numpy(dtype=object)
        if pd.api.types.infer_dtype(objects, skipna=False) not in ("string", "empty"):
            objects = _as_text(objects, column, where)
        texts = pd.Series(objects, dtype="str")
    if column.default == "":
        none = (texts == "none").to_numpy(dtype=bool)
        return texts.mask(none, "") if none.any() else texts
    empty = (texts == "").to_numpy(dtype=bool)
    if column.required and empty.any():
        raise InputError(f"{where}: {column.name} is empty in {rows_named(empty)}.")
    return texts


def _as_text(objects: npt.NDArray[Any], column: Column, where: str) -> npt.NDArray[Any]:
    listed = objects.tolist()
    for row, value in enumerate(listed):
        if isinstance(value, str):
            continue
        missing = value is None or value != value  # NaN is not itself
        if column.required or (missing and column.default != ""):
            raise InputError(
                f"{where}: {column.name} in row {row + 1} is {_shown(value)}, which is not a "
                f"string; if starfile read it, starfile.read(..., parse_as_string="
                f"['{column.name}']) keeps names as they are."
            )
        listed[row] = "" if missing else str(value)
    return np.array(listed, dtype=object)


def _shown(value: object) -> str:
    return repr(value.item() if isinstance(value, np.generic) else value)
