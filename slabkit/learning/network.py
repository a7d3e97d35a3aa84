"""A small convolutional network that says what boxes show: what it is, and what it says.

Its numbers are whole ones, so small that sums of their products are exact in single precision: what
a network says is the same on every processor, and needs no PyTorch. How it is trained:
`slabkit.learning.training`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.exact import product
from slabkit.learning.regression import Floats

Whole = npt.NDArray[np.float32]

SIDE, PLANES = 29, 13
"""Of the middle of a box that the network looks at, at most."""

CLIP = 3.5
"""Grey values beyond this many standard deviations count as this."""

STEPS_A_UNIT = 36
"""Grey values are rounded to this many steps of a standard deviation."""

MOST = 255
"""What a layer gives is rounded to whole numbers up to this."""

_EXACT = 2**24  # float32 holds whole numbers up to this
_AT_ONCE = 32  # boxes, so that what they become stays near the processor


@dataclass(frozen=True)
class Layer:
    """A convolution by 3 x 3 pixels, with what normalises it folded in.

    ``weights`` (9 * channels, outputs) are whole numbers, rows by y, x, channel; a sum of products
    times ``factor`` plus ``shift`` (outputs), not below 0, is what the layer gives.
    """

    weights: Whole
    factor: Whole
    shift: Whole

    def apply(self, values: Whole, stride: int) -> Whole:
        """Give (n, y, x, outputs) of (n, y, x, channels), whole numbers both."""
        count, height, width, channels = values.shape
        padded = np.zeros((count, height + 2, width + 2, channels), dtype=np.float32)
        padded[:, 1:-1, 1:-1] = values
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
        patches = windows[:, ::stride, ::stride].transpose(0, 1, 2, 4, 5, 3)
        shape = patches.shape[:3]
        found = patches.reshape(-1, 9 * channels) @ self.weights
        found *= self.factor
        found += self.shift
        np.rint(found, out=found)
        return np.clip(found, 0, MOST, out=found).reshape(*shape, -1)


@dataclass(frozen=True)
class Network:
    """Layers, and the weights (2 * outputs + 1, classes) of the mean and the maximum of the last.

    The last row is the intercepts. Of layers 0, 2, ... every other place counts.
    """

    layers: Sequence[Layer]
    last: Floats

    @property
    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Its parts by name, for a file; `from_arrays` takes them."""
        found: dict[str, npt.NDArray[Any]] = {"last": self.last}
        for number, layer in enumerate(self.layers):
            found[f"weights_{number}"] = layer.weights.astype(np.int32)
            found[f"factor_{number}"], found[f"shift_{number}"] = layer.factor, layer.shift
        return found

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Network:
        """Make a network of its parts; ValueError where they do not fit together."""
        count = sum(name.startswith("weights_") for name in arrays)
        if not count:
            raise ValueError("no layers")
        layers = [
            Layer(
                arrays[f"weights_{number}"].astype(np.float32),
                arrays[f"factor_{number}"],
                arrays[f"shift_{number}"],
            )
            for number in range(count)
        ]
        found = cls(layers, arrays["last"])
        channels, most = found.planes, CLIP * STEPS_A_UNIT
        for layer in layers:
            rows, outputs = layer.weights.shape
            if rows != 9 * channels or not layer.factor.shape == layer.shift.shape == (outputs,):
                raise ValueError("layers do not fit together")
            if most * np.abs(layer.weights).sum(axis=0, dtype=np.float64).max() >= _EXACT:
                raise ValueError("sums are not exact")
            channels, most = outputs, MOST
        if found.last.ndim != 2 or len(found.last) != 2 * channels + 1:
            raise ValueError("layers do not fit together")
        return found

    @property
    def planes(self) -> int:
        """How many planes of a box it looks at."""
        return len(self.layers[0].weights) // 9

    def logits(self, boxes: npt.NDArray[np.float32], turns: Sequence[int] = range(4)) -> Floats:
        """Say what boxes (n, planes, y, x) show, (n, classes): the mean over some quarter turns."""
        parts = [np.zeros((0, self.last.shape[1]))]
        for start in range(0, len(boxes), _AT_ONCE):
            values = rounded(boxes[start : start + _AT_ONCE]).transpose(0, 2, 3, 1)
            values = values.astype(np.float32)
            seen = sum(self._outcome(np.rot90(values, turn, (1, 2))) for turn in turns)
            parts.append(product(np.asarray(seen) / len(turns), self.last[:-1]) + self.last[-1])
        return np.concatenate(parts)

    def _outcome(self, values: Whole) -> Floats:
        for layer, stride in zip(self.layers, strides(len(self.layers)), strict=True):
            values = layer.apply(values, stride)
        flat = values.reshape(len(values), -1, values.shape[-1]).astype(np.float64)
        return np.concatenate([flat.mean(axis=1), flat.max(axis=1)], axis=1)


def mean_logits(networks: Sequence[Network], boxes: npt.NDArray[np.float32]) -> Floats:
    """Give the mean of what networks say, (n, classes).

    One looks at four quarter turns, several at one each.
    """
    if len(networks) == 1:
        return networks[0].logits(boxes)
    said = [one.logits(boxes, [number % 4]) for number, one in enumerate(networks)]
    return np.asarray(sum(said) / len(said))


def strides(layers: int) -> list[int]:
    """Give the step between places of each layer."""
    return [2 - number % 2 for number in range(layers)]


def rounded(boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
    """Give the middle of boxes (n, planes, y, x) as whole numbers."""
    planes, side = boxes.shape[1], boxes.shape[-1]
    top, left = max(0, planes - PLANES) // 2, max(0, side - SIDE) // 2
    part = boxes[:, top : planes - top, left : side - left, left : side - left]
    return np.rint(part.clip(-CLIP, CLIP) * np.float32(STEPS_A_UNIT)).astype(np.int8)


def whole_layer(weights: Floats, shift: Floats, unit: Floats, most: Floats, range_: float) -> Layer:
    """Round a layer so that its sums are exact.

    ``weights`` (9, channels, outputs), whose sums are of values of the ``unit`` (channels), which
    are ``range_`` units at most; ``most`` (outputs) is what the layer gives at most.
    """
    flat = (weights * unit[:, np.newaxis]).reshape(-1, weights.shape[-1])
    largest = _EXACT / range_ - len(flat)  # leaves room for rounding
    scale = largest / np.maximum(np.abs(flat).sum(axis=0), 1e-12)
    return Layer(
        np.rint(flat * scale).astype(np.float32),
        (MOST / most / scale).astype(np.float32),
        (shift * MOST / most).astype(np.float32),
    )
