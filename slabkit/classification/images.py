"""Images to be classified: read in batches, sorted by content, as white harmonics."""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Protocol

import numpy as np
import numpy.typing as npt

from slabkit.arrays.exact import squared_size
from slabkit.classification.harmonics import CircularHarmonics, Coefficients, Floats, Indices
from slabkit.errors import write_error

_BATCH = 500
_IN_MEMORY = 512 * 1024**2  # bytes; what is larger goes to a temporary file
_FLAT = 1e-6  # power of what rounding leaves of a constant, the largest value being 1


class ImageSource(Protocol):
    """Square images of one size that can be read in any order."""

    def __len__(self) -> int: ...

    @property
    def box_px(self) -> int:
        """Side of the images."""

    def read(self, numbers: Indices) -> npt.NDArray[np.float32]:
        """Read images by number, shape (n, y, x)."""


class ArraySource:
    """Images in an array, shape (n, y, x)."""

    def __init__(self, images: npt.NDArray[np.generic]) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    @property
    def box_px(self) -> int:
        """Side of the images."""
        return int(self._images.shape[1])

    def read(self, numbers: Indices) -> npt.NDArray[np.float32]:
        """Read images by number, shape (n, y, x)."""
        return np.asarray(self._images[numbers], dtype=np.float32)


@dataclass(frozen=True)
class PreparedImages:
    """Images as white harmonics of unit norm, in an order that depends on their content alone."""

    order: Indices  # number in the source of each
    left_out: Indices  # numbers of images that are constant or have values that are not finite
    coefficients: Coefficients  # shape (n, coefficients)
    noise: Floats  # shape (rings,); relative power of the noise by which they were made white
    rest: Indices  # numbers of usable images beside the sample, by their content
    file: IO[bytes] | None = None


def prepare_images(
    source: ImageSource,
    basis: CircularHarmonics,
    *,
    floor: float,
    sample: int | None = None,
    seed: int = 0,
    advance: Callable[[], None] = lambda: None,
) -> PreparedImages:
    """Expand images, weigh the rings by their noise, and scale each image.

    All images, or a random ``sample`` of the usable ones.

    The noise spectrum is that of the images themselves, of which references explain little at the
    start; it is not let fall below a share (``floor``) of its maximum, because a denoised tomogram
    has next to no power at high frequencies, and dividing by that would leave nothing else to
    compare. ``advance`` is called after each batch.
    """
    digests = np.empty((len(source), 2), dtype=">u8")
    usable = np.zeros(len(source), dtype=bool)
    for numbers in _batches(np.arange(len(source))):
        images = source.read(numbers)
        flat = images.reshape(len(images), -1)
        with np.errstate(invalid="ignore", over="ignore"):
            usable[numbers] = np.isfinite(flat).all(1) & (flat.max(1) > flat.min(1))
        made = [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images]
        digests[numbers] = np.frombuffer(b"".join(made), digests.dtype).reshape(-1, 2)
        advance()
    kept = np.flatnonzero(usable)
    # Sorting by content makes the answer the same in whatever order images come.
    order = kept[np.lexsort((digests[kept, 1], digests[kept, 0]))]
    rest = order[:0]
    if sample is not None and sample < len(order):
        mixed = np.random.default_rng([seed, 2]).permutation(len(order))
        order, rest = order[np.sort(mixed[:sample])], order[np.sort(mixed[sample:])]
    shape = (len(order), len(basis.order))
    file = None
    if np.prod(shape, dtype=float) * 8 > _IN_MEMORY:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the array
        try:
            if hasattr(os, "posix_fallocate"):  # else a full disk ends the process
                os.posix_fallocate(file.fileno(), 0, 8 * math.prod(shape))
        except OSError as error:
            raise write_error(f"the temporary folder {tempfile.gettempdir()}", error) from error
        coefficients: Coefficients = np.memmap(file, np.complex64, "w+", shape=shape)
    else:
        coefficients = np.empty(shape, dtype=np.complex64)
    power = np.zeros(basis.rings)
    varies = np.ones(len(order), dtype=bool)
    end = 0
    for numbers in _batches(np.arange(len(order))):
        found = basis.transform(_scaled(source.read(order[numbers])))
        rings = basis.ring_power(found)
        total = rings.sum(1)
        varies[numbers] = some = total > _FLAT  # under the mask
        power += (rings[some] / total[some, None]).sum(0)
        coefficients[end : end + some.sum()] = found[some]
        end += int(some.sum())
        advance()
    noise = np.maximum(power / max(power.max(initial=0.0), 1e-30), floor)
    for numbers in _batches(np.arange(end)):
        coefficients[numbers] = _white(coefficients[numbers], basis, noise)
    left_out = np.sort(np.concatenate([np.flatnonzero(~usable), order[~varies]]))
    return PreparedImages(order[varies], left_out, coefficients[:end], noise, rest, file)


def expand(
    source: ImageSource, numbers: Indices, basis: CircularHarmonics, noise: Floats
) -> tuple[npt.NDArray[np.bool_], Coefficients]:
    """Tell which images vary under the mask, and make those white, as `prepare_images` does."""
    found = basis.transform(_scaled(source.read(numbers)))
    varies = basis.ring_power(found).sum(1) > _FLAT
    return varies, _white(found[varies], basis, noise)


def _white(found: Coefficients, basis: CircularHarmonics, noise: Floats) -> Coefficients:
    """Weigh the rings by their noise, and bring each image to a norm of 1."""
    batch = found * (1 / np.sqrt(noise))[basis.ring].astype(np.float32)
    norm = np.sqrt(np.einsum("nc,c->n", squared_size(batch), basis.weight))
    return np.asarray(batch / norm[:, None], dtype=np.complex64)


def _scaled(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Bring images to values up to 1 about a mean of 0, whose squares stay finite."""
    mean = images.mean((1, 2), keepdims=True, dtype=np.float64)
    images = images - mean.astype(np.float32)
    peak = np.abs(images).max((1, 2), keepdims=True)
    return np.asarray(images / np.where(peak > 0, peak, 1), dtype=np.float32)


def _batches(numbers: Indices) -> Iterator[Indices]:
    for start in range(0, len(numbers), _BATCH):
        yield numbers[start : start + _BATCH]
