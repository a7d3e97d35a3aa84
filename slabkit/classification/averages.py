"""Class averages, every image turned and shifted back once at full resolution, and their quality.

Quality is the share of particles among a class's members, as its average tells.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.exact import exp, log, squared_size
from slabkit.arrays.parallel import map_in_order
from slabkit.classification.expectation import Expectation
from slabkit.classification.harmonics import (
    CircularHarmonics,
    Coefficients,
    Floats,
    Indices,
    Singles,
)
from slabkit.classification.images import ImageSource

_BATCH, _BATCH_VALUES = 500, 2**22  # images, pixels that are turned at a time
_EDGE = 12  # pixels that images are continued by
_POLE = math.sqrt(3) - 2  # of cubic splines
WITHIN = 0.42  # of the box, from its centre: where particles are


@dataclass(frozen=True)
class Averages:
    """Averages of classes."""

    # Shape (classes, y, x); mean of the members, as they are, posed like their reference
    images: Singles
    halves: Singles  # shape (2, classes, y, x); means of the even and of the odd members
    members: Indices  # shape (classes,)
    # Shape (classes,); mean variance of a member's pixels away from the particle, see
    # `noise_outside`
    noise: Floats


def average_classes(
    source: ImageSource,
    numbers: Indices,
    class_index: Indices,
    angle: Floats,
    shift_y: Floats,
    shift_x: Floats,
    classes: int,
    *,
    jobs: int = 1,
    advance: Callable[[int, int], None] = lambda *_: None,
) -> Averages:
    """Average the images of each class, in the order of ``numbers``.

    The reference was shifted (pixels), then turned from x towards y (radians), to give an image.
    The result does not depend on ``jobs``; ``advance`` is called with batches done, and all.
    """
    from scipy.sparse import csr_array

    side = source.box_px
    half = np.zeros(len(numbers), dtype=np.intp)
    for index in range(classes):
        own = np.flatnonzero(class_index == index)
        half[own] = np.arange(len(own)) % 2
    into = half * classes + class_index
    counts = np.bincount(into, minlength=2 * classes).reshape(2, classes)
    poses, pose = np.unique(np.stack([angle, shift_y, shift_x]), axis=1, return_inverse=True)
    kind = pose.ravel() * 2 * classes + into
    by_pose = np.argsort(kind, kind="stable")
    size = max(1, min(_BATCH, _BATCH_VALUES // side**2))
    batches = [by_pose[start : start + size] for start in range(0, len(by_pose), size)]

    def turn(batch: Indices) -> tuple[Indices, Indices, Floats, Floats]:
        images = source.read(numbers[batch])
        kinds, first = np.unique(kind[batch], return_index=True)
        # To turn is linear: images of one pose that come into one average are added before.
        ends = np.append(first, len(batch))
        adding = csr_array((np.ones(len(batch)), np.arange(len(batch)), ends))
        added = adding @ images.reshape(len(batch), -1).astype(np.float64)
        number, places = np.divmod(kinds, 2 * classes)
        return (
            batch,
            places,
            turned_back(added.reshape(-1, side, side), *poses[:, number]),
            noise_outside(images),
        )

    flat = np.zeros((2 * classes, side, side))
    noise = np.zeros(len(numbers))
    for done, (batch, places, turned, outside) in enumerate(map_in_order(turn, batches, jobs), 1):
        noise[batch] = outside
        for place, image in zip(places, turned, strict=True):
            flat[place] += image
        advance(done, len(batches))
    sums = flat.reshape(2, classes, side, side)
    members = counts.sum(0)
    images = sums.sum(0) / np.maximum(members, 1)[:, None, None]
    halves = sums / np.maximum(counts, 1)[:, :, None, None]
    mean_noise = np.bincount(class_index, noise, classes) / np.maximum(members, 1)
    return Averages(images.astype(np.float32), halves.astype(np.float32), members, mean_noise)


def turned_back(images: Floats, angle: Floats, shift_y: Floats, shift_x: Floats) -> Floats:
    """Undo a shift and a turn of each image, by cubic splines; beyond it its edge is repeated.

    As SciPy's ``affine_transform`` with ``mode="nearest"``, but fast for many images of few poses:
    those that follow each other in one pose share the weights of the pixels.
    """
    count, side, _ = images.shape
    padded = np.pad(images.transpose(1, 2, 0), ((_EDGE, _EDGE), (_EDGE, _EDGE), (0, 0)), "edge")
    _to_spline_coefficients(padded)
    _to_spline_coefficients(padded.swapaxes(0, 1))
    flat = padded.reshape(-1, count)
    poses = np.stack([angle, shift_y, shift_x])
    first = np.flatnonzero(np.append(True, (poses[:, 1:] != poses[:, :-1]).any(0)))
    turned = np.empty((count, side * side))
    for start, end in zip(first, np.append(first[1:], count), strict=True):
        turned[start:end] = (_spline_weights(side, *poses[:, start]) @ flat[:, start:end]).T
    return turned.reshape(images.shape)


def _to_spline_coefficients(values: Floats) -> None:
    """Replace values along the first axis by coefficients of cubic splines through them.

    Recursion forth and back (Unser 1999, IEEE Signal Process. Mag. 16(6):22), all lines at a time;
    beyond its ends a line goes on as it ends.
    """
    values *= 6
    last = values[-1] / (1 - _POLE)
    values[0] /= 1 - _POLE
    for before, value in itertools.pairwise(values):
        value += _POLE * before
    values[-1] = -_POLE * (last / (1 - _POLE) + (values[-1] - last) / (1 - _POLE**2))
    for after, value in itertools.pairwise(values[::-1]):
        value -= after
        value *= -_POLE


def _spline_weights(side: int, angle: float, shift_y: float, shift_x: float) -> Any:
    """Give the matrix that makes a posed image of the coefficients of the padded one."""
    from scipy.sparse import csr_array

    wide = side + 2 * _EDGE
    y, x = np.indices((side, side)).reshape(2, -1) - side // 2
    cosine, sine = np.cos(angle), np.sin(angle)
    places = (
        cosine * (y + shift_y) + sine * (x + shift_x),
        cosine * (x + shift_x) - sine * (y + shift_y),
    )
    numbers, weights = [], []
    for place in places:
        place = np.clip(place + (side // 2 + _EDGE), 0, wide - 1)
        whole = np.floor(place)
        part = place - whole
        rest = 1 - part
        near = (4 - 3 * part**2 * (1 + rest)) / 6, (4 - 3 * rest**2 * (1 + part)) / 6
        weights.append(np.stack([rest**3 / 6, *near, part**3 / 6], -1))
        number = np.abs(whole.astype(np.int32)[:, None] + np.arange(-1, 3, dtype=np.int32))
        numbers.append(np.minimum(number, 2 * (wide - 1) - number))
    columns = numbers[0][:, :, None] * np.int32(wide) + numbers[1][:, None, :]
    values = weights[0][:, :, None] * weights[1][:, None, :]
    ends = np.arange(0, values.size + 1, 16, dtype=np.int32)
    return csr_array((values.ravel(), columns.ravel(), ends), shape=(side * side, wide * wide))


def noise_outside(images: npt.NDArray[np.floating]) -> Floats:
    """Give the variance of each image's pixels beyond 0.42 of the box, shape (n,)."""
    side = images.shape[1]
    outside = images[:, radius_px_of(side) > WITHIN * side]
    return np.asarray(outside.var(1, dtype=np.float64))


def radius_px_of(side: int) -> Floats:
    """Give each pixel's distance from the image's centre at index ``side // 2``."""
    y, x = np.indices((side, side)) - side // 2
    return np.hypot(y, x)


_NOISE_IMAGES = 240
_ANGLES = 48
_DISCS = (0.08, 0.425, 0.02)  # radii tried, of the box
_SHELL, _HOLLOW = 0.2, 0.6  # shells: from this radius on; how far they are hollow
# The logarithm of the odds that a member is a particle.
_ODDS, _OF_CONTRAST, _OF_LINE, _OF_SUPPORT = 0.55, 2.31, 2.92, 2.10
_SAME = 0.5  # Fourier ring correlation of the halves down to which they agree


def noise_images(basis: CircularHarmonics, white_power: Floats, seed: int) -> Coefficients:
    """Give images of noise, of unit norm, with the power on each ring that the real ones have."""
    generator = np.random.default_rng([seed, 1])
    side = basis.box_px
    shape = (_NOISE_IMAGES, side, side)
    found = basis.transform(generator.standard_normal(shape, dtype=np.float32))
    own = basis.ring_power(found).mean(0)
    found *= np.sqrt(white_power / np.maximum(own, 1e-30))[basis.ring].astype(np.float32)
    norm = np.sqrt(np.einsum("nc,c->n", squared_size(found), basis.weight))
    return np.asarray(found / np.maximum(norm, 1e-30)[:, None], dtype=np.complex64)


def agreement_with_others(
    found: Expectation, references: Coefficients, weight: Singles, held_back: float
) -> Floats:
    """Correlate each image with what its class average would be without it; 0 if alone.

    ``held_back`` is the number of images of zeros that were averaged too.
    """
    square = np.einsum("nc,c->n", squared_size(references), weight.astype(float))
    own = found.best_class
    count = found.weights.sum(1)[own] + held_back
    agreement = found.agreement.astype(float)
    without = count * agreement - 1
    norm = count**2 * square[own] - 2 * count * agreement + 1
    # The references were made one step earlier: they would still agree with the last member of a
    # class that lost the others since then.
    others = np.bincount(own, minlength=len(square))[own] > 1
    return np.where(others & (norm > 1e-3), without / np.sqrt(np.maximum(norm, 1e-3)), 0.0)


def agreement_of_noise(found: Expectation, references: Coefficients, weight: Singles) -> float:
    """Give the mean square correlation of noise with the reference that fits it best."""
    square = np.einsum("nc,c->n", squared_size(references), weight.astype(float))
    return float(np.mean(found.agreement.astype(float) ** 2 / square[found.best_class]))


def class_quality(averages: Averages, agreement: Floats, chance: float) -> Floats:
    """Estimate which share of each class's members are particles, from 0 to 1.

    Three things tell (benchmarks/class_quality.py): the contrast of the particle with what is
    around it, over the deviation of a single image away from it; how much of that contrast is left
    beside the brightest line that runs past, on two opposite sides, as a membrane does and a
    neighbour does not; and the share of the members' agreement (mean correlation with the average
    of the others) that is not chance (mean square correlation of noise, fitted likewise). The
    logarithm of the odds is a sum of the three, fitted to simulated tomograms.
    """
    # Protein is bright, or dark, in most averages.
    contrast, line = max(
        (_contrast_and_line(images) for images in (averages.images, -averages.images)),
        key=lambda found: float((np.maximum(found[0], 0) * averages.members).sum()),
    )
    clear = contrast > 0
    shown = np.where(clear, contrast, 1.0) / np.sqrt(np.maximum(averages.noise, 1e-30))
    supported = (np.clip(agreement, 0, 1) ** 2 - chance) / max(1 - chance, 1e-6)
    odds = _ODDS + _OF_CONTRAST * log(np.maximum(shown, 1e-6))
    odds -= _OF_LINE * np.clip(line / np.where(clear, contrast, 1.0), 0, 3)
    odds += _OF_SUPPORT * log(np.clip(supported, 1e-6, 1))
    quality = 1 / (1 + exp(-odds))
    return np.asarray(np.where(clear & (supported > 0), quality, 0.0), dtype=np.float64)


def _contrast_and_line(images: Singles) -> tuple[Floats, Floats]:
    """Give how much brighter each particle is than its surround, and the brightest line's excess.

    The particle is the disc, of those tried, or the outer part of it (the wall of a shell), whose
    contrast times radius is highest. A line is as bright as the fainter of two opposite sectors of
    the surround.
    """
    from scipy.ndimage import map_coordinates

    side = images.shape[1]
    radius = np.arange(side // 2, dtype=np.float64)
    angle = 2 * np.pi * np.arange(_ANGLES) / _ANGLES
    places = [side // 2 + radius[:, None] * wave for wave in (np.sin(angle), np.cos(angle))]
    polar = np.stack([map_coordinates(image.astype(float), places, order=1) for image in images])
    area = np.maximum(radius, 0.25)
    contrast, line = np.zeros(len(images)), np.zeros(len(images))
    best = np.full(len(images), -np.inf)
    for disc in np.arange(*_DISCS) * side:
        around = (radius > 1.1 * disc) & (radius <= max(1.5 * disc, 1.1 * disc + 2.5))
        if not around.any():  # in a box of few pixels
            continue
        profile = np.einsum("nra,r->na", polar[:, around], area[around] / area[around].sum())
        sectors = sum(np.roll(profile, turn, axis=1) for turn in range(-4, 4)) / 8
        both = np.minimum(sectors[:, : _ANGLES // 2], sectors[:, _ANGLES // 2 :]).max(axis=1)
        surround = profile.mean(axis=1)
        for hollow in (0.0, _HOLLOW) if disc >= _SHELL * side else (0.0,):
            inside = (radius >= hollow * disc) & (radius <= disc)
            weight = area[inside] / area[inside].sum() / _ANGLES
            found = np.einsum("nra,r->n", polar[:, inside], weight) - surround
            better = found * disc > best
            best = np.where(better, found * disc, best)
            contrast = np.where(better, found, contrast)
            line = np.where(better, both - surround, line)
    return contrast, line


def ring_resolution(averages: Averages, pixel_size: float, radius_px: float) -> Floats:
    """Estimate resolutions (Å) from the Fourier ring correlation of half-averages.

    The last ring before the correlation falls below 0.5; the box where none is above. The halves
    were posed by one reference, so that the estimate is optimistic.
    """
    side = averages.images.shape[1]
    radius = radius_px_of(side)
    edge = max(0.15 * radius_px, 1.0)
    fall = np.clip((radius - radius_px) / edge, 0, 1)
    mask = 0.5 + 0.5 * np.cos(np.pi * fall)
    halves = averages.halves.astype(np.float64)
    mean = (halves * mask).sum((2, 3), keepdims=True) / mask.sum()
    first, second = np.fft.rfft2((halves - mean) * mask)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]) * side
    ring = np.rint(frequency).astype(int)
    rings = side // 2
    resolution = np.full(len(averages.images), side * pixel_size)
    for number in range(len(resolution)):
        if averages.members[number] < 2:
            continue
        for r in range(1, rings + 1):
            a, b = first[number][ring == r], second[number][ring == r]
            norm = np.sqrt(squared_size(a).sum() * squared_size(b).sum())
            if not norm > 0 or (a.real * b.real + a.imag * b.imag).sum() / norm < _SAME:
                break
            resolution[number] = side * pixel_size / r
    return resolution
