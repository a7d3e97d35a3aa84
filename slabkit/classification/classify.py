"""2D classification: images in; classes, poses and class averages out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.backends import DEVICE_MEMORY, backend_for, explain_full_memory
from slabkit.classification.assigning import Members, assign, joined
from slabkit.classification.averages import (
    agreement_of_noise,
    agreement_with_others,
    average_classes,
    class_quality,
    noise_images,
    ring_resolution,
)
from slabkit.classification.expectation import Comparison, References
from slabkit.classification.harmonics import (
    CircularHarmonics,
    Floats,
    Indices,
    Singles,
)
from slabkit.classification.images import (
    ArraySource,
    ImageSource,
    PreparedImages,
    prepare_images,
)
from slabkit.classification.mixture import (
    PRIOR_IMAGES,
    Mixture,
    Sampling,
    fit_mixture,
    references_of,
)
from slabkit.errors import InputError
from slabkit.units import positive_length

_RADIUS = 0.34  # of the box: the mask
_RINGS = 12  # periods in a box
_REACH = 0.075  # of the box: shifts
_STEPS = 40  # of a box: the step of shifts
_NOISE_FLOOR = 0.01
_BATCH = 500


@dataclass(frozen=True)
class ClassificationSettings:
    """How to classify; lengths in Å.

    Attributes
    ----------
    classes : int
    iterations : int
    angular_step : float
        In degrees; rounded so that a turn has a whole, even number of steps.
    shift_range : float or None
        How far particles may be from the centre; None: 0.075 of the box.
    shift_step : float or None
        None: a fortieth of the box, at least a pixel.
    diameter : float or None
        Of the circular mask; None: 0.68 of the box.
    resolution : float or None
        Finest detail compared; None: a twelfth of the box.
    seed : int
    sample : int or None
        Learn the classes on so many images, chosen by the seed, and assign the others to them;
        None: learn them on all.
    """

    classes: int = 50
    iterations: int = 25
    angular_step: float = 6.0
    shift_range: float | None = None
    shift_step: float | None = None
    diameter: float | None = None
    resolution: float | None = None
    seed: int = 0
    sample: int | None = None

    def __post_init__(self) -> None:
        for name in ("classes", "iterations", "sample"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise InputError(f"--{name} must be 1 or more, not {getattr(self, name)}.")
        if self.seed < 0:
            raise InputError(f"--seed must be 0 or more, not {self.seed}.")
        if not 0 < self.angular_step <= 180:
            raise InputError(
                f"--angular-step must be above 0 and at most 180 degrees, not {self.angular_step:g}"
                "."
            )
        for name in ("shift_step", "diameter", "resolution"):
            value = getattr(self, name)
            if value is not None:
                positive_length(value, f"--{name.replace('_', '-')}")
        if self.shift_range is not None and not (
            np.isfinite(self.shift_range) and self.shift_range >= 0
        ):
            raise InputError(f"--shift-range must be 0 Å or more, not {self.shift_range:g}.")


@dataclass(frozen=True)
class Classification:
    """Classes and what each image has to do with them.

    Attributes
    ----------
    class_number : ndarray of int, shape (n,)
        From 1, the best class first; 0 for an image that is constant or has values that are not
        finite.
    angle : ndarray, shape (n,)
        ``rlnAnglePsi`` as RELION counts it, in degrees: by so much the class average is turned from
        y towards x in the image; turning the image from x towards y by it brings it back.
    origin_y, origin_x : ndarray, shape (n,)
        ``rlnOriginYAngst``, ``rlnOriginXAngst``: the shift in Å that brings the particle to the
        image's centre, before it is turned.
    probability : ndarray, shape (n,)
        Of the class, ``rlnMaxValueProbDistribution``.
    log_likelihood : ndarray, shape (n,)
        But for terms that do not depend on the classes.
    averages : ndarray of float32, shape (classes, y, x)
        Mean of the members as they are, turned and shifted.
    size : ndarray of int, shape (classes,)
    resolution : ndarray, shape (classes,)
        In Å; see `slabkit.classification.averages.ring_resolution`.
    quality : ndarray, shape (classes,)
        From 0 to 1; see `slabkit.classification.averages.class_quality`.
    agreement : ndarray, shape (classes,)
        Mean correlation of a member with the average of the others.
    history : list of float
        Mean log-likelihood after each iteration.
    repeat_share : ndarray, shape (n,), or None
        Share of repeats in which an image is in the same class; None without repeats.
    stability : ndarray, shape (classes,), or None
        Mean of it over the members.
    assigned : ndarray of int, shape (classes,), or None
        How many of the members the class was not learned on; None without a sample.
    """

    class_number: Indices
    angle: Floats
    origin_y: Floats
    origin_x: Floats
    probability: Floats
    log_likelihood: Floats
    averages: Singles
    size: Indices
    resolution: Floats
    quality: Floats
    agreement: Floats
    history: list[float]
    repeat_share: Floats | None = None
    stability: Floats | None = None
    assigned: Indices | None = None

    def __repr__(self) -> str:
        return f"<Classification: {len(self.class_number)} images, {len(self.size)} classes>"


def classify_images(
    images: npt.NDArray[np.generic] | ImageSource,
    pixel_size: float,
    settings: ClassificationSettings | None = None,
    *,
    device: str = "cpu",
    device_memory: float = DEVICE_MEMORY,
    jobs: int = 1,
    progress: Callable[[str, int, int, float | None], None] = lambda *_: None,
) -> Classification:
    """Sort images of particles into classes, whatever their in-plane rotation and shift.

    Reference-free maximum-likelihood classification (Sigworth 1998, J. Struct. Biol. 122:328;
    Scheres et al. 2005, J. Mol. Biol. 348:139) with radially coloured noise that has a floor. The
    answer depends neither on the order of the images nor on ``jobs``. With a sample, its images are
    chosen by their content and the seed, and every other image gets the class and the pose that
    are the most probable for it among those learned.

    Parameters
    ----------
    images : ndarray, shape (n, y, x), or ImageSource
        Square; particles at index ``side // 2``. A source is read in batches.
    pixel_size : float
        In Å.
    settings : ClassificationSettings, optional
    device : str, optional
        ``cpu``, or a device of PyTorch such as ``cuda``.
    device_memory : float, optional
        Of a device: about how much of its memory to use, in GB.
    jobs : int, optional
        Threads.
    progress : callable, optional
        Called with what is done (``read``, ``classify``, ``assign``, ``average``), steps done, all
        steps, and the mean log-likelihood or None.

    Returns
    -------
    Classification
        As many classes as were asked for, less those that stayed empty; at most as many as images.

    Raises
    ------
    InputError
        There is no image that can be used, images are not square or too small, or a setting cannot
        be kept with this box.
    MissingDependencyError
        ``device`` needs PyTorch.
    """
    settings = settings or ClassificationSettings()
    if isinstance(images, np.ndarray):
        if images.ndim != 3 or images.shape[1] != images.shape[2]:
            raise InputError(f"images: shape (n, y, x) with y = x is needed, not {images.shape}.")
        source: ImageSource = ArraySource(images)
    else:
        source = images
    backend = backend_for(device, device_memory)
    basis, sampling = _geometry(source.box_px, pixel_size, settings)
    count = len(source)
    steps = -(-count // _BATCH)
    read = steps + -(-min(count, settings.sample or count) // _BATCH)
    done = iter(range(1, read + 2))
    prepared = prepare_images(
        source,
        basis,
        floor=_NOISE_FLOOR,
        sample=settings.sample,
        seed=settings.seed,
        advance=lambda: progress("read", next(done), read, None),
    )
    if not len(prepared.order):
        raise InputError(
            f"there is nothing to classify: none of {count} images has finite, varying values."
        )
    classes = min(settings.classes, len(prepared.order))
    with explain_full_memory(device):
        model, comparison, learned = fit_mixture(
            prepared.coefficients,
            basis,
            classes,
            sampling,
            iterations=settings.iterations,
            seed=settings.seed,
            backend=backend,
            jobs=jobs,
            progress=lambda i, likelihood: progress("classify", i, settings.iterations, likelihood),
        )
        agreement = agreement_with_others(learned, model.references, basis.weight, PRIOR_IMAGES)
        found = Members.of(learned, prepared.order, agreement)
        if len(prepared.rest):
            others = assign(
                source,
                prepared,
                comparison,
                references_of(comparison, model),
                jobs=jobs,
                advance=lambda step, all_steps: progress("assign", step, all_steps, None),
            )
            found = joined([found, *others])
    order = found.number
    chance = _chance(prepared, basis, model, comparison, settings.seed)
    shifts = comparison.shifts
    angle = 2 * np.pi * found.best_rotation / comparison.rotations
    shift_y, shift_x = shifts.y_px[found.best_shift], shifts.x_px[found.best_shift]
    own = np.unique(found.best_class)
    index = np.searchsorted(own, found.best_class)
    averages = average_classes(
        source,
        order,
        index,
        angle,
        shift_y,
        shift_x,
        len(own),
        jobs=jobs,
        advance=lambda step, all_steps: progress("average", step, all_steps, None),
    )
    members = np.maximum(averages.members, 1)
    mean_agreement = np.bincount(index, found.agreement, len(own)) / members
    radius = basis.radius_px
    quality = class_quality(averages, mean_agreement, chance)
    rank = best_first(quality, averages.members)
    number = np.empty(len(own), dtype=np.intp)
    number[rank] = np.arange(1, len(own) + 1)
    turned_y = np.cos(angle) * shift_y + np.sin(angle) * shift_x
    turned_x = np.cos(angle) * shift_x - np.sin(angle) * shift_y
    return Classification(
        class_number=_in_source_order(number[index], order, count),
        angle=_in_source_order(_relion_angle(angle), order, count),
        origin_y=_in_source_order(0.0 - turned_y * pixel_size, order, count),
        origin_x=_in_source_order(0.0 - turned_x * pixel_size, order, count),
        probability=_in_source_order(found.probability, order, count),
        log_likelihood=_in_source_order(found.log_likelihood, order, count),
        averages=averages.images[rank],
        size=averages.members[rank],
        resolution=ring_resolution(averages, pixel_size, radius)[rank],
        quality=quality[rank],
        agreement=mean_agreement[rank],
        history=model.log_likelihood,
        assigned=None
        if settings.sample is None
        else np.bincount(index[len(learned.best_class) :], minlength=len(own))[rank],
    )


def best_first(quality: Floats, members: Indices) -> Indices:
    """Put classes in the order of their numbers."""
    order = np.lexsort((np.arange(len(quality)), -members, -np.round(quality, 6)))
    return np.asarray(order, dtype=np.intp)


def _geometry(
    box_px: int, pixel_size: float, settings: ClassificationSettings
) -> tuple[CircularHarmonics, Sampling]:
    if box_px < 8:
        raise InputError(f"images of {box_px} × {box_px} pixels are too small; 8 are the least.")
    box = box_px * pixel_size
    diameter = settings.diameter or 2 * _RADIUS * box
    if diameter > box:
        raise InputError(f"--diameter {diameter:g} Å is more than the box of {box:g} Å.")
    finest = box_px // 2
    if settings.resolution is None:
        rings = min(_RINGS, finest)
    else:
        rings = min(int(box / settings.resolution + 1e-6), finest)
        if settings.resolution < 2 * pixel_size * (1 - 1e-6):
            raise InputError(
                f"--resolution {settings.resolution:g} Å is finer than two pixels, "
                f"{2 * pixel_size:g} Å."
            )
        if rings < 2:
            raise InputError(
                f"--resolution {settings.resolution:g} Å: at most half the box, {box / 2:g} Å, "
                "tells images apart."
            )
    reach = _REACH * box if settings.shift_range is None else settings.shift_range
    if reach > box / 2:
        raise InputError(f"--shift-range {reach:g} Å is more than half the box, {box / 2:g} Å.")
    step = settings.shift_step or max(box / _STEPS, pixel_size)
    turns = max(2, 2 * round(180 / settings.angular_step))
    basis = CircularHarmonics(box_px, diameter / 2 / pixel_size, rings)
    return basis, Sampling(turns, reach / pixel_size, step / pixel_size)


def _chance(
    prepared: PreparedImages,
    basis: CircularHarmonics,
    model: Mixture,
    comparison: Comparison,
    seed: int,
) -> float:
    """Fit noise as images were fitted: what agreement comes of choosing the best of many poses."""
    count = len(prepared.order)
    power = np.zeros(basis.rings)
    for start in range(0, count, _BATCH):
        power += basis.ring_power(prepared.coefficients[start : start + _BATCH]).sum(0)
    noise = noise_images(basis, power / count, seed)
    # Without priors, so that noise is fitted as well as it can be; emptied classes are left out.
    alive = model.references[np.abs(model.references).any(1)]
    if not len(alive):
        return 1.0
    level = np.zeros((len(alive), len(comparison.shifts)))
    precision = basis.independent / model.variance
    references = References(alive, level, precision)
    found = comparison.run(lambda batch: noise[batch], len(noise), references, average=False)
    return agreement_of_noise(found, alive, basis.weight)


def _relion_angle(angle: Floats) -> Floats:
    degrees = 0.0 - np.degrees(angle)
    return np.where(degrees <= -180, degrees + 360, degrees)


def _in_source_order(values: npt.NDArray[Any], order: Indices, count: int) -> npt.NDArray[Any]:
    """Put values back where their images are; 0 for images that took no part."""
    result = np.zeros(count, dtype=values.dtype)
    result[order] = values
    return result
