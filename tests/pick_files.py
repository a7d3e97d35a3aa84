"""Pick lists of a few rows, and files of picks that may be damaged."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, settings

from slabkit.errors import SlabkitError, SlabkitWarning
from slabkit.formats.picks.reading import read_picks
from slabkit.formats.picks.writing import write_picks
from slabkit.formats.tables.native import PickList
from slabkit.tables import PICKS, TOMOGRAMS, make_table, new_pick_ids

SLOW = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def tomogram_table(**sizes: tuple[int, int, int, float]) -> pd.DataFrame:
    """Rows of name = (x, y, z, voxel size)."""
    x, y, z, voxel = zip(*sizes.values(), strict=True)
    columns = {"slabkitTomogram": list(sizes), "slabkitVoxelSize": list(voxel)}
    for axis, values in zip("XYZ", (x, y, z), strict=True):
        columns[f"slabkitTomogramSize{axis}"] = list(values)
    return make_table(TOMOGRAMS, columns)


# Odd and even sizes, three different sides.
TWO_TOMOGRAMS = tomogram_table(**{"TS_1": (101, 80, 41, 7.3), "00255": (64, 91, 30, 10.012)})

STOPGAP = [
    *("motl_idx", "tomo_num", "object", "subtomo_num", "halfset", "orig_x", "orig_y", "orig_z"),
    *("score", "x_shift", "y_shift", "z_shift", "phi", "psi", "the", "class"),
]


def pick_list(rows: list[tuple[Any, ...]], tomograms: pd.DataFrame = TWO_TOMOGRAMS) -> PickList:
    """Rows of tomogram, species, x, y, z."""
    tomogram, species, x, y, z = zip(*rows, strict=True) if rows else ([], [], [], [], [])
    columns = {
        "slabkitPickId": new_pick_ids(tomogram, x, y, z),
        "slabkitTomogram": list(tomogram),
        "slabkitSpecies": list(species),
        **{f"slabkit{a}": np.array(v, float) for a, v in zip("XYZ", (x, y, z), strict=True)},
    }
    return PickList(make_table(PICKS, columns), tomograms)


def xyz(picks: PickList) -> np.ndarray:
    return picks.picks[["slabkitX", "slabkitY", "slabkitZ"]].to_numpy()


def read_or_refuse(
    path: Path,
    data: bytes,
    name: str | None,
    tomograms: pd.DataFrame = TWO_TOMOGRAMS,
    **options: Any,
) -> None:
    """Write bytes as a file of the format: a `SlabkitError`, or picks that can be written again."""
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlabkitWarning)
        try:
            picks = read_picks(path, format=name, tomograms=tomograms, **options)
            write_picks(path.with_name("again.csv"), picks)
            write_picks(path.with_name("again.star"), picks)
            again = read_picks(path.with_name("again.star"))
        except SlabkitError:
            return
    assert np.isfinite(xyz(picks)).all()
    assert picks.picks["slabkitPickId"].is_unique
    assert set(picks.picks["slabkitTomogram"]) <= set(tomograms["slabkitTomogram"])
    np.testing.assert_array_equal(xyz(again), xyz(picks))
