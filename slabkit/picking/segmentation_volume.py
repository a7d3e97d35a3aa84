"""A segmentation as it lies on disk: what its values mean, read block by block and box by box."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from slabkit.arrays.components import Component
from slabkit.errors import InputError
from slabkit.tomogram import Tomogram

Kind = Literal["labels", "probability"]

MOST_LABELS = 64

_BLOCK_VOXELS = 8 * 2**20  # read and labelled at a time: 32 MB of labels
_LARGEST_OBJECT = 4 * 2**20  # voxels of a box that is worked on at full size
_SAMPLED_PLANES = 8

Booleans = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


def segmentation_kind(mask: Tomogram) -> Kind:
    """Tell labels from probabilities by the values of some planes, or refuse to."""
    depth, height, width = mask.shape
    real = np.dtype(mask.data.dtype).kind == "f"
    # Real numbers are labels only if all are whole, so all may have to be seen.
    count = depth if real else _SAMPLED_PLANES
    values: set[float] = set()
    for z in np.unique(np.linspace(0, depth - 1, count).round().astype(int)).tolist():
        plane = mask.read((z, 0, 0), (z + 1, height, width))
        plane = mask.check_finite(plane, (z, 0, 0))
        different = np.unique(plane).astype(np.float64)
        values.update([*different[: 10 * MOST_LABELS].tolist(), float(different[-1])])
        if real and (different != np.floor(different)).any():
            break
    whole = all(value == int(value) for value in values)
    low, high = min(values), max(values)
    if whole and len(values) <= MOST_LABELS and low >= 0:
        return "labels"
    if not whole and low >= 0 and high <= 1:
        return "probability"
    raise InputError(
        f"{mask.label}: has values from {low:g} to {high:g}, {len(values)} or more of them, which "
        "tell neither labels nor probabilities; say which with --kind labels or --kind "
        "probability."
    )


class SegmentationVolume:
    """Reads a segmentation as masks of labels and as weights.

    Parameters
    ----------
    mask : Tomogram
    kind : {"labels", "probability"}
    threshold : float
        Lowest probability.
    """

    def __init__(self, mask: Tomogram, kind: Kind, threshold: float) -> None:
        if kind not in ("labels", "probability"):
            raise InputError(f"--kind must be labels or probability, not {kind!r}.")
        self.mask, self.kind, self.threshold = mask, kind, threshold
        dtype = np.dtype(mask.data.dtype)
        self.scale = float(np.iinfo(dtype).max) if dtype.kind in "iu" else 1.0

    def blocks(self) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """Read all planes, some at a time, with the number of the first."""
        depth, height, width = self.mask.shape
        planes = max(1, _BLOCK_VOXELS // (height * width))
        for z in range(0, depth, planes):
            start = (z, 0, 0)
            block = self.mask.read(start, (min(z + planes, depth), height, width))
            yield z, self.mask.check_finite(block, start)

    def labels_in(self, block: npt.NDArray[Any]) -> list[int]:
        """List the labels in a block, ascending; a probability volume has the label 1."""
        if self.kind == "probability":
            return [1]
        if block.dtype in (np.int8, np.uint8):  # counting is faster than sorting
            values = np.flatnonzero(np.bincount(block.clip(0).astype(np.uint8).ravel()))
        else:
            values = np.unique(block)
        if block.dtype.kind == "f" and (values != np.floor(values)).any():
            wrong = float(values[values != np.floor(values)][0])
            raise InputError(
                f"{self.mask.label}: has the value {wrong:g}, and labels are whole numbers; give "
                "--kind probability if it holds probabilities."
            )
        return [int(value) for value in values if value > 0]

    def chosen(self, block: npt.NDArray[Any], label: int) -> Booleans:
        """Tell which voxels of a block are of a label."""
        if self.kind == "labels":
            return np.asarray(block == label)
        return np.asarray(block >= self.threshold * self.scale)

    def box(self, label: int, one: Component) -> tuple[Booleans, Floats, int]:
        """Read an object: mask, weights, and the edge of their voxels in the volume's."""
        factor = 1
        while math.prod(-(-side // factor) for side in one.shape) > _LARGEST_OBJECT:
            factor += 1
        if factor == 1:
            block = self.mask.read(one.start, one.stop)
            block = self.mask.check_finite(block, one.start)
            chosen = self.chosen(block, label)
            weights = block / self.scale if self.kind == "probability" else chosen
            weights = weights.astype(np.float64)
        else:
            chosen, weights = self._coarse_box(label, one, factor)
        return _connected_to(chosen, one, factor), weights, factor

    def _coarse_box(self, label: int, one: Component, factor: int) -> tuple[Booleans, Floats]:
        sides = tuple(-(-side // factor) for side in one.shape)
        share, weights = np.zeros(sides, dtype=np.float32), np.zeros(sides)
        for row in range(sides[0]):
            z = one.start[0] + row * factor
            stop = (min(z + factor, one.stop[0]), *one.stop[1:])
            block = self.mask.read((z, *one.start[1:]), stop)
            block = self.mask.check_finite(block, (z, *one.start[1:]))
            chosen = self.chosen(block, label)
            value = np.where(chosen, block / self.scale if self.kind == "probability" else 1.0, 0.0)
            share[row] = _summed(chosen.sum(axis=0, dtype=np.float64), factor)
            weights[row] = _summed(value.sum(axis=0), factor)
        return share > 0, weights / factor**3


def _connected_to(chosen: Booleans, one: Component, factor: int) -> Booleans:
    from scipy.ndimage import label

    numbers, _ = label(chosen)
    place = tuple((a - b) // factor for a, b in zip(one.inside, one.start, strict=True))
    return np.asarray(numbers == numbers[place])


def _summed(plane: Floats, factor: int) -> Floats:
    height, width = (-(-side // factor) for side in plane.shape)
    padded = np.zeros((height * factor, width * factor))
    padded[: plane.shape[0], : plane.shape[1]] = plane
    return np.asarray(padded.reshape(height, factor, width, factor).sum(axis=(1, 3)))
