"""Tomogram to slabs: z-projections that look like micrographs to 2D programs.

The volume streams past once, a few tens of planes at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from slabkit.arrays.accumulation import WindowSum, sum_windows, window_starts
from slabkit.arrays.unread_planes import Block, UndecodedPlanes, UnreadPlanes
from slabkit.errors import InputError, warn
from slabkit.tables import SLABS, make_table
from slabkit.tomogram import Tomogram
from slabkit.units import (
    length_to_voxels,
    length_to_whole_voxels_below,
    opposite_contrast,
)

if TYPE_CHECKING:
    import pandas as pd

Reduction = Literal["mean", "sum"]

_MUCH_BLANK, _FEWEST_BLANK = 0.05, 30  # part of the area; pixels of every sixteenth
_CHUNK_BYTES = 192 * 2**20
_READ_BYTES = 2**29  # the same where planes are read by whoever sums them: not held
_MOST_HELD = 2**30  # bytes of sums; else what is decoded goes through a temporary file


@dataclass(frozen=True)
class SlabPlan:
    """Which planes of a tomogram make which slab.

    Parameters
    ----------
    starts : tuple of int
        First plane of each slab, ascending.
    count_vox : int
        Planes in each slab.
    first_vox, last_vox : int
        The planes ``[first, last)`` that were to be projected.
    voxel_size : float
        In Å.
    """

    starts: tuple[int, ...]
    count_vox: int
    first_vox: int
    last_vox: int
    voxel_size: float

    @property
    def thickness(self) -> float:
        """True thickness of a slab in Å."""
        return self.count_vox * self.voxel_size

    @property
    def margins_vox(self) -> tuple[int, int]:
        """Planes in no slab, below the first and above the last."""
        return (
            self.starts[0] - self.first_vox,
            self.last_vox - self.starts[-1] - self.count_vox,
        )


def plan_slabs(
    tomogram: Tomogram,
    *,
    thickness: float = 300.0,
    step: float | None = None,
    cover: bool = False,
    z_range: tuple[float, float] | None = None,
) -> SlabPlan:
    """Decide which planes make which slab.

    Parameters
    ----------
    tomogram : Tomogram
    thickness : float, optional
        In Å, rounded to voxels. A depth below it gives one thinner slab, with a warning.
    step : float, optional
        In Å: a sliding window; see `slabkit.arrays.accumulation.window_starts`.
    cover : bool, optional
        The fewest slabs that cover the whole depth, evenly placed.
    z_range : (float, float), optional
        Lowest and highest z in Å (0 is the centre of the first plane); planes whose centre lies
        outside are left out. Infinities leave a side open.

    Returns
    -------
    SlabPlan

    Raises
    ------
    InputError
        A length is not positive, the step is below one voxel, or no plane lies in the range.
    """
    voxel_size = tomogram.voxel_size
    first, last = _range_planes(tomogram, z_range)
    depth = last - first
    count = length_to_voxels(thickness, voxel_size)
    step_vox = None
    if step is not None:
        step_vox = length_to_whole_voxels_below(step, voxel_size)
        if step_vox < 1:
            raise InputError(
                f"{tomogram.label}: a step of {step:g} Å is below the voxel size of "
                f"{voxel_size:g} Å."
            )
    if not 0.8 <= count * voxel_size / thickness <= 1.25:
        warn(
            f"{tomogram.label}: with voxels of {voxel_size:g} Å a slab of {thickness:g} Å becomes "
            f"one of {count * voxel_size:g} Å."
        )
    if depth < count:
        warn(
            f"{tomogram.label}: {depth} planes of {voxel_size:g} Å are thinner than a slab of "
            f"{thickness:g} Å; one slab of {depth * voxel_size:g} Å is made."
        )
    starts = first + window_starts(depth, count, step_vox, cover=cover)
    between = np.diff(starts) - count
    if step is not None and (between > 0).any():
        lost = int(between[between > 0].sum())
        warn(
            f"{tomogram.label}: {lost * voxel_size:g} Å of {depth * voxel_size:g} Å lie in no "
            f"slab, up to {between.max() * voxel_size:g} Å between one slab and the next, because "
            f"a step of {step:g} Å is longer than a slab of {count * voxel_size:g} Å is thick.",
        )
    return SlabPlan(tuple(starts.tolist()), min(count, depth), first, last, voxel_size)


def project_slabs(
    tomogram: Tomogram,
    *,
    thickness: float = 300.0,
    step: float | None = None,
    cover: bool = False,
    z_range: tuple[float, float] | None = None,
    reduce: Reduction = "mean",
    invert: bool = False,
    jobs: int = 1,
) -> tuple[npt.NDArray[np.float32], pd.DataFrame]:
    """Project a tomogram along z into slabs, all held in memory.

    Parameters
    ----------
    tomogram, thickness, step, cover, z_range
        See `plan_slabs`.
    reduce : {"mean", "sum"}, optional
        What becomes of the planes of a slab.
    invert : bool, optional
        Multiply the images by -1, which turns the contrast round.
    jobs : int, optional
        Threads; the result does not depend on it.

    Returns
    -------
    images : ndarray of float32, shape (slabs, y, x)
    slabs : DataFrame
        Columns of `slabkit.tables.SLABS`, one row an image.

    Raises
    ------
    InputError
        As `plan_slabs` and `iterate_slabs`.

    See Also
    --------
    iterate_slabs : The same with bounded memory.
    """
    plan = plan_slabs(tomogram, thickness=thickness, step=step, cover=cover, z_range=z_range)
    images = np.empty((len(plan.starts), *tomogram.shape[1:]), dtype=np.float32)
    spare: list[npt.NDArray[np.float32]] = []
    for index, image in iterate_slabs(
        tomogram, plan, reduce=reduce, invert=invert, spare=spare, jobs=jobs
    ):
        images[index] = image
        spare.append(image)
    return images, slab_table(tomogram, plan, invert=invert)


def slab_table(
    tomogram: Tomogram,
    plan: SlabPlan,
    *,
    invert: bool = False,
    micrographs: list[str] | None = None,
    tomogram_file: str | None = None,
) -> pd.DataFrame:
    """Make the slab table of one tomogram: `slab_columns`, checked, as a `DataFrame`."""
    columns = slab_columns(
        tomogram, plan, invert=invert, micrographs=micrographs, tomogram_file=tomogram_file
    )
    return make_table(SLABS, columns)


def slab_columns(
    tomogram: Tomogram,
    plan: SlabPlan,
    *,
    invert: bool = False,
    micrographs: list[str] | None = None,
    tomogram_file: str | None = None,
) -> dict[str, list[Any]]:
    """List the columns of the slab table (`SLABS`) of one tomogram, one value a slab.

    ``micrographs`` are the paths of the images, by default the names of `slab_name`, and
    ``tomogram_file`` that of the tomogram, by default its own; ``invert``: whether the images were
    inverted.
    """
    depth, height, width = tomogram.shape
    count = len(plan.starts)
    names = micrographs or [slab_name(tomogram.name, index) for index in range(count)]
    contrast = tomogram.contrast
    same: dict[str, Any] = {
        "rlnOpticsGroup": 1,
        "rlnTomoName": tomogram.name,
        "slabkitTomogramFile": tomogram_file if tomogram_file is not None else tomogram.path or "",
        "slabkitZCount": plan.count_vox,
        "slabkitVoxelSize": plan.voxel_size,
        "slabkitThickness": plan.thickness,
        "slabkitContrast": opposite_contrast(contrast) if invert else contrast,
        "slabkitTomogramContrast": contrast,
        "slabkitTomogramSizeX": width,
        "slabkitTomogramSizeY": height,
        "slabkitTomogramSizeZ": depth,
        "slabkitTomogramReading": tomogram.reading,
    }
    columns = {name: [value] * count for name, value in same.items()}
    columns |= {"rlnMicrographName": names, "slabkitZStart": list(plan.starts)}
    return {name: columns[name] for name in SLABS.names}


def slab_name(tomogram_name: str, index: int) -> str:
    """Name a slab's image file: ``<tomogram>_slab<NNN>.mrc``, from 0, upwards in z."""
    return f"{tomogram_name}_slab{index:03d}.mrc"


def iterate_slabs(
    tomogram: Tomogram,
    plan: SlabPlan,
    *,
    reduce: Reduction = "mean",
    invert: bool = False,
    spare: list[npt.NDArray[np.float32]] | None = None,
    jobs: int = 1,
) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Project slab after slab, reading each plane once.

    Sums of integer voxels are exact until they are rounded to float32. Of float32 voxels, two
    planes at a time are added in float32 and these in float64: before it is rounded, a mean is
    within ``2**-24`` (6e-8) of the mean absolute value of its voxels. The file's format and `jobs`
    change nothing, and other slabs that overlap a slab hardly ever a last digit. Memory holds the
    slabs that overlap one another, in float64, and a few tens of planes of the volume.

    Parameters
    ----------
    tomogram : Tomogram
    plan : SlabPlan
    reduce : {"mean", "sum"}, optional
    invert : bool, optional
        Multiply by -1.
    spare : list of ndarray, optional
        Put images here that are needed no more: they are used again.
    jobs : int, optional
        Threads; the result does not depend on it.

    Yields
    ------
    index : int
        Slab number, ascending.
    image : ndarray of float32, shape (y, x)

    Raises
    ------
    InputError
        `reduce` is unknown; voxels are NaN or infinite and the tomogram has no `fill_value`; a sum
        does not fit float32.
    """
    if reduce not in ("mean", "sum"):
        raise InputError(f"reduce must be 'mean' or 'sum', not {reduce!r}.")
    factor = (-1.0 if invert else 1.0) / (plan.count_vox if reduce == "mean" else 1)
    sums = sum_windows(
        _chunks(tomogram, plan),
        plan.starts,
        plan.count_vox,
        factor=factor,
        spare=spare,
        jobs=jobs,
    )
    blank = 0.0
    for index, window in enumerate(sums):
        if not window.trusted:
            window = _direct_sum(tomogram, plan, index, factor)
        _check_image(tomogram, plan, index, window)
        blank = max(blank, _blank_part(window.image))
        yield index, window.image
    if _MUCH_BLANK < blank < 1:
        warn(
            f"{tomogram.label}: up to {blank:.0%} of a slab's area is blank (one exact value from "
            "a corner on): padding, in which nothing is picked."
        )


def _range_planes(tomogram: Tomogram, z_range: tuple[float, float] | None) -> tuple[int, int]:
    depth = tomogram.shape[0]
    if z_range is None:
        return 0, depth
    inside = np.arange(depth) * tomogram.voxel_size
    slack = 1e-6 * tomogram.voxel_size  # a limit typed as a plane's position includes that plane
    chosen = np.flatnonzero((inside >= z_range[0] - slack) & (inside <= z_range[1] + slack))
    if not len(chosen):
        raise InputError(
            f"{tomogram.label}: no plane lies in the z range {z_range[0]:g} to {z_range[1]:g} Å; "
            f"the volume reaches from 0 to {inside[-1]:g} Å."
        )
    return int(chosen[0]), int(chosen[-1]) + 1


def _chunks(tomogram: Tomogram, plan: SlabPlan) -> Iterator[tuple[int, Block]]:
    """Give the planes that lie in slabs, some at a time, in order.

    What is in a file, or in blocks that are parts of planes, is read by whoever sums it.
    """
    _, height, width = tomogram.shape
    plane_bytes = height * width * np.dtype(tomogram.data.dtype).itemsize
    planes = max(2, min(32, _CHUNK_BYTES // plane_bytes) // 2 * 2)  # even: pairs are added up
    first, last = plan.starts[0], plan.starts[-1] + plan.count_vox
    source: Any = tomogram.data
    mended = tomogram.fill_value is not None
    edges = source.block_shape[1:] if hasattr(source, "tile") and not mended else ()
    if any(edge < side for edge, side in zip(edges, (height, width), strict=False)):
        deep, *across = source.block_shape
        if deep < last:
            deep = math.lcm(deep, 2)
            deep *= max(1, planes // deep)
        together = deep * math.prod(across) * tomogram.data.dtype.itemsize
        alone = deep == source.block_shape[0]
        if (alone or together <= _CHUNK_BYTES) and _fits_memory(plan, deep, height * width):
            for z in range(first - first % deep, last, deep):
                begin = max(z, first)
                yield begin, UndecodedPlanes(source, begin, min(z + deep, last))
            return
    by_rows = not mended and hasattr(source, "row_reader")
    if by_rows:  # what is done once a chunk takes a tenth of the time
        planes = max(2, min(64, _READ_BYTES // plane_bytes) // 2 * 2)
    for z in range(first - first % planes, last, planes):
        begin, end = max(z, first), min(z + planes, last)
        if by_rows:
            source.read_ahead(begin, end)
            yield begin, UnreadPlanes(source, begin, end)
            continue
        start = begin, 0, 0
        block = tomogram.read(start, (end, height, width))
        if mended:
            block = tomogram.check_finite(block, start)
        yield begin, block


def _fits_memory(plan: SlabPlan, deep: int, area: int) -> bool:
    """Tell whether the sums of the slabs that begin or end within so many planes can be held."""
    apart = int(np.diff(plan.starts).min()) if len(plan.starts) > 1 else plan.count_vox
    slabs = min(len(plan.starts), (deep + plan.count_vox) // apart + 1)
    return slabs * area * (8 + 2 * 4) <= _MOST_HELD


def _blank_part(image: npt.NDArray[np.float32]) -> float:
    """Give the largest part of an image that has exactly the value of one of its corners."""
    corners = {float(image[y, x]) for y in (0, -1) for x in (0, -1)}
    sample = image[::4, ::4].copy()
    most = max(int(np.count_nonzero(sample == np.float32(value))) for value in corners)
    return most / sample.size if most >= _FEWEST_BLANK else 0.0


def _direct_sum(tomogram: Tomogram, plan: SlabPlan, index: int, factor: float) -> WindowSum:
    """Sum a slab from its own planes; for the rare one that a running total cannot give."""
    only = SlabPlan((plan.starts[index],), plan.count_vox, 0, 0, plan.voxel_size)
    for precise in (False, True):  # the sum of two planes may not fit float32
        chunks = _chunks(tomogram, only)
        sums = sum_windows(chunks, only.starts, only.count_vox, factor=factor, precise=precise)
        window = next(sums)
        if window.trusted:
            break
    return window


def _check_image(tomogram: Tomogram, plan: SlabPlan, index: int, window: WindowSum) -> None:
    if not (math.isfinite(window.least) and math.isfinite(window.greatest)):
        start = plan.starts[index]
        for z in range(start, start + plan.count_vox):
            corner = (z, 0, 0)
            tomogram.check_finite(tomogram.read(corner, (z + 1, *tomogram.shape[1:])), corner)
        raise InputError(
            f"{tomogram.label}: the projection of slab {index} exceeds the range of float32; use "
            "the mean, or scale the volume."
        )
    if window.least == window.greatest:
        warn(f"{tomogram.label}: slab {index} is constant ({window.least:g}): blank or padding.")
