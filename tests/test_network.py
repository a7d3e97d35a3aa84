"""What a network says of boxes, without PyTorch: whole numbers, the same as plain sums say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import correlate2d

from slabkit.learning.network import (
    CLIP,
    MOST,
    PLANES,
    SIDE,
    STEPS_A_UNIT,
    Network,
    mean_logits,
    rounded,
    strides,
    whole_layer,
)

OUTPUTS = (4, 6, 5, 7)
CLASSES = 3


def directly(values, weights, shift, stride):
    """Convolve (y, x, channels) by (9, channels, outputs) with plain sums of float64."""
    found = np.stack(
        [
            sum(
                correlate2d(values[:, :, c], weights[:, c, o].reshape(3, 3), "same")
                for c in range(values.shape[2])
            )
            for o in range(weights.shape[2])
        ],
        axis=-1,
    )
    return np.maximum(found + shift, 0)[::stride, ::stride]


@pytest.fixture(scope="module")
def made():
    """A network of random weights, and its layers as real numbers."""
    random = np.random.default_rng(0)
    channels, unit, largest = PLANES, np.full(PLANES, 1 / STEPS_A_UNIT), CLIP * STEPS_A_UNIT
    layers, real = [], []
    for outputs in OUTPUTS:
        weights = random.normal(0, (2 / (9 * channels)) ** 0.5, (9, channels, outputs))
        shift, most = random.normal(0, 0.2, outputs), random.uniform(9, 12, outputs)
        layers.append(whole_layer(weights, shift, unit, most, largest))
        real.append((weights, shift))
        channels, unit, largest = outputs, most / MOST, MOST
    last = random.normal(size=(2 * channels + 1, CLASSES))
    scaled = np.vstack([last[:-1] * np.concatenate([unit, unit])[:, None], last[-1:]])
    return Network(layers, scaled), real, last


def test_a_network_says_what_plain_sums_say(made):
    network, real, last = made
    boxes = np.random.default_rng(1).normal(size=(3, PLANES, SIDE, SIDE)).astype(np.float32)
    boxes *= np.float32([0.2, 1, 1.5])[:, None, None, None]
    expected = []
    for box in boxes.clip(-CLIP, CLIP).astype(np.float64):
        seen = []
        for turns in range(4):
            values = np.rot90(box.transpose(1, 2, 0), turns)
            for (weights, shift), stride in zip(real, strides(len(real)), strict=True):
                values = directly(values, weights, shift, stride)
            seen.append(np.concatenate([values.mean(axis=(0, 1)), values.max(axis=(0, 1))]))
        expected.append(np.mean(seen, axis=0) @ last[:-1] + last[-1])
    np.testing.assert_allclose(network.logits(boxes), expected, atol=0.1)
    assert np.std(expected, axis=0).min() > 1  # which is much more


def test_turned_boxes_are_the_same(made):
    network, *_ = made
    boxes = np.random.default_rng(2).normal(size=(40, PLANES, SIDE, SIDE)).astype(np.float32)
    said = network.logits(boxes)
    for turns in (1, 2):
        np.testing.assert_array_equal(network.logits(np.rot90(boxes, turns, (2, 3))), said)
    np.testing.assert_array_equal(network.logits(boxes[33:34]), said[33:34])  # alone
    # Of several networks each looks at one turn.
    np.testing.assert_allclose(mean_logits([network] * 4, boxes), said, rtol=1e-12)


def test_sums_are_exact_in_whatever_order(made):
    network, *_ = made
    random = np.random.default_rng(3)
    for number, layer in enumerate(network.layers):
        low, high = (0, MOST) if number else (-CLIP * STEPS_A_UNIT, CLIP * STEPS_A_UNIT)
        values = random.integers(low, high + 1, (9, len(layer.weights))).astype(np.float32)
        values[0] = np.where(layer.weights[:, 0] > 0, high, low)  # as large as can be
        order = random.permutation(len(layer.weights))
        exact = values.astype(np.int64) @ layer.weights.astype(np.int64)
        for turn in (slice(None), order):
            np.testing.assert_array_equal(values[:, turn] @ layer.weights[turn], exact)
        assert np.abs(exact).max() < 2**24
        assert np.abs(layer.weights).max() > 500  # little is lost


def test_parts_that_do_not_fit_are_refused(made):
    network, *_ = made
    parts = network.arrays
    again = Network.from_arrays(parts)
    boxes = np.random.default_rng(4).normal(size=(2, PLANES, SIDE, SIDE)).astype(np.float32)
    np.testing.assert_array_equal(again.logits(boxes), network.logits(boxes))
    for change in (
        {"weights_1": parts["weights_1"][:-9]},
        {"weights_1": parts["weights_1"] * 2},
        {"shift_0": parts["shift_0"][:-1]},
        {"last": parts["last"][:-1]},
    ):
        with pytest.raises(ValueError, match=r"layers do not fit together|sums are not exact"):
            Network.from_arrays({**parts, **change})
    with pytest.raises(ValueError, match="no layers"):
        Network.from_arrays({"last": parts["last"]})


def test_the_middle_of_a_box_is_rounded():
    boxes = np.full((1, 15, 33, 33), 9, dtype=np.float32)
    boxes[0, 1:-1, 2:-2, 2:-2] = 0.5
    boxes[0, 7, 16, 16] = -4
    whole = rounded(boxes)
    assert whole.shape == (1, PLANES, SIDE, SIDE)
    assert whole[0, 6, 14, 14] == -CLIP * STEPS_A_UNIT
    assert np.unique(whole).tolist() == [-CLIP * STEPS_A_UNIT, 0.5 * STEPS_A_UNIT]
    assert rounded(boxes[:, 7:8]).shape == (1, 1, SIDE, SIDE)
