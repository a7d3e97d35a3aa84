"""How the network of `slabkit.learning.network` is trained, by PyTorch.

Batches are half of no particle and half of species, turned, mirrored, scaled and moved at random
with noise added; AdamW (Loshchilov and Hutter 2019) with one cycle of the learning rate (Smith and
Topin 2019, doi:10.1117/12.2520589), batch normalisation, dropout and label smoothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.backends import Backend, explain_full_memory
from slabkit.learning.network import CLIP, MOST, STEPS_A_UNIT, Network, strides, whole_layer
from slabkit.learning.regression import Codes

_OUTPUTS = (32, 64, 64, 96)  # of the layers
_BATCH = 128
_LEAST_BATCHES, _MOST_BATCHES = 120, 470
_BATCHES_A_LABEL = 0.5
_RATE, _DECAY, _DROPOUT, _SMOOTHING = 5e-3, 0.05, 0.3, 0.03
_SCALED, _MOVED = 0.04, 0.05  # standard deviations; shifts in halves of a box
_GAIN, _NOISE, _LEVEL = 0.15, 0.25, 0.1  # grey values
_SAMPLE = 512  # boxes that say how large the values of a layer become
_BEYOND = 0.9995  # share of those values that are not cut off


@contextmanager
def one_thread(backend: Backend) -> Iterator[None]:
    """Let PyTorch use one thread of the processor for each network, so that sums have one order.

    Several can be trained side by side instead, with the same result.
    """
    threads = backend.torch.get_num_threads()
    backend.torch.set_num_threads(1)
    try:
        yield
    finally:
        backend.torch.set_num_threads(threads)


def train_network(
    backend: Backend, boxes: npt.NDArray[np.int8], codes: Codes, classes: int, seed: int
) -> Network:
    """Train a network on boxes as `slabkit.learning.network.rounded` gives them.

    What it says of a box is as if classes were as frequent as in its batches.
    """
    torch = backend.torch
    functional = torch.nn.functional
    random = np.random.default_rng(seed)
    share = _shares(codes, classes)
    parts = _start(backend, boxes.shape[1], classes, random)
    learned = [part for name, part in parts.items() if not name.startswith("running")]
    for part in learned:
        part.requires_grad_(True)
    batches = int(np.clip(_BATCHES_A_LABEL * len(codes), _LEAST_BATCHES, _MOST_BATCHES))
    optimiser = torch.optim.AdamW(learned, lr=_RATE, weight_decay=_DECAY)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=batches)
    noise = torch.Generator(backend.put(np.zeros(1)).device).manual_seed(seed)
    with explain_full_memory(backend.name):
        for _ in range(batches):
            rows = random.choice(len(codes), _BATCH, p=share)
            seen = _varied(backend, boxes[rows], random, noise)
            outcome = _features(torch, parts, seen, training=True)
            kept = torch.rand(outcome.shape, generator=noise, device=outcome.device) >= _DROPOUT
            logits = outcome * kept / (1 - _DROPOUT) @ parts["last"] + parts["level"]
            loss = functional.cross_entropy(
                logits, backend.put(codes[rows]), label_smoothing=_SMOOTHING
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            cycle.step()
        with torch.no_grad():
            sample = boxes[random.choice(len(codes), min(len(codes), _SAMPLE), p=share)]
            return _rounded(backend, parts, _plain(backend, sample))


def _shares(codes: Codes, classes: int) -> npt.NDArray[np.float64]:
    """Say how often each box is drawn: species by the root of their number, none half the time."""
    count = np.bincount(codes, minlength=classes).astype(np.float64)
    weight = 1 / np.sqrt(np.maximum(count, 1))
    weight[-1] = ((weight * count)[:-1].sum() or 1.0) / max(count[-1], 1)
    share = weight[codes]
    return np.asarray(share / share.sum())


def _start(
    backend: Backend, planes: int, classes: int, random: np.random.Generator
) -> dict[str, Any]:
    """Give parts to start from (He et al. 2015, doi:10.1109/ICCV.2015.123)."""
    parts: dict[str, npt.NDArray[np.floating[Any]]] = {}
    channels = planes
    for number, outputs in enumerate(_OUTPUTS):
        spread = (2 / (9 * channels)) ** 0.5
        parts[f"weights_{number}"] = random.normal(0, spread, (outputs, channels, 3, 3))
        parts[f"gain_{number}"], parts[f"shift_{number}"] = np.ones(outputs), np.zeros(outputs)
        parts[f"running_mean_{number}"] = np.zeros(outputs)
        parts[f"running_spread_{number}"] = np.ones(outputs)
        channels = outputs
    parts["last"] = random.normal(0, (1 / channels) ** 0.5, (2 * channels, classes)) * 0.5
    parts["level"] = np.zeros(classes)
    return {name: backend.put(part.astype(np.float32)) for name, part in parts.items()}


def _features(torch: Any, parts: dict[str, Any], values: Any, *, training: bool) -> Any:
    for number in range(len(_OUTPUTS)):
        values = _layer(torch, parts, number, values, training=training)
    return torch.cat([values.mean((2, 3)), values.amax((2, 3))], 1)


def _layer(torch: Any, parts: dict[str, Any], number: int, values: Any, *, training: bool) -> Any:
    functional = torch.nn.functional
    stride = strides(len(_OUTPUTS))[number]
    convolved = functional.conv2d(values, parts[f"weights_{number}"], stride=stride, padding=1)
    return functional.relu(
        functional.batch_norm(
            convolved,
            *(parts[f"{name}_{number}"] for name in ("running_mean", "running_spread")),
            *(parts[f"{name}_{number}"] for name in ("gain", "shift")),
            training=training,
        )
    )


def _plain(backend: Backend, boxes: npt.NDArray[np.int8]) -> Any:
    seen = backend.put(boxes).to(backend.torch.float32) / STEPS_A_UNIT
    return seen.contiguous(memory_format=backend.torch.channels_last)


def _varied(
    backend: Backend, boxes: npt.NDArray[np.int8], random: np.random.Generator, noise: Any
) -> Any:
    """Turn, mirror, scale and move boxes at random, and add noise."""
    torch, count = backend.torch, len(boxes)
    functional = torch.nn.functional
    turn = random.uniform(0, 2 * np.pi, count)
    scale = 1 + _SCALED * random.normal(size=count)
    hand = random.choice([-1.0, 1.0], count)
    place = np.empty((count, 2, 3), dtype=np.float32)
    place[:, 0, 0], place[:, 0, 1] = scale * hand * np.cos(turn), -scale * np.sin(turn)
    place[:, 1, 0], place[:, 1, 1] = scale * hand * np.sin(turn), scale * np.cos(turn)
    place[:, :, 2] = _MOVED * random.normal(size=(count, 2))
    seen = _plain(backend, boxes)
    grid = functional.affine_grid(backend.put(place), seen.shape, align_corners=False)
    seen = functional.grid_sample(seen, grid, padding_mode="reflection", align_corners=False)
    if boxes.shape[1] > 1:  # a plane up or down, upside down
        seen = torch.roll(seen, int(random.integers(-1, 2)), 1)
        if random.random() < 0.5:
            seen = seen.flip(1)
    gain, level = random.normal(size=(2, count, 1, 1, 1)).astype(np.float32)
    seen = seen * backend.put(1 + _GAIN * gain) + backend.put(_LEVEL * level)
    added = torch.randn(seen.shape, generator=noise, device=seen.device)
    return (seen + _NOISE * added).contiguous(memory_format=torch.channels_last)


def _rounded(backend: Backend, parts: dict[str, Any], sample: Any) -> Network:
    """Make whole numbers of the trained parts."""
    layers = []
    own = {name: backend.get(part.detach()).astype(np.float64) for name, part in parts.items()}
    unit = np.full(own["weights_0"].shape[1], 1 / STEPS_A_UNIT)
    values, largest = sample, CLIP * STEPS_A_UNIT
    for number in range(len(_OUTPUTS)):
        values = _layer(backend.torch, parts, number, values, training=False)
        seen = backend.get(values.movedim(1, 0).flatten(1)).astype(np.float64)
        most = np.maximum(np.quantile(seen, _BEYOND, axis=1), 1e-3)
        gain = own[f"gain_{number}"] / np.sqrt(own[f"running_spread_{number}"] + 1e-5)
        weights = own[f"weights_{number}"].transpose(2, 3, 1, 0)
        weights = weights.reshape(9, -1, len(gain)) * gain
        shift = own[f"shift_{number}"] - own[f"running_mean_{number}"] * gain
        layers.append(whole_layer(weights, shift, unit, most, largest))
        unit, largest = most / MOST, MOST
    last = own["last"] * np.concatenate([unit, unit])[:, np.newaxis]
    return Network(layers, np.vstack([last, own["level"]]))
