"""A tomogram: lazily read voxels, their size, a name, and the sign of protein."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError, SlabkitWarning
from slabkit.units import Contrast, protein_sign


class VoxelSource(Protocol):
    """Anything that reads voxels by three slices: an array, a memory map, a Zarr array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Size as ``(z, y, x)`` voxels."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels."""

    def __getitem__(self, key: tuple[slice, slice, slice], /) -> npt.NDArray[Any]:
        """Read ``[z, y, x]`` slices (step 1, non-negative); not to be written to."""


@dataclass(frozen=True)
class Tomogram:
    """One tomogram, opened but not loaded.

    Parameters
    ----------
    name : str
        Unique name; the file name less a known suffix.
    data : VoxelSource
        Real voxels, indexed ``[z, y, x]``; read only where asked.
    voxel_size : float
        Edge of a cubic voxel in Å.
    contrast : {"dark", "bright"}
        Whether protein has low (``dark``, as reconstructions have it) or high values.
    path : str, optional
        Where it came from, as given.
    fill_value : float, optional
        What replaces NaN and infinite voxels; None makes them an error.
    notes : tuple of str
        What was overridden or guessed on opening (for ``info`` and run records).
    reading : str, optional
        How it was read where not in the usual way; tables keep it, so that it is read so again.

    Raises
    ------
    InputError
        If the data are not three-dimensional and real, the voxel size is not positive, or the
        contrast is unknown.
    """

    name: str
    data: VoxelSource
    voxel_size: float
    contrast: Contrast = "dark"
    path: str | None = None
    fill_value: float | None = None
    notes: tuple[str, ...] = field(default=())
    reading: str = ""

    def __post_init__(self) -> None:
        shape = tuple(self.data.shape)
        if len(shape) != 3 or min(shape) < 1:
            raise InputError(f"{self.label}: a tomogram has three axes (z, y, x), not {shape}.")
        if np.dtype(self.data.dtype).kind not in "iufb":
            raise InputError(f"{self.label}: voxels must be real numbers, not {self.data.dtype}.")
        if not (np.isfinite(self.voxel_size) and self.voxel_size > 0):
            raise InputError(
                f"{self.label}: the voxel size must be positive, not {self.voxel_size}; "
                "give --voxel-size."
            )
        protein_sign(self.contrast)

    def __repr__(self) -> str:
        z, y, x = self.shape
        return (
            f"<Tomogram {self.name!r}: {x} × {y} × {z} voxels (x, y, z) of {self.voxel_size:g} Å, "
            f"{self.data.dtype}, {self.contrast}>"
        )

    @property
    def label(self) -> str:
        """The path if there is one, else the name: what messages call this tomogram."""
        return self.path or self.name

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size as ``(z, y, x)`` voxels."""
        z, y, x = self.data.shape
        return int(z), int(y), int(x)

    def with_contrast(self, contrast: Contrast | None) -> Tomogram:
        """Give the same tomogram with another contrast (None: unchanged).

        Parameters
        ----------
        contrast : {"dark", "bright"}, optional

        Returns
        -------
        Tomogram

        Raises
        ------
        InputError
            If the contrast is unknown.
        """
        return self if contrast is None else replace(self, contrast=contrast)

    def read(
        self,
        start: tuple[int, int, int],
        stop: tuple[int, int, int],
    ) -> npt.NDArray[Any]:
        """Read the box ``[start, stop)``, and nothing else of the volume.

        Parameters
        ----------
        start, stop : (int, int, int)
            Corner indices ``(z, y, x)``; ``0 <= start <= stop <= shape``, so that no negative index
            can wrap around.

        Returns
        -------
        ndarray
            Shape ``stop - start``, in the volume's own type (perhaps a view of a memory map: do not
            write to it). Non-finite voxels are *not* looked for; see `check_finite`.

        Raises
        ------
        InputError
            If the box is not inside the volume.
        """
        for low, high, size in zip(start, stop, self.shape, strict=True):
            if not 0 <= low <= high <= size:
                raise InputError(
                    f"{self.label}: box {start} to {stop} is not inside the volume {self.shape}."
                )
        z, y, x = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
        return np.asarray(self.data[z, y, x])

    def check_finite(
        self, block: npt.NDArray[Any], start: tuple[int, int, int]
    ) -> npt.NDArray[Any]:
        """Fill or refuse the NaN and infinite voxels of a block.

        Parameters
        ----------
        block : ndarray
            Voxels read by `read`, shape ``(z, y, x)``.
        start : (int, int, int)
            Where the block begins, for the message.

        Returns
        -------
        ndarray
            The block, copied and filled if it had non-finite voxels and `fill_value` is set.

        Raises
        ------
        InputError
            If there are non-finite voxels and no `fill_value`; says how many and where.
        """
        if block.dtype.kind != "f":
            return block
        finite = np.isfinite(block)
        if finite.all():
            return block
        bad = np.argwhere(~finite)
        if self.fill_value is None:
            z, y, x = (int(v) + int(s) for v, s in zip(bad[0], start, strict=True))
            raise InputError(
                f"{self.label}: {len(bad)} voxels are NaN or infinite in the part read, the first "
                f"at z={z}, y={y}, x={x}; repair the volume or give --fill-nonfinite median."
            )
        warnings.warn(
            f"{self.label}: {len(bad)} NaN or infinite voxels were replaced by "
            f"{self.fill_value:g}.",
            SlabkitWarning,
            stacklevel=2,
        )
        return np.where(finite, block, np.asarray(self.fill_value, dtype=block.dtype))
