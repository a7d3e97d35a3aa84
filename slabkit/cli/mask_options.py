"""``--mask``: volumes or slab images outside of which no pick is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slabkit.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from slabkit.formats.volumes.masks import MaskFiles
    from slabkit.tomogram import Tomogram

MaskOption = Annotated[
    list[str] | None,
    typer.Option(
        "--mask",
        metavar="FILE",
        help="Keep only what lies inside masks (above 0): volumes named as the tomograms, or "
        "images named as the slabs, perhaps with an ending such as _mask; files, folders or "
        "patterns, any number of times.",
        show_default=False,
    ),
]


def open_mask(path: Path, name: str, shape: tuple[int, int, int], voxel_size: float) -> Tomogram:
    """Open a mask volume and check that it covers its tomogram.

    Parameters
    ----------
    path : Path
    name : str
        Of the tomogram.
    shape : (int, int, int)
        Of the tomogram, ``(z, y, x)``; a mask of as many voxels has its voxel size, whatever the
        mask's header says.
    voxel_size : float
        Of the tomogram, in Å.

    Returns
    -------
    Tomogram

    Raises
    ------
    InputError
        The mask is of another size than the tomogram in Å, or cannot be read.
    """
    from slabkit.formats.volumes.opening import open_tomogram, open_volume
    from slabkit.picking.masking import check_mask_size

    # Zarr leaves out empty chunks, and masks have many.
    volume = open_volume(path, allow_missing_chunks=True)
    same = tuple(int(n) for n in volume.source.shape) == shape
    mask = open_tomogram(
        path,
        name=name,
        voxel_size=voxel_size if same else None,
        allow_missing_chunks=True,
    )
    found, expected = (
        tuple(n * edge for n in reversed(sides))
        for sides, edge in ((mask.shape, mask.voxel_size), (shape, voxel_size))
    )
    check_mask_size(str(path), found, f"the tomogram {name}", expected)
    return mask


def slab_masks(masks: MaskFiles) -> Callable[[Any], tuple[npt.NDArray[np.bool_], float]]:
    """Give what finds the mask of a slab, for `slabkit.picking.masking.picks2d_inside`.

    Parameters
    ----------
    masks : MaskFiles

    Returns
    -------
    callable
        Row of a slab table to its mask, shape ``(y, x)``, and its pixel size in Å. Raises
        `InputError` where a slab has none.
    """
    from slabkit.picking.masking import slab_mask

    opened: dict[str, Tomogram] = {}

    def mask_of(slab: Any) -> tuple[npt.NDArray[np.bool_], float]:
        name, edge = str(slab.rlnTomoName), float(slab.slabkitVoxelSize)
        sizes = tuple(int(getattr(slab, f"slabkitTomogramSize{axis}")) for axis in "ZYX")
        own = masks.of_slab.get(slab.rlnMicrographName)
        if own is not None:
            return _read_slab_mask(own, (sizes[1], sizes[2]), edge)
        if name not in masks.of_tomogram:
            raise InputError(
                f"{slab.rlnMicrographName}: has no mask, nor has its tomogram {name}; give one "
                "with --mask."
            )
        if name not in opened:
            opened.clear()
            opened[name] = open_mask(
                masks.of_tomogram[name], name, (sizes[0], sizes[1], sizes[2]), edge
            )
        mask = opened[name]
        first, count = int(slab.slabkitZStart), int(slab.slabkitZCount)
        return slab_mask(mask, first, count, edge), mask.voxel_size

    return mask_of


def _read_slab_mask(
    path: Path, shape: tuple[int, int], pixel_size: float
) -> tuple[npt.NDArray[np.bool_], float]:
    from slabkit.formats.volumes.opening import read_image
    from slabkit.picking.masking import check_mask_size, is_inside

    image, own = read_image(path)
    if image.shape == shape:
        own = pixel_size
    found, expected = (
        (sides[1] * edge, sides[0] * edge)
        for sides, edge in ((image.shape, own), (shape, pixel_size))
    )
    check_mask_size(str(path), found, "its slab", expected)
    return is_inside(image), own
