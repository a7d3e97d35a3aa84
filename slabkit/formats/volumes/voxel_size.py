"""One voxel size out of what a file says, what a project says, and what the user says."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from slabkit.errors import InputError
from slabkit.units import voxel_sizes_equal

# A folder or project name often holds a rounded value (10.000 for 10.012): that much is forgiven.
_ROUNDED_NAME_TOLERANCE = 2e-3
_NOISE = 1e-6
_FLOAT32_PRECISION = 1.2e-7
_TO_ANGSTROM = {
    "angstrom": 1.0,
    "ångström": 1.0,
    "ångstrom": 1.0,
    "a": 1.0,
    "å": 1.0,
    "picometer": 0.01,
    "pm": 0.01,
    "nanometer": 10.0,
    "nm": 10.0,
    "micrometer": 1e4,
    "micron": 1e4,
    "microns": 1e4,
    "um": 1e4,
    "µm": 1e4,
    "millimeter": 1e7,
    "mm": 1e7,
    "meter": 1e10,
    "m": 1e10,
}


@dataclass(frozen=True)
class ChosenVoxelSize:
    """A voxel size in Å with what a user should know about it."""

    value: float
    warnings: tuple[str, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())


class UnsetVoxelSizeError(InputError):
    """A volume does not say its voxel size, and nothing else does."""


def angstrom_per_unit(unit: str | None) -> float | None:
    """Give the length in Å of a unit as OME and ImageJ write it; None for none of this scale."""
    if unit is None:
        return None
    # Two micro signs and two Å signs are about, and ImageJ escapes them.
    text = unit.strip().replace("\\u00B5", "µ").replace("μ", "µ").replace("\u212b", "å")
    text = text.lower()
    if text.endswith("metre"):
        text = text[:-2] + "er"
    return _TO_ANGSTROM.get(text)


def choose_voxel_size(
    where: str,
    sizes: tuple[float, float, float] | None,
    *,
    override: float | None = None,
    expected: float | None = None,
    unset_reason: str = "the file does not say",
) -> ChosenVoxelSize:
    """Choose the voxel size (Å) of a volume, or say which option settles it.

    ``sizes`` are along z, y, x as the file has them, None where ``unset_reason`` holds;
    ``override`` is the user's and wins; ``expected`` is a project's, folder's or pick list's.
    Refused is a size that is not set, differs on the axes by more than 1e-3, or is further than 0.2
    % from ``expected``.
    """
    if override is not None and not (math.isfinite(override) and override > 0):
        raise InputError(f"{where}: --voxel-size must be a positive number of Å, not {override!r}.")
    if sizes is not None and not all(math.isfinite(size) and size > 0 for size in sizes):
        listed = ", ".join(f"{size:g}" for size in reversed(sizes))
        unset_reason = f"its header has {listed} Å along x, y, z"
        sizes = None
    if override is not None:
        return _overridden(sizes, override)
    if sizes is None and expected is not None and "/VoxelSpacing" in where:
        text = (
            f"the voxel size is not set ({unset_reason}); {expected:g} Å, as the name of its "
            "folder says, is used"
        )
        return ChosenVoxelSize(expected, (text,), (text,))
    if sizes is None:
        raise UnsetVoxelSizeError(
            f"{where}: the voxel size is not set ({unset_reason}); give it in Å with --voxel-size."
        )
    z, y, x = sizes
    if max(sizes) - min(sizes) > 1e-3 * max(sizes):
        raise InputError(
            f"{where}: the voxels are not cubic ({x:g} × {y:g} × {z:g} Å along x, y, z); resample "
            "the volume, or give the true size with --voxel-size."
        )
    value = shortest_decimal(sum(sizes) / 3)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    if max(sizes) - min(sizes) > _NOISE * max(sizes):
        notes = (f"the voxel size is the mean of {x:.7g}, {y:.7g} and {z:.7g} Å along x, y, z",)
    if expected is not None:
        return _reconciled(where, value, expected, notes)
    if all(size == 1.0 for size in sizes):
        warnings = (
            "the voxel size is exactly 1 Å, which looks unset; give --voxel-size if it is not 1 Å",
        )
    return ChosenVoxelSize(value, warnings, notes)


def _overridden(sizes: tuple[float, float, float] | None, override: float) -> ChosenVoxelSize:
    value = float(override)
    if sizes is None or all(size == 1.0 for size in sizes):
        return ChosenVoxelSize(
            value, (), (f"the voxel size {value:g} Å was given; the file has none",)
        )
    z, y, x = sizes
    stated = f"{x:g}" if voxel_sizes_equal(min(sizes), max(sizes)) else f"{x:g} × {y:g} × {z:g}"
    note = f"the voxel size {value:g} Å was given; the file says {stated} Å"
    if all(voxel_sizes_equal(size, value) for size in sizes):
        return ChosenVoxelSize(value, (), (note,))
    note += ", which is not used"
    return ChosenVoxelSize(value, (note,), (note,))


def _reconciled(
    where: str, value: float, expected: float, notes: tuple[str, ...]
) -> ChosenVoxelSize:
    if abs(value - expected) <= _NOISE * value:
        return ChosenVoxelSize(value, (), notes)
    if abs(value - expected) > _ROUNDED_NAME_TOLERANCE * max(value, expected):
        # In a copick project --voxel-size says which tomograms are meant, not what is true of them.
        itself = "this file itself and " if "/VoxelSpacing" in where else ""
        raise InputError(
            f"{where}: its header says {value:g} Å per voxel, the table or project says "
            f"{expected:g} Å; say which is true by giving {itself}--voxel-size."
        )
    precise = max((value, expected), key=lambda size: len(f"{size:.8g}"))
    text = (
        f"the header says {value:g} Å per voxel, the table or project says {expected:g} Å; "
        f"{precise:g} Å, the more precise, is used"
    )
    return ChosenVoxelSize(precise, (text,), (*notes, text))


def shortest_decimal(value: float) -> float:
    """Give the shortest decimal that float32 cannot tell from a value.

    Headers hold a cell of float32, so 7.3 comes back as 7.2999997; what was meant is 7.3.
    """
    for digits in range(1, 9):
        short = float(f"{value:.{digits}g}")
        if abs(short - value) <= _FLOAT32_PRECISION * abs(value):
            return short
    return value
