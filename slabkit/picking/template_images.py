"""Templates, and how class averages become some.

A template is kept as Fourier coefficients about its centre, so that it can be filtered, turned and
sampled on any grid exactly. Angles are RELION's: turned by ``psi``, the template's value at
``(cos(psi) x - sin(psi) y, sin(psi) x + cos(psi) y)`` comes to ``(x, y)``.

A slab shows of a molecule what the missing wedge leaves of it and what lies within the slab: the
density's transform, cut to the tilts of the series, weighted by the transform of the slab's
thickness and summed along kz. As the wedge does not turn with the molecule, that is done for each
in-plane angle.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.exact import geometric, product
from slabkit.arrays.filters import rim_transfer
from slabkit.errors import InputError
from slabkit.picking.surroundings import RIM_FILTER_DIAMETER
from slabkit.units import Contrast, positive_length, protein_sign

Floats = npt.NDArray[np.float64]
Coefficients = npt.NDArray[np.complex128]

_BACKGROUND = 0.15  # of the values at the rim of a class average's particle, from its highest
ROOM = 1.5  # sides of a template's field, in diameters
_WIDER = 1.4  # than the rim that the templates answer most: what is smaller has less contrast
_WIDEST = 0.9  # of the templates' diameter, which is where they end in their longest view
_RUNGS = 17  # of the diameters tried for it
FALL = (0.85, 1.15)
"""Between which parts of its cut-off frequency a low-pass falls from 1 to 0."""


@dataclass(frozen=True, eq=False)
class Templates:
    """Templates of one diameter.

    Parameters
    ----------
    species : str
        Name for what is picked with them; may be empty.
    diameter : float
        In Å.
    lowpass : float
        Finest detail that they hold, Å.
    numbers : ndarray of int64, shape (templates,)
        What they are called, from 1.
    y_frequency, x_frequency : ndarray of float64, shape (frequencies,)
        In cycles an Å; half a plane, the other half being conjugate.
    coefficients : ndarray of complex128, shape (templates, planes, frequencies)
        Of bright protein; ``planes`` is 1 for images.
    kz : ndarray of float64, shape (planes,)
        In cycles an Å.
    plane_weight : ndarray of float64, shape (planes,)
        Of the slab's thickness.
    tilt_range : (float, float), optional
        In degrees; None: no missing wedge.
    decoy : bool, optional
        What these match best is not reported.
    """

    species: str
    diameter: float
    lowpass: float
    numbers: npt.NDArray[np.int64]
    y_frequency: Floats
    x_frequency: Floats
    coefficients: Coefficients
    kz: Floats
    plane_weight: Floats
    tilt_range: tuple[float, float] | None
    decoy: bool = False

    def __len__(self) -> int:
        return len(self.coefficients)

    @property
    def half_turn_reflects(self) -> bool:
        """Whether half a turn in the plane is a point reflection, as without a lopsided wedge."""
        return self.tilt_range is None or len(self.kz) == 1 or sum(self.tilt_range) == 0

    def drawn(
        self, psi: float, y: Floats, x: Floats, transfer: Callable[[Floats], Floats]
    ) -> Floats:
        """Draw all templates (templates, places), turned by RELION's ``psi`` (degrees).

        Places are in Å from the centre; ``transfer`` is a radial filter of cycles an Å.
        """
        even, odd = self.drawn_parts(psi, y, x, transfer)
        return even - odd

    def drawn_parts(
        self, psi: float, y: Floats, x: Floats, transfer: Callable[[Floats], Floats]
    ) -> tuple[Floats, Floats]:
        """Give what to subtract of each other for `drawn`, and to add for the opposite places."""
        sine, cosine = math.sin(math.radians(psi)), math.cos(math.radians(psi))
        plane = self.plane(psi) * transfer(np.hypot(self.y_frequency, self.x_frequency))
        own_x, own_y = cosine * x - sine * y, sine * x + cosine * y
        phase = np.outer(self.y_frequency, own_y) + np.outer(self.x_frequency, own_x)
        wave = 2 * np.pi * phase
        return product(plane.real, np.cos(wave)), product(plane.imag, np.sin(wave))

    def plane(self, psi: float) -> Coefficients:
        """Sum the planes as a slab does in which templates are turned, its tilt axis along y."""
        sine, cosine = math.sin(math.radians(psi)), math.cos(math.radians(psi))
        lab_x_frequency = cosine * self.x_frequency + sine * self.y_frequency
        weight = np.repeat(self.plane_weight[:, None], len(lab_x_frequency), axis=1)
        if self.tilt_range is not None and len(self.kz) > 1:
            low, high = (math.tan(math.radians(tilt)) for tilt in self.tilt_range)
            edges = np.sort(np.stack([low * lab_x_frequency, high * lab_x_frequency]), axis=0)
            step = self.kz[1] - self.kz[0]
            above = (self.kz[:, None] - edges[0]) / step + 0.5
            below = (edges[1] - self.kz[:, None]) / step + 0.5
            weight *= np.clip(np.minimum(above, below), 0, 1)
        return np.asarray(np.einsum("nkf,kf->nf", self.coefficients, weight))


def image_templates(
    images: npt.NDArray[Any],
    pixel_size: float,
    *,
    lowpass: float,
    diameter: float | None = None,
    contrast: Contrast = "bright",
    species: str = "",
    numbers: npt.ArrayLike | None = None,
) -> Templates:
    """Make templates of images, class averages for instance.

    Parameters
    ----------
    images : ndarray, shape (templates, y, x) or (y, x)
        Square; the particle at index ``side // 2``.
    pixel_size : float
        In Å.
    lowpass : float
        Finest detail that will be used, Å.
    diameter : float, optional
        Of the particle, Å; default: that beyond which the images are at the level of their rim.
    contrast : {"bright", "dark"}, optional
        How protein looks in them.
    species : str, optional
    numbers : array-like of int, shape (templates,), optional
        What to call them; default: 1, 2, ...

    Returns
    -------
    Templates

    Raises
    ------
    InputError
        The images are not square, not finite or constant, or a number makes no sense.
    """
    stack = np.asarray(images, dtype=np.float64)
    stack = stack[None] if stack.ndim == 2 else stack
    if stack.ndim != 3 or stack.shape[1] != stack.shape[2] or 0 in stack.shape:
        raise InputError(f"templates are square images (n, y, x), not of shape {stack.shape}.")
    if not (math.isfinite(pixel_size) and pixel_size > 0):
        raise InputError(
            f"the templates' pixel size must be a positive number of Å, not {pixel_size:g}; give "
            "--template-pixel-size."
        )
    positive_length(lowpass, "--lowpass")
    for number, image in enumerate(stack, 1):
        if not np.isfinite(image).all():
            raise InputError(f"template {number} has NaN or infinite pixels; leave it out.")
        if not np.ptp(image) > 0:
            raise InputError(
                f"template {number} is constant, as an empty class is; leave it out (--use)."
            )
    stack = stack * protein_sign(contrast)
    side = stack.shape[1]
    if diameter is None:
        diameter = _image_diameter(stack) * pixel_size
    if not 0 < diameter <= side * pixel_size * (1 + 1e-6):
        raise InputError(
            f"a particle of {diameter:g} Å does not fit in templates of {side * pixel_size:g} Å; "
            "give a smaller --diameter or larger templates."
        )
    away = np.arange(side) - side // 2
    radius = np.hypot(away[:, None], away[None, :]) * pixel_size
    rim = (radius > 0.45 * diameter) & (radius <= max(0.55 * diameter, side * pixel_size / 2))
    stack = stack - stack[:, rim].mean(axis=1)[:, None, None]
    # What is beyond the inscribed circle must not be met from the other side.
    stack *= np.clip(side / 2 - radius / pixel_size, 0, 1)
    pad = max(0, math.ceil((ROOM * diameter / pixel_size - side) / 2))
    stack = np.pad(stack, ((0, 0), (pad, pad), (pad, pad)))
    y, x, values = half_plane(stack, pixel_size, lowpass)
    names = np.arange(1, len(stack) + 1) if numbers is None else np.asarray(numbers, dtype=np.int64)
    planes = values[:, None]
    return Templates(
        species, float(diameter), lowpass, names, y, x, planes, np.zeros(1), np.ones(1), None
    )


def _image_diameter(stack: Floats) -> float:
    """Estimate the particle's diameter in pixels from the mean radial profile."""
    side = stack.shape[1]
    away = np.arange(side) - side // 2
    ring = np.rint(np.hypot(away[:, None], away[None, :])).astype(np.int64).ravel()
    count = np.bincount(ring)
    outer = side // 2 - 1
    level = stack[:, np.rint(np.hypot(away[:, None], away[None, :])) >= outer].mean(axis=1)
    strength = ((stack - level[:, None, None]) ** 2).mean(axis=0).ravel()
    profile = (np.bincount(ring, strength) / count)[: outer + 1]
    profile = profile - profile[-max(2, outer // 10) :].mean()
    beyond = np.flatnonzero(profile > _BACKGROUND**2 * profile.max())
    return float(2 * (beyond.max() + 1)) if len(beyond) else float(side)


def rim_diameters(templates: Templates) -> Floats:
    """Give the diameters (Å) at which the contrast and the lines of matches are measured.

    Of the balls and shells to which `slabkit.arrays.filters.rim_transfer` can be fitted the one
    that fits a template best is taken and made larger by 0.4, so that smaller things have less
    contrast; but it is no more than 0.9 of the templates' diameter, where they end. Of an elongated
    particle hardly anything is so far out. All views of a map have the same, by their average;
    images, which may be of several particles, each their own.
    """
    tried = templates.diameter * geometric(0.25, 1.0, _RUNGS)
    frequency = 2 * np.pi * np.hypot(templates.y_frequency, templates.x_frequency)
    filters = [rim_transfer(frequency, RIM_FILTER_DIAMETER * one) for one in tried.tolist()]
    answer = product(filters, templates.plane(0.0).real.T)  # at the centre
    if len(templates.kz) > 1:
        answer[:] = answer.mean(axis=1, keepdims=True)
    best = tried[answer.argmax(axis=0)]
    return np.asarray(np.minimum(_WIDER * best, _WIDEST * templates.diameter))


def half_plane(
    images: npt.NDArray[Any], pixel_size: float, lowpass: float
) -> tuple[Floats, Floats, Coefficients]:
    """Transform images about their centres, keeping half of the plane below the low-pass.

    Gives y and x of the frequencies, and coefficients, (images, frequencies): doubled but for
    frequency 0, as the other half is left out; without those that are their own conjugates.
    """
    side = images.shape[-1]
    values = np.fft.fft2(np.fft.ifftshift(images, axes=(-2, -1)))
    fy, fx = np.meshgrid(*(np.fft.fftfreq(side, pixel_size),) * 2, indexing="ij")
    keep = (fx > 0) | ((fx == 0) & (fy >= 0))
    keep &= (np.hypot(fy, fx) <= FALL[1] / lowpass) & (np.maximum(-fy, -fx) < 0.5 / pixel_size)
    twice = np.where((fx == 0) & (fy == 0), 1.0, 2.0)[keep]
    return fy[keep], fx[keep], values[:, keep] * twice / side**2
