"""Lengths: ångström at every interface, voxels inside, and how one becomes the other."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from slabkit.errors import InputError

Angstrom: TypeAlias = float
"""A length or position in Å. Position 0 is the centre of the first voxel."""

Contrast: TypeAlias = Literal["dark", "bright"]
"""``dark``: protein has low values; ``bright``: protein has high values."""

TiltRange: TypeAlias = tuple[float, float] | None
"""Lowest and highest tilt of a tilt series in degrees, about y; None: no missing wedge."""

DEFAULT_TILT_RANGE: TiltRange = (-45.0, 45.0)
"""What the missing wedge of density maps is, unless `--tilt-range` says otherwise."""

# Headers hold float32 and users type decimals, so a quotient that should be a
# whole or half number can miss it by about 1e-7; this much is forgiven.
_RATIO_TOLERANCE = 1e-6

_VOXEL_SIZE_TOLERANCE = 1e-3


def positive_length(length: Angstrom, name: str) -> Angstrom:
    """Check that a length is a positive finite number of Å, and give it.

    Raises `InputError`: it is not; ``name`` is what the message calls it, ``the voxel size`` for
    instance.
    """
    if not (math.isfinite(length) and length > 0):
        raise InputError(f"{name} must be a positive number of Å, not {length}.")
    return length


def check_tilt_range(tilt_range: TiltRange) -> None:
    """Refuse a tilt range that is none."""
    if tilt_range is not None and not -90 < tilt_range[0] < tilt_range[1] < 90:
        raise InputError(
            "--tilt-range takes MIN:MAX in degrees between -90 and 90, not "
            f"{tilt_range[0]:g}:{tilt_range[1]:g}."
        )


def length_to_voxels(length: Angstrom, voxel_size: Angstrom) -> int:
    """Round a length to whole voxels: nearest, halves upwards, at least one.

    Both in Å; what is not positive and finite is refused.
    """
    ratio = _ratio(length, voxel_size)
    return max(1, math.floor(ratio * (1 + _RATIO_TOLERANCE) + 0.5))


def length_to_even_voxels(length: Angstrom, voxel_size: Angstrom) -> int:
    """Round a box side to the nearest even number of voxels, at least two.

    Both in Å; what is not positive and finite is refused. The box's centre is at index ``box //
    2``.
    """
    ratio = _ratio(length, voxel_size)
    return max(2, 2 * math.floor(ratio * (1 + _RATIO_TOLERANCE) / 2 + 0.5))


def length_to_whole_voxels_below(length: Angstrom, voxel_size: Angstrom) -> int:
    """Give the largest whole number of voxels (perhaps 0) that is not longer than ``length``.

    Both in Å; what is not positive and finite is refused.
    """
    return math.floor(_ratio(length, voxel_size) * (1 + _RATIO_TOLERANCE))


def voxel_sizes_equal(first: Angstrom, second: Angstrom) -> bool:
    """Tell whether two voxel sizes (Å) agree within 1e-3 relative."""
    return abs(first - second) <= _VOXEL_SIZE_TOLERANCE * max(abs(first), abs(second))


def protein_sign(contrast: Contrast) -> int:
    """Give the factor that makes protein bright: -1 for ``dark``, +1 for ``bright``."""
    if contrast == "dark":
        return -1
    if contrast == "bright":
        return 1
    raise InputError(f"contrast must be 'dark' or 'bright', not {contrast!r}.")


def opposite_contrast(contrast: Contrast) -> Contrast:
    """Give the other contrast, as inverting an image does."""
    return "dark" if protein_sign(contrast) == 1 else "bright"


def _ratio(length: Angstrom, voxel_size: Angstrom) -> float:
    return positive_length(length, "the length") / positive_length(voxel_size, "the voxel size")


def planes_text(first: int, count: int, voxel_size: Angstrom) -> str:
    """Say from where to where some planes reach, and how thick they are together."""
    low, high = (first - 0.5) * voxel_size, (first + count - 0.5) * voxel_size
    return f"z {low:g} to {high:g} Å, {count * voxel_size:g} Å thick"
