"""The least that classifies: references, turned and shifted in pixels, and white noise.

A yardstick for classification.py, which runs it: STACK OUT.npy CLASSES ITERATIONS STEP SEED.
"""

from __future__ import annotations

import sys
from typing import Any

import mrcfile
import numpy as np
import numpy.typing as npt
from scipy.ndimage import affine_transform

Array = npt.NDArray[Any]

REACH_PX = 3
RADIUS = 0.34  # of the box


def turn(image: Array, angle: float) -> Array:
    """Turn an image about its centre."""
    cosine, sine = np.cos(angle), np.sin(angle)
    matrix = np.array([[cosine, -sine], [sine, cosine]])
    centre = np.array(image.shape) // 2
    return affine_transform(image, matrix, centre - matrix @ centre, order=1)


def classify(images: Array, classes: int, iterations: int, step: float, seed: int) -> Array:
    """Give each image's class, from 1."""
    count, side, _ = images.shape
    y, x = np.indices((side, side)) - side // 2
    mask = (np.hypot(y, x) <= RADIUS * side).ravel()
    angles = np.radians(np.arange(0, 360, step))
    reach = range(-REACH_PX, REACH_PX + 1)
    shifts = [(a, b) for a in reach for b in reach if np.hypot(a, b) <= REACH_PX]
    images = images - images.reshape(count, -1)[:, mask].mean(1)[:, None, None]
    images /= images.reshape(count, -1)[:, mask].std(1)[:, None, None]
    moved = np.stack([np.roll(images, shift, (1, 2)) for shift in shifts], 1)
    flat = moved.reshape(count, len(shifts), -1)[:, :, mask].astype(np.float32)
    members = np.array_split(np.random.default_rng(seed).permutation(count), classes)
    references = np.stack([images[part].mean(0) for part in members])
    prior, variance = np.full(classes, 1 / classes), 1.0
    for _ in range(iterations):
        bank = np.stack([turn(r, angle).ravel()[mask] for r in references for angle in angles])
        bank = bank.astype(np.float32)
        offset = -0.5 * (bank**2).sum(1) / variance + np.log(np.repeat(prior, len(angles)))
        sums, weight, left = np.zeros_like(bank), np.zeros(len(bank)), 0.0
        best = np.zeros(count, dtype=int)
        for start in range(0, count, 100):
            part = flat[start : start + 100].reshape(-1, mask.sum())
            product = part @ bank.T
            score = (product / variance + offset).reshape(-1, len(shifts) * len(bank))
            score -= score.max(1, keepdims=True)
            np.exp(score, out=score)
            score /= score.sum(1, keepdims=True)
            posterior = score.reshape(-1, len(bank))
            square = (part**2).sum(1)[:, None] + (bank**2).sum(1) - 2 * product
            left += float((posterior * square).sum())
            sums += posterior.T @ part
            weight += posterior.sum(0)
            by_class = score.reshape(-1, len(shifts), classes, len(angles)).sum((1, 3))
            best[start : start + 100] = by_class.argmax(1)
        full = np.zeros((len(bank), side * side))
        full[:, mask] = sums
        shape = (classes, len(angles), side, side)
        back = [
            sum(turn(image, -angle) for image, angle in zip(own, angles, strict=True))
            for own in full.reshape(shape)
        ]
        prior = weight.reshape(classes, -1).sum(1)
        references = np.stack(back) / (prior + 1)[:, None, None]
        prior = (prior + 1) / (count + classes)
        variance = max(left / (count * mask.sum()), 1e-3)
    return best + 1


if __name__ == "__main__":
    stack, out, *numbers = sys.argv[1:]
    classes, iterations, step, seed = map(int, numbers)
    np.save(out, classify(mrcfile.read(stack).astype(np.float32), classes, iterations, step, seed))
