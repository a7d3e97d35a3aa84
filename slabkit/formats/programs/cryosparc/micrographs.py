"""Micrographs as a CryoSPARC project has them or will have them, with their ids."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError
from slabkit.formats.programs.cryosparc.dataset import plain_name, read_dataset, unique_ids
from slabkit.formats.programs.cryosparc.slots import signatures
from slabkit.units import voxel_sizes_equal

_FIELDS = re.compile(r"uid|micrograph_blob/(path|shape)|(mscope_params|ctf)/exp_group_id")


@dataclass(frozen=True)
class Micrographs:
    """Micrographs as CryoSPARC knows or will know them, one row each.

    Parameters
    ----------
    written : list of str
        As our table has them.
    names : list of str
        Their own names.
    paths : list of str
        As CryoSPARC has them.
    uids : ndarray of uint64
    groups : ndarray of uint32
        Exposure groups.
    shapes : ndarray of int64, shape (micrographs, 2)
        ``(y, x)`` in pixels.
    pixel_sizes : ndarray of float64
        In Å.
    """

    written: list[str]
    names: list[str]
    paths: list[str]
    uids: npt.NDArray[np.uint64]
    groups: npt.NDArray[np.uint32]
    shapes: npt.NDArray[np.int64]
    pixel_sizes: npt.NDArray[np.float64]

    def rows(self, written: Sequence[str]) -> npt.NDArray[np.int64]:
        """Give the row of each micrograph of a table."""
        known = {name: row for row, name in enumerate(self.written)}
        return np.array([known[name] for name in written], dtype=np.int64)

    @property
    def blob(self) -> dict[str, Any]:
        """The slot ``micrograph_blob``."""
        count = len(self.names)
        return {
            "micrograph_blob/path": np.array(self.paths, dtype=object),
            "micrograph_blob/idx": np.zeros(count, dtype=np.uint32),
            "micrograph_blob/shape": self.shapes.astype(np.uint32),
            "micrograph_blob/psize_A": self.pixel_sizes.astype(np.float32),
            "micrograph_blob/format": np.array(["MRC/2"] * count, dtype=object),
            "micrograph_blob/is_background_subtracted": np.zeros(count, dtype=np.uint32),
            "micrograph_blob/import_sig": signatures(self.written),
        }


def new_micrographs(
    images: Sequence[str],
    shapes: Sequence[tuple[int, int]],
    pixel_sizes: Sequence[float],
    set_name: str = "",
) -> Micrographs:
    """Describe micrographs that are still to be imported.

    Parameters
    ----------
    images : sequence of str
        As the table has them, each once.
    shapes : sequence of (int, int)
        ``(y, x)`` in pixels.
    pixel_sizes : sequence of float
        In Å. Where they differ, there is one folder for each, because an import takes one.
    set_name : str, optional
        Makes the ids of equal names differ between sets of galleries.

    Returns
    -------
    Micrographs
        Their paths are in folders beside the group.
    """
    sizes: list[float] = []
    for size in pixel_sizes:
        if not any(voxel_sizes_equal(size, known) for known in sizes):
            sizes.append(size)
    folders = [
        "micrographs"
        if len(sizes) == 1
        else f"micrographs_{next(k for k in sizes if voxel_sizes_equal(size, k)):g}A"
        for size in pixel_sizes
    ]
    names = [plain_name(image) for image in images]
    return Micrographs(
        list(images),
        names,
        [f">{folder}/{name}" for folder, name in zip(folders, names, strict=True)],
        unique_ids([f"micrograph\0{set_name}\0{name}" for name in names]),
        np.ones(len(names), dtype=np.uint32),
        np.array(shapes, dtype=np.int64).reshape(-1, 2),
        np.array(pixel_sizes, dtype=np.float64),
    )


def imported_micrographs(
    exposures: str | os.PathLike[str],
    images: Sequence[str],
    shape: tuple[int, int],
    pixel_size: float,
) -> Micrographs:
    """Describe micrographs as a CryoSPARC project has imported them already.

    Parameters
    ----------
    exposures : path-like
        Dataset of the import, ``J1/imported_micrographs.cs`` for instance; it is only read.
    images : sequence of str
        As our table has them, each once.
    shape : (int, int)
        Of the galleries, ``(y, x)``.
    pixel_size : float
        Of the galleries, in Å.

    Returns
    -------
    Micrographs

    Raises
    ------
    InputError
        It lacks a field or a gallery, has one twice, or has others of the same names.
    """
    found = read_dataset(exposures, _FIELDS)
    missing = [name for name in ("uid", "micrograph_blob/path") if name not in found]
    if missing:
        raise InputError(
            f"{exposures}: lacks {', '.join(missing)}, so it is not a list of micrographs; it has "
            f"{', '.join(found) or 'none of the fields that are read'}."
        )
    by_name: dict[str, list[int]] = {}
    for row, path in enumerate(found["micrograph_blob/path"].tolist()):
        by_name.setdefault(plain_name(str(path)), []).append(row)
    names = [plain_name(image) for image in images]
    rows: list[int] = []
    for name in names:
        own = by_name.get(name, [])
        if len(own) != 1:
            raise InputError(
                f"{exposures}: has the gallery {name} {len(own)} times among its "
                f"{len(found['uid'])} micrographs; it must have it once."
            )
        rows += own
    shapes = found.get("micrograph_blob/shape")
    if shapes is not None and len(rows):
        wrong = np.flatnonzero((shapes[rows] != np.array(shape)).any(axis=1))
        if len(wrong):
            raise InputError(
                f"{exposures}: {names[wrong[0]]} has {shapes[rows][wrong[0]].tolist()} pixels "
                f"(y, x) there, but {list(shape)} in the minislab table; is it another one?"
            )
    group = found.get("mscope_params/exp_group_id", found.get("ctf/exp_group_id"))
    return Micrographs(
        list(images),
        names,
        [str(found["micrograph_blob/path"][row]) for row in rows],
        found["uid"][rows].astype(np.uint64),
        np.ones(len(rows), dtype=np.uint32) if group is None else group[rows].astype(np.uint32),
        np.tile(np.array(shape, dtype=np.int64), (len(rows), 1)),
        np.full(len(rows), pixel_size),
    )
