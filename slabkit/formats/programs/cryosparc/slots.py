"""The slots that an export fills: micrographs as CryoSPARC has them or will, and constants."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError
from slabkit.formats.programs.cryosparc.dataset import plain_name, read_dataset, unique_ids
from slabkit.units import voxel_sizes_equal

_FIELDS = re.compile(r"uid|micrograph_blob/(path|shape)|(mscope_params|ctf)/exp_group_id")

VOLTAGE = 300.0
"""In kV; CryoSPARC wants one, and with the transfer function below it matters to nothing."""

AMPLITUDE_CONTRAST = 1.0
"""With no defocus and no aberration, this makes the size of the contrast transfer function 1 at
every frequency, so that nothing is corrected that was never there."""


def transfer_function(count: int) -> dict[str, Any]:
    """Give the slot ``ctf``: a constant function, the same for all."""
    one = {
        "accel_kv": VOLTAGE,
        "cs_mm": 0.0,
        "amp_contrast": AMPLITUDE_CONTRAST,
        "df1_A": 0.0,
        "df2_A": 0.0,
        "df_angle_rad": 0.0,
        "phase_shift_rad": 0.0,
        "scale": 1.0,
        "scale_const": 0.0,
        "shift_A": (0.0, 0.0),
        "tilt_A": (0.0, 0.0),
        "trefoil_A": (0.0, 0.0),
        "tetra_A": (0.0, 0.0, 0.0, 0.0),
        "anisomag": (0.0, 0.0, 0.0, 0.0),
        "bfactor": 0.0,
    }
    fields: dict[str, Any] = {
        "ctf/type": np.array(["imported"] * count, dtype=object),
        "ctf/exp_group_id": np.ones(count, dtype=np.uint32),
    }
    for name, value in one.items():
        row = np.array(value, dtype=np.float32)
        fields[f"ctf/{name}"] = np.broadcast_to(row, (count, *row.shape)).copy()
    return fields


def microscope(count: int) -> dict[str, Any]:
    """Give the slot ``mscope_params``."""
    return {
        "mscope_params/accel_kv": np.full(count, VOLTAGE, dtype=np.float32),
        "mscope_params/cs_mm": np.zeros(count, dtype=np.float32),
        "mscope_params/total_dose_e_per_A2": np.zeros(count, dtype=np.float32),
        "mscope_params/exp_group_id": np.ones(count, dtype=np.uint32),
        "mscope_params/phase_plate": np.zeros(count, dtype=np.uint32),
        "mscope_params/neg_stain": np.zeros(count, dtype=np.uint32),
    }


def fractions(places: npt.NDArray[np.float64], lengths: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Turn pixels into fractions of a side that give the same pixels back.

    Times the side never below the place, so that a program that truncates finds its pixel too.
    """
    sides = np.asarray(lengths, dtype=np.float64)
    found = (places / sides).astype(np.float32)
    below = found.astype(np.float64) * sides < places
    return np.where(below, np.nextafter(found, np.float32(np.inf)), found)


def signatures(names: Sequence[str]) -> npt.NDArray[np.uint64]:
    """Make import signatures, of which CryoSPARC wants one a file."""
    known = {
        name: int.from_bytes(hashlib.sha1(name.encode("utf-8")).digest()[:8], "little")
        for name in dict.fromkeys(names)
    }
    return np.array([known[name] for name in names], dtype=np.uint64)


@dataclass(frozen=True)
class Micrographs:
    """Micrographs as CryoSPARC knows or will know them, one row each."""

    written: list[str]  # as our table has them
    names: list[str]  # their own names
    paths: list[str]  # as CryoSPARC has them
    uids: npt.NDArray[np.uint64]
    groups: npt.NDArray[np.uint32]  # exposure groups
    shapes: npt.NDArray[np.int64]  # (micrographs, 2): y, x in pixels
    pixel_sizes: npt.NDArray[np.float64]  # in Å

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
    """Describe micrographs that are still to be imported, in folders beside the group.

    An import takes one pixel size, so there is one folder for each. ``set_name`` makes the ids of
    equal names differ between sets of galleries.
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
    """Describe galleries as a project has imported them already.

    ``exposures`` is the dataset of the import, J1/imported_micrographs.cs for instance; it is only
    read. ``shape`` is ``(y, x)`` of a gallery in pixels.
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
