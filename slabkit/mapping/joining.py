"""Which slab a 2D pick was made on, and whether slabs, picks and tomogram fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError, warn
from slabkit.names import MicrographNames
from slabkit.tables import SLABS, TOMOGRAMS, make_table, rows_named, validate_table
from slabkit.tomogram import Tomogram
from slabkit.units import Contrast, opposite_contrast, voxel_sizes_equal

if TYPE_CHECKING:
    import pandas as pd

# One pick in twenty may lie off its image (pickers work on padded images); more is a wrong unit.
_MOST_OUTSIDE = 0.05
_BINNINGS = (2, 4, 6, 8)
_ENOUGH_TO_JUDGE = 50


def match_micrographs(
    picks2d: pd.DataFrame, slabs: pd.DataFrame, where: str = "picks2d"
) -> npt.NDArray[np.int64]:
    """Find the slab (row of the slab table) of every 2D pick by ``rlnMicrographName``.

    Names are joined as `slabkit.names.MicrographNames` says. ``where`` begins messages.
    """
    names = slabs["rlnMicrographName"].tolist()
    found = MicrographNames(names).match(picks2d["rlnMicrographName"], where)
    row = {name: row for row, name in enumerate(names)}
    return np.array([row[found[name]] for name in picks2d["rlnMicrographName"]], dtype=np.int64)


def tomogram_table(slabs: pd.DataFrame, contrast: Contrast | None = None) -> pd.DataFrame:
    """List the tomograms of a slab table, in its order, as a pick list names them (`TOMOGRAMS`).

    ``contrast`` is recorded instead of what the slab table says.
    """
    first = slabs.drop_duplicates("rlnTomoName")
    columns: dict[str, Any] = {
        name: first[name].to_numpy() for name in TOMOGRAMS.names if name in first
    }
    columns["slabkitTomogram"] = first["rlnTomoName"].to_numpy()
    table = make_table(TOMOGRAMS, columns)
    return table if contrast is None else table.assign(slabkitTomogramContrast=contrast)


def check_slabs(slabs: pd.DataFrame, tomogram: Tomogram) -> pd.DataFrame:
    """Check that slabs were made of a tomogram."""
    slabs = validate_table(slabs, SLABS)
    others = sorted(set(slabs["rlnTomoName"]) - {tomogram.name})
    if others:
        raise InputError(
            f"the slab table names {', '.join(others[:3])}, the tomogram is {tomogram.name}; "
            "give the slabs of one tomogram."
        )
    for axis, size in zip("ZYX", tomogram.shape, strict=True):
        said = slabs[f"slabkitTomogramSize{axis}"].to_numpy()
        if (said != size).any():
            raise InputError(
                f"{tomogram.label}: has {size} voxels along {axis.lower()}, but its slabs were "
                f"made of {int(said[said != size][0])} ({rows_named(said != size)} of the slab "
                "table); make the slabs again."
            )
    for said in slabs["slabkitVoxelSize"].unique().tolist():
        if not voxel_sizes_equal(said, tomogram.voxel_size):
            raise InputError(
                f"{tomogram.label}: its voxel size is {tomogram.voxel_size:g} Å, but its slabs "
                f"were made with {said:g} Å; give --voxel-size {said:g} or make the slabs again."
            )
    start, count = slabs["slabkitZStart"].to_numpy(), slabs["slabkitZCount"].to_numpy()
    wrong = (start < 0) | (count < 1) | (start + count > tomogram.shape[0])
    if wrong.any():
        raise InputError(
            f"{tomogram.label}: {rows_named(wrong)} of its slabs reach out of its "
            f"{tomogram.shape[0]} planes."
        )
    contrasts = sorted(set(slabs["slabkitTomogramContrast"]))
    if len(contrasts) > 1:
        raise InputError(
            f"{tomogram.label}: its slabs disagree on its contrast ({', '.join(contrasts)}); give "
            "--contrast."
        )
    return slabs


def inside_image(picks2d: pd.DataFrame, tomogram: Tomogram, where: str) -> npt.NDArray[np.bool_]:
    """Tell which picks lie on their image, and refuse a list in another unit."""
    x = picks2d["rlnCoordinateX"].to_numpy(dtype=float)
    y = picks2d["rlnCoordinateY"].to_numpy(dtype=float)
    _, height, width = tomogram.shape

    def inside(factor: float) -> npt.NDArray[np.bool_]:
        u, v = x * factor, y * factor
        across = (u >= -0.5) & (u <= width - 0.5)
        return np.asarray(across & (v >= -0.5) & (v <= height - 0.5))

    within = inside(1.0)
    outside = int((~within).sum())
    size = f"{width} × {height} pixels"
    if outside > _MOST_OUTSIDE * len(x):
        readings = [f"read as Å {_percent(inside(1 / tomogram.voxel_size))} would be"]
        readings += [
            f"with binning {binning} undone {_percent(inside(1 / binning))}"
            for binning in _BINNINGS
            if inside(1 / binning).all()
        ][:1]
        raise InputError(
            f"{where}: {outside} of {len(x)} picks lie outside their slabs of {size}: read as "
            f"pixels {_percent(within)} are inside, {', '.join(readings)}; give coordinates in "
            "pixels of the slab images."
        )
    if outside:
        first = int(np.flatnonzero(~within)[0])
        warn(
            f"{where}: {outside} of {len(x)} picks lie outside their slabs of {size} (the first at "
            f"x={x[first]:g}, y={y[first]:g}); they are left out."
        )
    elif len(x) >= _ENOUGH_TO_JUDGE and x.max() < width / 2 and y.max() < height / 2:
        warn(
            f"{where}: all {len(x)} picks lie in the first half of both axes of their slabs of "
            f"{size}; were they made on binned images or written in another unit?"
        )
    return within


def image_contrast(slabs: pd.DataFrame, tomogram: Tomogram, contrast: Contrast | None) -> Contrast:
    """Settle the tomogram's contrast: as asked, else as the slab table says, else its own."""
    if contrast is not None:
        opposite_contrast(contrast)  # refuses other words
        return contrast
    if len(slabs):
        recorded: Contrast = slabs["slabkitTomogramContrast"].iloc[0]
        opposite_contrast(recorded)
        return recorded
    return tomogram.contrast


def _percent(inside: npt.NDArray[np.bool_]) -> str:
    return f"{100 * inside.mean():.0f} %"
