"""Pixel sizes and origin shifts in RELION's tomography particle tables."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError, SlabkitWarning
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.values import coordinates

if TYPE_CHECKING:
    import pandas as pd

PIXEL = "rlnTomoTiltSeriesPixelSize"
IMAGE_PIXEL, IMAGE_BINNING = "rlnImagePixelSize", "rlnTomoSubtomogramBinning"
SHIFTS = tuple(f"rlnOrigin{axis}Angst" for axis in "XYZ")
SHIFTS_PX = tuple(f"rlnOrigin{axis}" for axis in "XYZ")
_SUBTOMOGRAM_ANGLES = tuple(f"rlnTomoSubtomogram{angle}" for angle in ("Rot", "Tilt", "Psi"))


def triple(particles: pd.DataFrame, labels: tuple[str, ...], where: str) -> npt.NDArray[np.float64]:
    """Read columns of finite numbers.

    Parameters
    ----------
    particles : DataFrame
        Values as strings.
    labels : tuple of str
    where : str

    Returns
    -------
    ndarray, shape (particles, labels)

    Raises
    ------
    InputError
        A value is not a finite number.
    """
    return np.column_stack(
        [coordinates(particles[label].tolist(), label, where) for label in labels]
    )


def pixel_sizes(
    particles: pd.DataFrame, names: list[str], context: Context, where: str, needed: bool
) -> npt.NDArray[np.float64] | None:
    """Give the unbinned pixel size of each row in Å: from the binning, else from the file.

    Parameters
    ----------
    particles : DataFrame
        Values as strings.
    names : list of str
        Tomogram of each row.
    context : Context
    where : str
    needed : bool
        Whether it is an error that nothing says it.

    Returns
    -------
    ndarray, shape (particles,), or None

    Raises
    ------
    InputError
        It is not known, not positive, or larger than the tomogram's voxels.
    """
    in_file = None
    for label in (PIXEL, IMAGE_PIXEL):
        if label in particles.columns and in_file is None:
            in_file = coordinates(particles[label].tolist(), label, where)
            if label == IMAGE_PIXEL and IMAGE_BINNING in particles.columns:
                in_file = in_file / triple(particles, (IMAGE_BINNING,), where)[:, 0]
    if in_file is not None and (in_file <= 0).any():
        raise InputError(f"{where}: a pixel size is {in_file.min():g} Å; it must be positive.")
    if context.binning is None:
        in_file = _agreed(in_file, names, context, where)
        if in_file is None and needed and names:
            raise InputError(
                f"{where}: does not say the pixel size of the tilt series ({PIXEL}); give "
                "--binning (tomogram voxel size / tilt-series pixel size) with --tomograms or "
                "--voxel-size, or RELION's tomograms.star as --tomograms."
            )
        if in_file is not None:
            known = context.known_voxel_sizes(names)
            if (known < in_file * (1 - 1e-3)).any():
                row = int(np.flatnonzero(known < in_file * (1 - 1e-3))[0])
                raise InputError(
                    f"{where}: {names[row]} has voxels of {known[row]:g} Å, less than the tilt "
                    f"series' {in_file[row]:g} Å; one is wrong: give --voxel-size or --binning."
                )
        return in_file
    pixel_size = context.voxel_sizes(names, where) / context.binning
    if in_file is not None and (abs(in_file / pixel_size - 1) > 1e-3).any():
        warnings.warn(
            f"{where}: says that the tilt series has {in_file[0]:g} Å pixels, but the voxel size "
            f"and --binning {context.binning:g} give {pixel_size[0]:g} Å; --binning was followed.",
            SlabkitWarning,
            stacklevel=5,
        )
    return pixel_size


def _agreed(
    in_file: npt.NDArray[np.float64] | None, names: list[str], context: Context, where: str
) -> npt.NDArray[np.float64] | None:
    """Give what the file and RELION's table of tomograms say, which must be the same."""
    listed, _ = context.unbinned(names)
    if in_file is None:
        return listed if len(listed) and np.isfinite(listed).all() else None
    differ = abs(in_file / listed - 1) > 1e-3
    if differ.any():
        row = int(np.flatnonzero(differ)[0])
        raise InputError(
            f"{where}: the tilt series of {names[row]} has {in_file[row]:g} Å pixels here and "
            f"{listed[row]:g} Å in the table of tomograms; settle it with --binning."
        )
    return in_file


def zero_of_centred(names: list[str], context: Context, where: str) -> npt.NDArray[np.float64]:
    """Give the place of RELION 5's zero: half the unbinned size.

    Parameters
    ----------
    names : list of str
        Tomogram of each pick.
    context : Context
        Where it has no unbinned sizes (``tomograms.star`` has), the binned ones serve.
    where : str

    Returns
    -------
    ndarray, shape (picks, 3)
        x, y, z in Å.

    Raises
    ------
    InputError
        A size or voxel size is not known.
    """
    pixel_size, sizes = context.unbinned(names)
    zero = sizes * pixel_size[:, None] / 2
    unknown = ~np.isfinite(zero).all(axis=1)
    rest = [names[row] for row in np.flatnonzero(unknown).tolist()]
    if rest:
        voxel_size = context.voxel_sizes(rest, where)
        zero[unknown] = context.sizes(rest, where) * voxel_size[:, None] / 2
    return zero


def pixel_sizes_to_write(
    table: pd.DataFrame, names: list[str], context: Context
) -> npt.NDArray[np.float64]:
    """Give the unbinned pixel size of each pick in Å, for writing.

    Parameters
    ----------
    table : DataFrame
        Picks; those read from RELION carry it.
    names : list of str
        Tomogram of each pick.
    context : Context

    Returns
    -------
    ndarray, shape (picks,)

    Raises
    ------
    InputError
        A voxel size is not known.

    Warns
    -----
    SlabkitWarning
        Nothing says the binning, so it is taken for 1.
    """
    if context.binning is not None:
        return context.voxel_sizes(names, "relion") / context.binning
    if PIXEL in table.columns and (table[PIXEL] != "").all():
        values = [str(value) for value in table[PIXEL]]
        return coordinates(values, PIXEL, "pick list")
    listed, _ = context.unbinned(names)
    if np.isfinite(listed).all():
        return listed
    voxel_size = context.voxel_sizes(names, "relion")
    if len(names):
        warnings.warn(
            "relion: the binning of the tomograms is not known; it was written as 1, the "
            "tilt-series pixel size equal to the voxel size. Give --binning or "
            "--tomograms tomograms.star if it is not so.",
            SlabkitWarning,
            stacklevel=4,
        )
    return voxel_size


def origin_shift(particles: pd.DataFrame, where: str) -> npt.NDArray[np.float64]:
    """Give the origin shift of each particle, to be subtracted from its coordinate.

    Parameters
    ----------
    particles : DataFrame
        Values as strings.
    where : str

    Returns
    -------
    ndarray, shape (particles, 3)
        x, y, z in Å in the tomogram's frame: turned by the subtomogram's angles, as RELION does.

    Raises
    ------
    InputError
        Shifts are in pixels, or not numbers.

    Warns
    -----
    SlabkitWarning
        Says how many particles had one.
    """
    count = len(particles)
    for label in SHIFTS_PX:
        if (
            label in particles.columns
            and coordinates(particles[label].tolist(), label, where).any()
        ):
            raise InputError(
                f"{where}: has shifts in pixels ({label}), as RELION 3.0 wrote; it does not say of "
                f"which pixels. Convert them to {label}Angst, or drop the column."
            )
    shift = np.zeros((count, 3))
    for axis, label in enumerate(SHIFTS):
        if label in particles.columns:
            shift[:, axis] = coordinates(particles[label].tolist(), label, where)
    moved = int(shift.any(axis=1).sum())
    if not moved:
        return shift
    if set(_SUBTOMOGRAM_ANGLES) <= set(particles.columns):
        angles = np.deg2rad(triple(particles, _SUBTOMOGRAM_ANGLES, where))
        shift = np.einsum("nij,nj->ni", _euler_matrix(*angles.T), shift)
    warnings.warn(
        f"{where}: {moved} of {count} particles had an origin shift (rlnOrigin*Angst); it was "
        "applied to their positions.",
        SlabkitWarning,
        stacklevel=5,
    )
    return shift


def _euler_matrix(
    rot: npt.NDArray[np.float64], tilt: npt.NDArray[np.float64], psi: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Give RELION's rotation matrices (ZYZ, of the coordinate system), shape (particles, 3, 3)."""

    def about_z(angle: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        c, s, n, o = np.cos(angle), np.sin(angle), np.zeros_like(angle), np.ones_like(angle)
        return np.stack([c, s, n, -s, c, n, n, n, o], axis=-1).reshape(-1, 3, 3)

    c, s, n, o = np.cos(tilt), np.sin(tilt), np.zeros_like(tilt), np.ones_like(tilt)
    about_y = np.stack([c, n, -s, n, o, n, s, n, c], axis=-1).reshape(-1, 3, 3)
    matrix: npt.NDArray[np.float64] = about_z(psi) @ about_y @ about_z(rot)
    return matrix
