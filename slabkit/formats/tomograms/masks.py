"""Mask files: which mask is of which slab or tomogram, by their names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from slabkit.errors import InputError
from slabkit.formats.tomograms.listing import list_tomograms
from slabkit.names import composed
from slabkit.tomogram import TomogramRef


@dataclass(frozen=True)
class MaskFiles:
    """Masks that were given: by the name of a slab's image, and by that of a tomogram."""

    of_slab: dict[str, Path]
    of_tomogram: dict[str, TomogramRef]

    @property
    def paths(self) -> list[Path]:
        """All files, each once."""
        volumes = [ref.path for ref in self.of_tomogram.values() if ref.path]
        return list(dict.fromkeys([*self.of_slab.values(), *volumes]))


def find_masks(
    arguments: Sequence[str | os.PathLike[str]],
    tomograms: Iterable[str],
    slabs: Iterable[str] = (),
) -> MaskFiles:
    """Find the masks of tomograms and slabs by their names.

    A mask is named as its tomogram or slab image, perhaps with an ending after ``_``, ``-`` or
    ``.``: ``TS_1_mask.mrc`` is of ``TS_1``. One that belongs to nothing is refused, and two that
    belong to one thing.
    """
    stems = {Path(name).name.rsplit(".", 1)[0]: name for name in slabs}
    known = dict.fromkeys(tomograms)
    masks = MaskFiles({}, {})
    given: dict[str, Path] = {}
    for mask in list_tomograms(arguments, masks=True):
        assert mask.path is not None
        fitting = [name for name in [*stems, *known] if is_of(mask.name, name)]
        if not fitting:
            some = ", ".join([*known][:3])
            raise InputError(
                f"{mask.path}: is the mask of nothing here, by its name; masks are named as "
                f"their tomogram ({some}) or slab image, perhaps with an ending such as _mask."
            )
        name = max(fitting, key=len)
        if name in given:
            raise InputError(f"{given[name]} and {mask.path} are both masks of {name}; give one.")
        given[name] = mask.path
        if name in stems:
            masks.of_slab[stems[name]] = mask.path
        else:
            masks.of_tomogram[name] = mask
    return masks


def is_of(mask: str, name: str) -> bool:
    """Tell whether a mask is, by its name, of the tomogram or slab of a name."""
    name = composed(name)
    return mask == name or (mask.startswith(name) and mask[len(name)] in "_-.")
