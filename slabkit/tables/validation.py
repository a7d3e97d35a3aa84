"""Making and checking tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError
from slabkit.tables.schemas import DECISIONS, Column, Schema

if TYPE_CHECKING:
    import pandas as pd

_DTYPES = {"string": "str", "integer": "int64", "real": "float64"}


def empty_table(schema: Schema) -> pd.DataFrame:
    """Make the table with no rows.

    Parameters
    ----------
    schema : Schema

    Returns
    -------
    DataFrame
        All columns of the schema with their types, no rows.
    """
    return make_table(schema, {column.name: [] for column in schema.columns})


def make_table(schema: Schema, columns: dict[str, Any]) -> pd.DataFrame:
    """Make a table from columns, filling in defaults.

    Parameters
    ----------
    schema : Schema
    columns : dict of str to array-like
        At least the required columns, all of one length; scalars are repeated.

    Returns
    -------
    DataFrame
        Checked as by `validate_table`.

    Raises
    ------
    InputError
        As `validate_table`.
    """
    import pandas as pd

    return validate_table(pd.DataFrame(columns), schema)


def validate_table(table: pd.DataFrame, schema: Schema, where: str = "") -> pd.DataFrame:
    """Check a table against its schema and give it in canonical form.

    Parameters
    ----------
    table : DataFrame
        Left as it is.
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
    names = [str(name) for name in table.columns]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise InputError(f"{where}: column {_listed(doubled)} appears more than once.")
    missing = [c.name for c in schema.columns if c.required and c.name not in names]
    if missing:
        raise InputError(
            f"{where}: a {schema.name} table needs the column {_listed(missing)}; it has "
            f"{_listed(names) or 'none'}."
        )
    result: dict[str, Any] = {}
    for column in schema.columns:
        if column.name in names:
            result[column.name] = _typed(table[column.name].to_numpy(), column, where)
        else:
            value = np.full(len(table), column.default, dtype=object)
            result[column.name] = _typed(value, column, where)
    for name in names:
        if name not in result:
            result[name] = table[name].to_numpy()
    checked = pd.DataFrame(result)
    for column in schema.columns:
        checked[column.name] = checked[column.name].astype(_DTYPES[column.kind])
    if "slabkitDecision" in schema.names:
        require_values(checked, "slabkitDecision", DECISIONS, where)
    return checked


def require_values(
    table: pd.DataFrame, column: str, allowed: Sequence[str], where: str = "table"
) -> None:
    """Refuse a table in which a column has a value that is not allowed.

    Parameters
    ----------
    table : DataFrame
    column : str
    allowed : sequence of str
    where : str, optional
        What the message begins with.

    Raises
    ------
    InputError
        Names the rows (from 1), the value and what is allowed.
    """
    wrong = ~table[column].isin(list(allowed)).to_numpy(dtype=bool)
    if wrong.any():
        value = table[column].iloc[int(np.flatnonzero(wrong)[0])]
        raise InputError(
            f"{where}: {column} is {_shown(value)} in {rows_named(wrong)}; "
            f"it must be one of {', '.join(allowed)}."
        )


def require_unique(table: pd.DataFrame, column: str, where: str = "table") -> None:
    """Refuse a table in which a column repeats a value.

    Parameters
    ----------
    table : DataFrame
    column : str
    where : str, optional
        What the message begins with.

    Raises
    ------
    InputError
        Names the first repeated value and its rows (from 1).
    """
    repeated = table[column].duplicated(keep=False).to_numpy(dtype=bool)
    if repeated.any():
        value = table[column].iloc[int(np.flatnonzero(repeated)[0])]
        same = (table[column] == value).to_numpy(dtype=bool)
        raise InputError(f"{where}: {column} {value!r} appears in {rows_named(same)}.")


def rows_named(wrong: npt.NDArray[np.bool_], most: int = 5) -> str:
    """Name the rows that are wrong, as a message does.

    Parameters
    ----------
    wrong : ndarray of bool, shape (rows,)
    most : int, optional
        How many to name before counting the rest.

    Returns
    -------
    str
        For instance ``row 3`` or ``rows 1, 2, 3, 4, 5 and 12 more``, counted from 1.
    """
    rows = (np.flatnonzero(wrong) + 1).tolist()
    named = ", ".join(str(row) for row in rows[:most])
    more = f" and {len(rows) - most} more" if len(rows) > most else ""
    return f"{'rows' if len(rows) > 1 else 'row'} {named}{more}"


def _typed(values: npt.NDArray[Any], column: Column, where: str) -> npt.NDArray[Any]:
    if column.kind == "string":
        return _strings(values, column, where)
    try:
        if not _plain(values):
            raise ValueError
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.array([parse_real(value) for value in values], dtype=np.float64)
        unreadable = np.array([parse_real(v) is None for v in values], dtype=bool)
        if unreadable.any():
            value = values[int(np.flatnonzero(unreadable)[0])]
            raise InputError(
                f"{where}: {column.name} is {_shown(value)} in {rows_named(unreadable)}; it must "
                "be a number (with a decimal point)."
            ) from None
    if column.kind == "integer":
        wrong = ~np.isfinite(numbers) | (numbers != np.round(numbers))
        if wrong.any():
            value = values[int(np.flatnonzero(wrong)[0])]
            raise InputError(
                f"{where}: {column.name} is {_shown(value)} in {rows_named(wrong)}; it must be a "
                "whole number."
            )
        return numbers.astype(np.int64)
    if column.required and not np.isfinite(numbers).all():
        wrong = ~np.isfinite(numbers)
        value = values[int(np.flatnonzero(wrong)[0])]
        raise InputError(
            f"{where}: {column.name} is {_shown(value)} in {rows_named(wrong)}; it must be a "
            "finite number."
        )
    return numbers


def _strings(values: npt.NDArray[Any], column: Column, where: str) -> npt.NDArray[Any]:
    listed = values.tolist()
    if set(map(type, listed)) <= {str} and not (column.required and "" in listed):
        return np.asarray(listed, dtype=object)
    result = np.empty(len(values), dtype=object)
    for row, value in enumerate(listed):
        if not isinstance(value, str):
            if column.required or value is None or value != value:  # NaN is not itself
                raise InputError(
                    f"{where}: {column.name} in row {row + 1} is {_shown(value)}, which is not a "
                    "string."
                )
            value = str(value)
        result[row] = value
    if column.required and len(values) and (result == "").any():
        wrong = result == ""
        raise InputError(f"{where}: {column.name} is empty in {rows_named(wrong)}.")
    return result


def _plain(values: npt.NDArray[Any]) -> bool:
    """Tell whether no text has ``_`` or the digits of other scripts, which Python reads."""
    if values.dtype.kind not in "OUST":
        return True
    text = "".join(value for value in values.tolist() if isinstance(value, str))
    return "_" not in text and text.isascii()


def parse_real(value: object) -> float | None:
    """Read a number as every program does; None for what is none.

    Python alone reads ``1_000`` and the digits of other scripts.
    """
    if isinstance(value, str) and ("_" in value or not value.isascii()):
        return None
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def _shown(value: object) -> str:
    return repr(value.item() if isinstance(value, np.generic) else value)
