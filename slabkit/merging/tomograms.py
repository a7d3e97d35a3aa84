"""The tomogram tables of several pick lists, as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from slabkit.errors import InputError
from slabkit.tables import TOMOGRAMS, validate_table
from slabkit.units import voxel_sizes_equal

if TYPE_CHECKING:
    import pandas as pd


def merge_tomograms(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Pool the tomogram tables of pick lists.

    Parameters
    ----------
    tables : sequence of DataFrame
        Columns of `slabkit.tables.TOMOGRAMS`.

    Returns
    -------
    DataFrame
        One row a tomogram, in the order of first appearance; what one list does not know (size 0,
        voxel size NaN, no file) is taken from another.

    Raises
    ------
    InputError
        Two lists contradict each other about a size, voxel size or contrast.
    """
    import pandas as pd

    known: dict[str, dict[str, Any]] = {}
    for table in tables:
        for row in validate_table(table, TOMOGRAMS).to_dict("records"):
            name = row["slabkitTomogram"]
            old = known.setdefault(name, row)
            for column, value in row.items():
                if old[column] in ("", 0) or old[column] != old[column]:
                    old[column] = value
                elif column != "slabkitTomogramFile" and not _agree(column, old[column], value):
                    raise InputError(
                        f"tomogram {name}: one list says {column} {old[column]}, another {value}; "
                        "convert them to the same volume first."
                    )
    return validate_table(pd.DataFrame(list(known.values()), columns=TOMOGRAMS.names), TOMOGRAMS)


def _agree(column: str, one: Any, other: Any) -> bool:
    if other in ("", 0) or other != other:
        return True
    if column == "slabkitVoxelSize":
        return voxel_sizes_equal(one, other)
    return bool(one == other)
