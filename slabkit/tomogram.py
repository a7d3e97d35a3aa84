"""A tomogram: lazily read voxels, their size, a name, and the sign of protein.

`Tomogram` is opened; `TomogramRef` is the one description of a volume that is not opened yet, and
`Reading` is how such a volume is read where that is not as its file says.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from slabkit.errors import InputError, warn
from slabkit.units import Contrast, protein_sign

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


_LARGEST_HELD = 400 * 2**20  # bytes


class VoxelSource(Protocol):
    """Anything that reads voxels by three slices: an array, a file, a Zarr array."""

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
        shape, dtype = tuple(self.data.shape), self.data.dtype
        if len(shape) != 3 or min(shape) < 1:
            raise InputError(f"{self.label}: a tomogram has three axes (z, y, x), not {shape}.")
        if dtype.kind not in "iufb":
            raise InputError(f"{self.label}: voxels must be real numbers, not {dtype}.")
        if not (math.isfinite(self.voxel_size) and self.voxel_size > 0):
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
        """What messages call this tomogram, the path if there is one, else the name."""
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
            Shape ``stop - start``, in the volume's own type (perhaps a view of the source: do not
            write to it). Non-finite voxels are *not* looked for; see `check_finite`.

        Raises
        ------
        InputError
            If the box is not inside the volume.
        """
        import numpy as np

        for low, high, size in zip(start, stop, self.shape, strict=True):
            if not 0 <= low <= high <= size:
                raise InputError(
                    f"{self.label}: box {start} to {stop} is not inside the volume {self.shape}."
                )
        z, y, x = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
        return np.asarray(self.data[z, y, x])

    def in_memory(self, rows: float) -> Tomogram:
        """Give the same held in memory, if so many rows are to be read and it is not large.

        Parameters
        ----------
        rows : float
            Along x, in all boxes together.

        Returns
        -------
        Tomogram
            This one where fewer rows than it has are to be read, or where it is over 400 MiB.
        """
        import numpy as np

        depth, height, width = self.shape
        size = depth * height * width * np.dtype(self.data.dtype).itemsize
        if rows < depth * height or size > _LARGEST_HELD:
            return self
        return replace(self, data=self.read((0, 0, 0), self.shape))

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
        import numpy as np

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
        warn(
            f"{self.label}: {len(bad)} NaN or infinite voxels were replaced by {self.fill_value:g}."
        )
        return np.where(finite, block, np.asarray(self.fill_value, dtype=block.dtype))


class TomogramVoxels:
    """A tomogram as `slabkit.arrays` reads it; counts the boxes that had to be filled in."""

    def __init__(self, tomogram: Tomogram) -> None:
        import numpy as np

        self.tomogram = tomogram
        self.shape = tomogram.shape
        self.dtype = np.dtype(tomogram.data.dtype)
        self.mended = 0

    def read(self, start: tuple[int, int, int], stop: tuple[int, int, int]) -> npt.NDArray[Any]:
        """Read the box ``[start, stop)``, which is inside."""
        return self.tomogram.read(start, stop)

    def mend(self, block: npt.NDArray[Any], start: tuple[int, int, int]) -> npt.NDArray[Any]:
        """Fill in, or refuse, the voxels of a block that are not finite numbers."""
        import numpy as np

        if self.tomogram.fill_value is None:
            return self.tomogram.check_finite(block, start)
        self.mended += 1
        fill = np.asarray(self.tomogram.fill_value, dtype=block.dtype)
        return np.where(np.isfinite(block), block, fill)


@dataclass(frozen=True)
class Reading:
    """How a volume is read, where not as its file says."""

    voxel_size: float | None = None  # in Å; wins over the file's
    axis_order: str | None = None  # what the file's axes are, slowest first, whatever it says
    uint8: bool | None = None  # whether bytes in MRC files are unsigned; None: as IMOD's flags say
    flip_z: bool = False  # read the planes from the last to the first
    level: int | str = 0  # resolution level of an OME-Zarr
    allow_missing_chunks: bool = False  # read missing chunks of an OME-Zarr as empty
    # What replaces NaN and infinite voxels; None makes them an error
    fill_nonfinite: Literal["median"] | None = None
    # Which of a pair of half maps, or their sum; the path may be that of either
    half: Literal["1", "2", "sum"] | None = None

    def changes(self) -> dict[str, Any]:
        """Give the options that are not the default, by name."""
        return {
            one.name: getattr(self, one.name)
            for one in fields(self)
            if getattr(self, one.name) != one.default
        }

    def text(self) -> str:
        """Write as one word for a table, ``axis_order=yzx,flip_z=1``; empty if all is usual."""
        return ",".join(
            f"{name}={int(value) if isinstance(value, bool) else value}"
            for name, value in self.changes().items()
        )

    @classmethod
    def parse(cls, text: str) -> Reading:
        """Read what `text` wrote.

        Raises `InputError`: it is not of that form.
        """
        known = {one.name for one in fields(cls)}
        options: dict[str, Any] = {}
        for part in text.split(",") if text else []:
            name, equals, value = part.partition("=")
            if name not in known or not equals:
                raise InputError(
                    f"slabkitTomogramReading has {part!r}, which slabkit does not know."
                )
            if name in ("uint8", "flip_z", "allow_missing_chunks"):
                options[name] = value == "1"
            elif name == "voxel_size":
                options[name] = float(value)
            elif name == "half":
                options[name] = value
            else:
                options[name] = int(value) if value.isdecimal() else value
        return cls(**options)

    def but(self, other: Reading) -> Reading:
        """Give this reading with what `other` says otherwise than the default."""
        return replace(self, **other.changes())


@dataclass(frozen=True)
class TomogramRef:
    """One tomogram that was asked for or that a table names, not opened."""

    name: str
    path: Path | None = None  # None where it is not known
    # In Å, as a table or project says; the file is checked against it. ``reading.voxel_size`` is
    # what wins over the file.
    voxel_size: float | None = None
    # In Å along x, y, z, as a table says; the volume is checked against it
    expected_size: tuple[float, float, float] | None = None
    contrast: Contrast | None = None  # where something says so; else dark
    reading: Reading = Reading()
    problem: str = ""  # why it cannot be opened
    # Opens it; what lists tomograms gives it
    opener: Callable[[TomogramRef], Tomogram] | None = field(
        default=None, repr=False, compare=False
    )

    def but(
        self, *, contrast: Contrast | None = None, reading: Reading | None = None
    ) -> TomogramRef:
        """Give the same tomogram, read and judged as a user's options say.

        Parameters
        ----------
        contrast : {"dark", "bright"}, optional
            None: unchanged.
        reading : Reading, optional
            What it says otherwise than the default wins.
        """
        merged = self.reading if reading is None else self.reading.but(reading)
        return replace(self, contrast=contrast or self.contrast, reading=merged)

    def open(self) -> Tomogram:
        """Open the tomogram; its voxels are read when they are asked for.

        Raises `InputError`: there is no path, the volume cannot be opened, or it is not as large or
        of the voxel size that is expected.
        """
        if self.problem or self.path is None or self.opener is None:
            raise InputError(self.problem or f"{self.name}: no file is known for this tomogram.")
        return self.opener(self)
