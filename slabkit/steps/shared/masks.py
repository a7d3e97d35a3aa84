"""Masks of tomograms and slabs, opened and checked against what they are of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slabkit.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from slabkit.formats.tomograms.masks import MaskFiles
    from slabkit.tomogram import Tomogram, TomogramRef


def find_masks(
    arguments: tuple[str, ...], tomograms: Iterable[str], slabs: Iterable[str] = ()
) -> MaskFiles | None:
    """Find the masks that ``--mask`` names; None without any."""
    if not arguments:
        return None
    from slabkit.formats.tomograms import masks  # only here: it opens volumes

    return masks.find_masks(arguments, tomograms, slabs)


def open_mask(
    ref: TomogramRef, name: str, shape: tuple[int, int, int], voxel_size: float
) -> Tomogram:
    """Open the mask of a tomogram of ``shape`` ``(z, y, x)``, which must be as large in Å.

    A mask of as many voxels has the tomogram's voxel size, whatever the mask's header says.
    """
    from slabkit.formats.volumes.opening import open_volume
    from slabkit.picking.masking import check_mask_size
    from slabkit.tomogram import Reading

    # Zarr leaves out empty chunks, and masks have many.
    ref = replace(ref, name=name).but(reading=Reading(allow_missing_chunks=True))
    same = ref.path is not None and open_volume(ref.path, ref.reading).source.shape == shape
    try:
        mask = ref.but(reading=Reading(voxel_size=voxel_size if same else None)).open()
    except InputError as error:
        if "--voxel-size" not in str(error):
            raise
        raise InputError(  # that option is of the tomogram, where a command has it at all
            f"{ref.path}: the mask has another number of voxels than {name} and no voxel size of "
            "its own that can be used; set it in its header, or give a mask of the same size."
        ) from error
    found, expected = (
        tuple(n * edge for n in reversed(sides))
        for sides, edge in ((mask.shape, mask.voxel_size), (shape, voxel_size))
    )
    check_mask_size(str(ref.path), found, f"the tomogram {name}", expected)
    return mask


def slab_masks(masks: MaskFiles) -> Callable[[Any], tuple[npt.NDArray[np.bool_], float]]:
    """Give what finds the mask ``(y, x)`` of a row of a slab table, and its pixel size in Å."""
    from slabkit.picking.masking import slab_mask

    opened: dict[str, Tomogram] = {}

    def mask_of(slab: Any) -> tuple[npt.NDArray[np.bool_], float]:
        name, edge = str(slab.rlnTomoName), float(slab.slabkitVoxelSize)
        depth, height, width = (int(getattr(slab, f"slabkitTomogramSize{axis}")) for axis in "ZYX")
        own = masks.of_slab.get(slab.rlnMicrographName)
        if own is not None:
            return _read_slab_mask(own, (height, width), edge)
        if name not in masks.of_tomogram:
            raise InputError(
                f"{slab.rlnMicrographName}: has no mask, nor has its tomogram {name}; give one "
                "with --mask."
            )
        if name not in opened:
            opened.clear()
            opened[name] = open_mask(masks.of_tomogram[name], name, (depth, height, width), edge)
        mask = opened[name]
        first, count = int(slab.slabkitZStart), int(slab.slabkitZCount)
        return slab_mask(mask, first, count, edge), mask.voxel_size

    return mask_of


def _read_slab_mask(
    path: Path, shape: tuple[int, int], pixel_size: float
) -> tuple[npt.NDArray[np.bool_], float]:
    from slabkit.formats.volumes.mrc import read_image
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
