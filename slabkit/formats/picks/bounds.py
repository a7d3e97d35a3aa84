"""Whether positions lie in their tomograms, or the unit was another one.

Pixels taken for ångström crowd in a corner, ångström taken for pixels lie far outside, and so do
unbinned pixels in a binned volume. All of it shows when positions are compared with the volume.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError, warn

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.formats.file_format import ParsedPicks
    from slabkit.formats.picks.given import Context

_FIT = 0.95
_PIECE = 50_000
_BINNINGS = (2, 4, 6, 8)
_FEW_PICKS = 10
_READINGS = {"angstrom": ("Å", "px"), "px": ("px", "Å"), "fraction": ("fractions", "px")}


def check_bounds(
    parsed: ParsedPicks, unit: str, context: Context, where: str, binnings: bool = True
) -> None:
    """Refuse positions of which more than 5 % lie outside their tomograms.

    Where the size or voxel size of a tomogram is not known, only negative positions count as
    outside. ``unit`` is the file's: angstrom, px or fraction; ``binnings``: `FileFormat.binnings`.
    """
    names = list(parsed.columns["slabkitTomogram"])
    if not names:
        return
    positions = np.column_stack([parsed.columns[f"slabkit{axis}"] for axis in "XYZ"])
    sizes, voxel_size = context.known_sizes(names), context.known_voxel_sizes(names)
    known = np.isfinite(voxel_size) & (sizes > 0).all(axis=1)
    _refuse_negative(positions[~known], voxel_size[~known], where)
    if not known.any():
        return
    p, size, voxel = positions[known], sizes[known], voxel_size[known, None]
    length = np.asarray(parsed.unit_length, dtype=float)
    length = length[:, None] if length.ndim == 1 else length
    length = np.broadcast_to(length, positions.shape)[known]
    origin = np.broadcast_to(np.asarray(parsed.zero, dtype=float), positions.shape)[known]
    in_file_units = (p - origin) / length
    fits = _inside(p, size, voxel)
    other_length = np.ones_like(voxel) if unit == "px" else voxel
    other = _inside(in_file_units * other_length + origin, size, voxel)
    as_unit, as_other = _READINGS[unit]
    if fits < _FIT:
        divided = [
            factor
            for factor in _BINNINGS
            if _inside((p - origin) / factor + origin, size, voxel) >= _FIT
        ]
        hint = ""
        if divided:  # it lies in some tomogram for every larger factor too
            hint = (
                f"; divided by {divided[0]} (binning), 95 % or more, which does not say that "
                "this is the binning: it is the voxel size over the pixel size of the picks"
            )
        remedy = "--unit or --binning, --voxel-size where the volume's is wrong,"
        if unit == "px" and not binnings:
            remedy = (
                "--unit, --voxel-size where the volume's is wrong (of pixels of another size make "
                "slabkit's own list first: slabkit convert --voxel-size (that of the pixels), "
                "without --tomograms),"
            )
        raise InputError(
            f"{where}: {round((1 - fits) * len(p))} of {len(p)} picks lie outside their "
            f"tomograms: read as {as_unit} {100 * fits:.0f} % lie inside, read as {as_other} "
            f"{100 * other:.0f} %{hint}. Give the right --from, {remedy} or "
            "--no-check-bounds if they are right."
        )
    if unit == "angstrom" and len(p) >= _FEW_PICKS and other >= _FIT and (voxel > 1.5).all():
        warn(
            f"{where}: all {len(p)} picks lie in one corner of their tomograms, as if they were "
            f"voxels and not Å (read as px {100 * other:.0f} % lie inside too)."
        )


def are_inside(
    positions: npt.NDArray[np.float64],
    sizes: npt.NDArray[np.float64],
    voxel_size: npt.NDArray[np.float64],
) -> npt.NDArray[np.bool_]:
    """Tell which positions are between the outer faces of the first and the last voxel."""
    index = positions / voxel_size
    # The faces themselves belong to the volume, also after rounding.
    inside = (index >= -0.5 - 1e-6) & (index <= sizes - 0.5 + 1e-6)
    return np.asarray(inside.all(axis=1))


def count_outside(picks: pd.DataFrame, tomograms: pd.DataFrame) -> int:
    """Count the picks that lie outside their tomograms.

    Where size or voxel size of a tomogram is not known, none of its picks counts.
    """
    import pandas as pd

    sizes = tomograms[[f"slabkitTomogramSize{axis}" for axis in "XYZ"]].to_numpy(float)
    voxel = tomograms[["slabkitVoxelSize"]].to_numpy(float)
    known = (sizes > 0).all(axis=1) & (voxel > 0).all(axis=1)
    if not len(picks) or not known.any():
        return 0
    codes, names = pd.factorize(picks["slabkitTomogram"])
    rows = pd.Index(tomograms["slabkitTomogram"]).get_indexer(pd.Index(names))[codes]
    axes = [picks[f"slabkit{axis}"].to_numpy(float) for axis in "XYZ"]
    outside = 0
    for start in range(0, len(rows), _PIECE):  # to need less memory
        own = rows[start : start + _PIECE]
        positions = np.column_stack([axis[start : start + _PIECE] for axis in axes])
        inside = are_inside(positions, sizes[own], voxel[own])
        outside += int((known[own] & ~inside).sum())
    return outside


def _inside(
    positions: npt.NDArray[np.float64],
    sizes: npt.NDArray[np.float64],
    voxel_size: npt.NDArray[np.float64],
) -> float:
    """Give the fraction of positions that are inside."""
    # Nineteen of twenty are 95 %, although their quotient is not in binary.
    return round(float(are_inside(positions, sizes, voxel_size).mean()), 12)


def _refuse_negative(
    positions: npt.NDArray[np.float64], voxel_size: npt.NDArray[np.float64], where: str
) -> None:
    half_voxel = np.where(np.isfinite(voxel_size), voxel_size, 0.0)[:, None] / 2
    negative = (positions < -half_voxel * (1 + 1e-6)).any(axis=1)
    if len(positions) and round(1 - float(negative.mean()), 12) < _FIT:
        raise InputError(
            f"{where}: {int(negative.sum())} of {len(positions)} picks have negative positions, "
            "though this format counts from the tomogram's corner; is it another format "
            "(RELION 5 counts from the centre)? Give the right --from, or --no-check-bounds if "
            "they are right."
        )
