"""Minislabs: the projection of a box about each pick of a tomogram."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slabkit.arrays.parallel import map_in_order
from slabkit.arrays.projections import BoxShape, box_groups, project_boxes
from slabkit.errors import InputError, warn
from slabkit.tomogram import Tomogram, TomogramVoxels
from slabkit.units import Angstrom, length_to_even_voxels, positive_length, voxel_sizes_equal

if TYPE_CHECKING:
    import pandas as pd

Images = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

_LARGEST_TILT = 75.0
_BATCH_BYTES = 32 << 20

Put = Callable[[npt.NDArray[np.int64], int, Images, Floats], None]
"""Takes images and fractions: of which rows, of which view. Called by several threads."""


@dataclass(frozen=True)
class Minislabs:
    """Images of boxes about picks, as projected: in the units of the tomogram.

    Parameters
    ----------
    images : ndarray of float32, shape (n, y, x)
        Mean along the depth of the box. The pick is at index ``box // 2`` of either axis. Pixels
        outside the volume hold the mean of that image's pixels inside; 0 if none is inside.
    inside_fraction : ndarray of float64, shape (n,)
        Part of the box that is inside the volume, 0 to 1.
    row : ndarray of int64, shape (n,)
        Which row of the pick table each image is of, from 0.
    tilt : ndarray of float64, shape (n,)
        Degrees about the y axis.
    """

    images: Images
    inside_fraction: Floats
    row: npt.NDArray[np.int64]
    tilt: Floats

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        y, x = self.images.shape[1:]
        return f"<Minislabs: {len(self)} images of {x} × {y} pixels>"

    def __getitem__(self, part: slice) -> Minislabs:
        """Give a stretch of them; the arrays are views."""
        return Minislabs(
            self.images[part], self.inside_fraction[part], self.row[part], self.tilt[part]
        )

    def joined(self, other: Minislabs) -> Minislabs:
        """Give these and then the others, of the same size."""
        return Minislabs(
            np.concatenate([self.images, other.images]),
            np.concatenate([self.inside_fraction, other.inside_fraction]),
            np.concatenate([self.row, other.row]),
            np.concatenate([self.tilt, other.tilt]),
        )


def project_minislabs(
    tomogram: Tomogram,
    picks: pd.DataFrame,
    *,
    box: Angstrom,
    depth: Angstrom,
    tilts: Sequence[float] = (0.0,),
    pixel_size: Angstrom | None = None,
    batch_size: int | None = None,
    jobs: int = 1,
) -> Iterator[Minislabs]:
    """Project the box about each pick, batch by batch, in the order of the picks.

    The box is centred on the pick to a fraction of a voxel: in the plane by interpolating the
    projection (see `slabkit.arrays.projections`), in depth by counting the planes at both ends
    partly, so that the depth is exactly the one asked for. Sums are in double precision. Only the
    voxels of the boxes, and a margin of a few, are read.

    Parameters
    ----------
    tomogram : Tomogram
    picks : DataFrame
        Columns of `slabkit.tables.PICKS`; all of this tomogram. May lie anywhere, outside too.
    box : float
        Side of the images in Å, rounded to the nearest even number of pixels.
    depth : float
        Length of the projected box along z in Å (along the ray, where tilted). Not rounded.
    tilts : sequence of float, optional
        Views of each pick, in degrees about the y axis, at most 75 either way. With a positive
        tilt, what is higher in z than the pick moves to larger x.
    pixel_size : float, optional
        Of the images, in Å; by default the voxel size.
    batch_size : int, optional
        Picks in a batch; by default as many as make 32 MB of images.
    jobs : int, optional
        Threads; the result does not depend on it.

    Yields
    ------
    Minislabs
        Each pick's views one after the other, in the order of ``tilts``.

    Raises
    ------
    InputError
        A length that is not positive; a tilt too steep or given twice; picks of another tomogram;
        NaN or infinite voxels in a box, where the tomogram has no fill value.

    Warns
    -----
    SlabkitWarning
        Where they were filled in.
    """
    tilts = check_tilts(tilts)
    geometry = _box_in(tomogram, box, depth, pixel_size)
    positions = _positions_vox(tomogram, picks)
    if batch_size is None:
        batch_size = max(1, _BATCH_BYTES // (geometry.side_px**2 * 4 * len(tilts)))
    if batch_size < 1:
        raise InputError(f"the batch size must be at least 1, not {batch_size}.")
    return _batches(tomogram, positions, geometry, tilts, batch_size, jobs)


def stack_minislabs(
    tomogram: Tomogram,
    picks: pd.DataFrame,
    *,
    box: Angstrom,
    depth: Angstrom,
    tilts: Sequence[float] = (0.0,),
    pixel_size: Angstrom | None = None,
    jobs: int = 1,
) -> Minislabs:
    """Project the box about each pick, all in one stack: `project_minislabs`, gathered.

    Parameters
    ----------
    tomogram, picks, box, depth, tilts, pixel_size, jobs
        As for `project_minislabs`.

    Returns
    -------
    Minislabs
        ``len(picks) * len(tilts)`` images.

    Raises
    ------
    InputError
        As `project_minislabs`.
    """
    batches = project_minislabs(
        tomogram,
        picks,
        box=box,
        depth=depth,
        tilts=tilts,
        pixel_size=pixel_size,
        batch_size=max(1, len(picks)),
        jobs=jobs,
    )
    return next(batches)


def check_tilts(tilts: Sequence[float]) -> tuple[float, ...]:
    """Check a series of tilts (degrees): at least one, 75 at most either way, all different."""
    checked = tuple(float(tilt) + 0.0 for tilt in tilts)
    for tilt in checked:
        if not abs(tilt) <= _LARGEST_TILT:
            raise InputError(f"a tilt must be from -75 to 75 degrees, not {tilt:g}.")
    if len(set(checked)) != len(checked) or not checked:
        listed = ", ".join(f"{tilt:g}" for tilt in checked)
        raise InputError(f"tilts must be different and at least one, not {listed or 'none'}.")
    return checked


def _box_in(
    tomogram: Tomogram, box: Angstrom, depth: Angstrom, pixel_size: Angstrom | None
) -> BoxShape:
    voxel_size = tomogram.voxel_size
    if pixel_size is None or voxel_sizes_equal(pixel_size, voxel_size):
        pixel_size, step_vox = pixel_size or voxel_size, 1.0
    else:
        step_vox = pixel_size / voxel_size
    depth_vox = positive_length(depth, "the depth") / voxel_size
    return BoxShape(length_to_even_voxels(box, pixel_size), depth_vox, step_vox)


def _positions_vox(tomogram: Tomogram, picks: pd.DataFrame) -> Floats:
    if "slabkitTomogram" in picks.columns:
        others = sorted(set(picks["slabkitTomogram"]) - {tomogram.name})
        if others:
            raise InputError(
                f"{tomogram.label}: picks of {others[0]} were given for tomogram {tomogram.name}."
            )
    columns = [picks[f"slabkit{axis}"].to_numpy(dtype=np.float64) for axis in "ZYX"]
    positions = np.stack(columns, axis=1) / tomogram.voxel_size
    if not np.isfinite(positions).all():
        raise InputError(f"{tomogram.label}: the position of a pick is not a finite number.")
    return positions


def _batches(
    tomogram: Tomogram,
    positions: Floats,
    box: BoxShape,
    tilts: tuple[float, ...],
    batch_size: int,
    jobs: int,
) -> Iterator[Minislabs]:
    side = box.side_px
    for start in range(0, max(1, len(positions)), batch_size):
        centres = positions[start : start + batch_size]
        images = np.empty((len(centres), len(tilts), side, side), dtype=np.float32)
        fractions = np.empty((len(centres), len(tilts)))

        def put(
            rows: npt.NDArray[np.int64],
            view: int,
            made: Images,
            inside: Floats,
            images: Images = images,
            fractions: Floats = fractions,
        ) -> None:
            images[rows, view], fractions[rows, view] = made, inside

        _project(tomogram, centres, box, tilts, put, jobs)
        rows = np.arange(start, start + len(centres), dtype=np.int64)
        yield Minislabs(
            images.reshape(-1, side, side),
            fractions.reshape(-1),
            np.repeat(rows, len(tilts)),
            np.tile(np.asarray(tilts, dtype=np.float64), len(centres)),
        )


def project_each(
    tomogram: Tomogram,
    picks: pd.DataFrame,
    put: Put,
    *,
    box: Angstrom,
    depth: Angstrom,
    tilts: tuple[float, ...],
    pixel_size: Angstrom,
    jobs: int,
) -> None:
    """Project the box about each pick as `project_minislabs`; ``put`` takes them as they come."""
    geometry = _box_in(tomogram, box, depth, pixel_size)
    _project(tomogram, _positions_vox(tomogram, picks), geometry, tilts, put, jobs)


def _project(
    tomogram: Tomogram,
    centres: Floats,
    box: BoxShape,
    tilts: tuple[float, ...],
    put: Put,
    jobs: int,
) -> None:
    """Project boxes in groups, some groups at a time; says what had to be filled in."""

    def project(part: tuple[int, npt.NDArray[np.int64]]) -> int:
        view, group = part
        voxels = TomogramVoxels(tomogram)
        for rows, images, fractions in project_boxes(voxels, centres[group], box, tilts[view]):
            put(group[rows], view, images, fractions)
        return voxels.mended

    shape = TomogramVoxels(tomogram)
    groups = [
        (view, group)
        for view, tilt in enumerate(tilts)
        for group in box_groups(shape, centres, box, tilt, jobs)
    ]
    mended = sum(map_in_order(project, groups, jobs, ahead=jobs))
    if mended:
        warn(
            f"{tomogram.label}: NaN or infinite voxels in {mended} minislabs were "
            f"replaced by {tomogram.fill_value:g}."
        )
