"""Writing MRC files: whole or not at all, the same bytes for the same data."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError
from slabkit.formats.tables.atomic import atomic_path
from slabkit.formats.volumes.mrc_header import HEADER_BYTES, MODES, pack_header
from slabkit.formats.volumes.statistics import RunningStatistics

_MODE_OF_TYPE = {name: mode for mode, name in MODES.items()}


def write_mrc(
    path: str | os.PathLike[str],
    array: npt.NDArray[Any],
    pixel_size: float,
    *,
    label: str,
    stack: bool = False,
    dtype: npt.DTypeLike = np.float32,
) -> None:
    """Write an image, a volume or a stack of images.

    Parameters
    ----------
    path : path-like
        Replaced once the new file is whole.
    array : ndarray, shape (y, x) or (z, y, x)
        Real values; two axes make an image (``nz`` 1).
    pixel_size : float
        In Å, written on all axes.
    label : str
        What made it, 80 characters; stands where others write the time.
    stack : bool, optional
        Whether three axes are images ``(image, y, x)`` (space group 0) rather than a volume (1).
    dtype : dtype, optional
        float32, int8, int16, uint16 or float16. Values are rounded to integers where need be.

    Raises
    ------
    InputError
        The array is empty or of other dimensions, the type is not one of those, or a value does not
        fit it.
    SlabkitError
        The file cannot be written.
    """
    if array.ndim not in (2, 3) or not array.size:
        raise InputError(f"{path}: an image or volume has two or three axes, not {array.shape}.")
    images = array if array.ndim == 3 else array[np.newaxis]
    volume = array.ndim == 3 and not stack
    with _Writer(path, images.shape[1:], pixel_size, label, dtype, volume) as writer:
        for image in images:
            writer.add(image)


class MrcStackWriter(contextlib.AbstractContextManager["MrcStackWriter"]):
    """Writes a stack of images one after another, holding none of them.

    The file appears under its name when the ``with`` block ends well, and not at all otherwise.

    Parameters
    ----------
    path : path-like
        Should end in ``.mrcs``, for RELION.
    shape : (int or None, int, int)
        ``(images, y, x)``; the number may be left open (None).
    pixel_size : float
        In Å.
    label : str
        What made it, 80 characters.

    Raises
    ------
    InputError
        At the end: not as many images as announced, or none.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        shape: tuple[int | None, int, int],
        pixel_size: float,
        *,
        label: str,
    ) -> None:
        self._announced = shape[0]
        self._writer = _Writer(path, shape[1:], pixel_size, label, np.float32, volume=False)

    def __enter__(self) -> MrcStackWriter:
        self._writer.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        wrong = self._announced is not None and self._announced != len(self)
        if error is None and wrong:
            fault = InputError(
                f"{self._writer.path}: {len(self)} images were given, {self._announced} announced."
            )
            self._writer.__exit__(InputError, fault, None)
            raise fault
        self._writer.__exit__(kind, error, trace)

    def __len__(self) -> int:
        """Give the number of images so far, which is also the 1-based index of the last one."""
        return self._writer.count

    def append(self, images: npt.NDArray[Any]) -> None:
        """Add one image or several.

        Parameters
        ----------
        images : ndarray, shape (y, x) or (images, y, x)

        Raises
        ------
        InputError
            They have another size, or a value does not fit float32.
        """
        for image in images if images.ndim == 3 else images[np.newaxis]:
            self._writer.add(image)


class _Writer(contextlib.AbstractContextManager["_Writer"]):
    def __init__(
        self,
        path: str | os.PathLike[str],
        image_shape: tuple[int, ...],
        pixel_size: float,
        label: str,
        dtype: npt.DTypeLike,
        volume: bool,
    ) -> None:
        kind = np.dtype(dtype)
        if kind.str[1:] not in _MODE_OF_TYPE:
            raise InputError(
                f"{path}: MRC files hold float32, int8, int16, uint16 or float16, not {kind}."
            )
        if not (math.isfinite(pixel_size) and pixel_size > 0):
            raise InputError(f"{path}: the pixel size must be positive, not {pixel_size!r}.")
        self.path = Path(path)
        self.count = 0
        self._image_shape = image_shape
        self._pixel_size = pixel_size
        self._label = label
        self._dtype = kind.newbyteorder("<")
        self._mode = _MODE_OF_TYPE[kind.str[1:]]
        self._volume = volume
        self._statistics = RunningStatistics()
        self._stack = contextlib.ExitStack()
        self._file: IO[bytes]

    def __enter__(self) -> _Writer:
        temporary = self._stack.enter_context(atomic_path(self.path, sync=False))
        self._file = self._stack.enter_context(temporary.open("wb"))
        self._file.write(bytes(HEADER_BYTES))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            if not self.count:
                raise InputError(f"{self.path}: no image was given, and MRC files hold at least 1.")
            self._file.seek(0)
            self._file.write(
                pack_header(
                    (self.count, *self._image_shape),  # type: ignore[arg-type]
                    self._mode,
                    self._pixel_size,
                    statistics=_stated(self._statistics),
                    space_group=1 if self._volume else 0,
                    sampling_z=self.count if self._volume else 1,
                    label=self._label,
                )
            )

    def add(self, image: npt.NDArray[Any]) -> None:
        if image.shape != self._image_shape:
            raise InputError(
                f"{self.path}: image {self.count + 1} has the size {image.shape}, the others "
                f"{self._image_shape}."
            )
        stored = self._converted(image)
        self._statistics.add(stored)
        self._file.write(stored.data)
        self.count += 1

    def _converted(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if image.dtype.kind not in "iufb":
            raise InputError(f"{self.path}: images hold real numbers, not {image.dtype}.")
        if image.dtype == self._dtype:
            return np.ascontiguousarray(image)
        if self._dtype.kind == "f":
            with np.errstate(over="ignore"):
                stored = np.ascontiguousarray(image, dtype=self._dtype)
            overflow = bool(np.isinf(stored).any() and not np.isinf(image).any())
        else:
            limits = np.iinfo(self._dtype)
            rounded = np.rint(image) if image.dtype.kind == "f" else image
            inside = (rounded >= limits.min) & (rounded <= limits.max)  # also False for NaN
            overflow = not inside.all()
            stored = np.ascontiguousarray(rounded, dtype=self._dtype) if not overflow else rounded
        if overflow:
            raise InputError(
                f"{self.path}: values from {image.min()} to {image.max()} do not fit {self._dtype}."
            )
        return stored


def _stated(statistics: RunningStatistics) -> tuple[float, float, float, float]:
    if not statistics.count:
        return 0.0, -1.0, -2.0, -1.0  # the standard's way of saying "not determined"
    return statistics.least, statistics.greatest, statistics.mean, statistics.deviation
