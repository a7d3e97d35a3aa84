"""Views of a density map, as a slab of a tomogram shows them, as templates.

A slab shows of a molecule what the missing wedge leaves of it and what lies within the slab; see
`slabkit.picking.template_images`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.checks import checked_density
from slabkit.arrays.density_maps import (
    coarsened,
    low_passed,
    sphere_diameter,
    view_directions,
    view_matrix,
)
from slabkit.arrays.exact import exp
from slabkit.picking.template_images import (
    FALL,
    ROOM,
    Templates,
    half_plane,
)
from slabkit.units import DEFAULT_TILT_RANGE, TiltRange, check_tilt_range, positive_length

DEFAULT_VIEW_STEP = 30.0

_ROUGH = 2.5  # a diameter given differs by less from a molecule's own, or is a mask on purpose
_WIDEST = 1.4  # of its diameter: a wider mask takes in neighbours
_WEDGES = 12  # in-plane angles to the wedge over which the views of an average are averaged
_HIGHEST_KZ = 3.0  # slab thicknesses' periods; beyond, its transform is below a tenth


def map_templates(
    density: npt.NDArray[Any],
    voxel_size: float,
    *,
    lowpass: float,
    thickness: float,
    view_step: float = DEFAULT_VIEW_STEP,
    tilt_range: TiltRange = DEFAULT_TILT_RANGE,
    diameter: float | None = None,
    species: str = "",
) -> Templates:
    """Make templates of a density map, seen from evenly spaced directions.

    Parameters
    ----------
    density : ndarray, shape (z, y, x)
        Protein bright.
    voxel_size : float
        In Å.
    lowpass : float
        Finest detail that will be used, Å.
    thickness : float
        Of the slabs, Å.
    view_step : float, optional
        About the angle between neighbouring view directions, degrees.
    tilt_range : (float, float), optional
        Lowest and highest tilt in degrees; None: no missing wedge.
    diameter : float, optional
        In Å; default: of the sphere about the centre of mass that holds 98 % of what is denser than
        a tenth of the highest density. One of 0.4 to 2.5 times that is taken for a rough statement
        and brought to 1 to 1.4 times it, as templates without their rims find nothing; beyond, it
        is a mask and holds as it is.
    species : str, optional

    Returns
    -------
    Templates
        One a direction, in the order of `view_directions`.

    Raises
    ------
    InputError
        The density is no finite volume with something in it, or a number makes no sense.
    """
    from scipy import ndimage

    volume = checked_density(density, voxel_size, f"the map of {species}" if species else "the map")
    positive_length(lowpass, "--lowpass")
    positive_length(thickness, "the slabs' thickness")
    if diameter is not None:
        positive_length(diameter, "--diameter")
    check_tilt_range(tilt_range)
    directions = view_directions(view_step)
    volume, voxel_size = coarsened(volume, voxel_size, lowpass)
    centre = np.array(ndimage.center_of_mass(volume))
    measured = sphere_diameter(volume, centre) * voxel_size
    diameter = measured if diameter is None else _fitting(diameter, measured)
    step = min(lowpass / (2.4 * FALL[1]), diameter / 8)
    smooth, blur = low_passed(volume, voxel_size, step)
    spline = ndimage.spline_filter(smooth, order=3, mode="constant")
    middle = centre + (smooth.shape[0] - volume.shape[0]) // 2
    half = math.ceil(ROOM * diameter / 2 / step)
    half_z = math.ceil((thickness + diameter) / 2 / step)
    line, line_z = np.arange(-half, half) * step, np.arange(-half_z, half_z) * step
    z, y, x = np.meshgrid(line_z, line, line, indexing="ij")
    near = x**2 + y**2 + z**2 <= (0.6 * diameter + 2 * step) ** 2
    places = np.stack([x[near], y[near], z[near]])
    frequency = np.fft.fftfreq(2 * half_z, step)
    planes = np.flatnonzero(np.abs(frequency) <= _HIGHEST_KZ / thickness)
    planes = planes[np.argsort(frequency[planes])]
    seen = []
    for rot, tilt in directions:
        own = np.einsum("ij,in->jn", view_matrix(rot, tilt), places)
        view = np.zeros(z.shape)
        view[near] = ndimage.map_coordinates(
            spline,
            own[::-1] / voxel_size + middle[:, None],
            order=3,
            prefilter=False,
            mode="constant",
        )
        spectrum = np.fft.fft(np.fft.ifftshift(view, axes=0), axis=0)[planes]
        fy, fx, values = half_plane(spectrum, step, lowpass)
        seen.append(values * exp(2 * (np.pi * blur) ** 2 * (fy**2 + fx**2)))
    kz = np.asarray(frequency[planes], dtype=np.float64)
    return Templates(
        species=species,
        diameter=diameter,
        lowpass=lowpass,
        numbers=np.arange(1, len(directions) + 1),
        y_frequency=fy,
        x_frequency=fx,
        coefficients=np.stack(seen),
        kz=kz,
        plane_weight=np.asarray(np.sinc(kz * thickness), dtype=np.float64),
        tilt_range=tilt_range,
    )


def map_views(
    density: npt.NDArray[Any],
    voxel_size: float,
    *,
    box_px: int,
    pixel_size: float,
    depth: float,
    finest: float,
    view_step: float = 20.0,
    tilt_range: TiltRange = DEFAULT_TILT_RANGE,
) -> npt.NDArray[np.float64]:
    """Draw a density map as averages of minislabs show it, from evenly spaced directions.

    Minislabs are projections through a depth of a volume with a missing wedge, and a class average
    is a mean over minislabs that lie at all in-plane angles to the wedge.

    Parameters
    ----------
    density : ndarray, shape (z, y, x)
        Protein bright.
    voxel_size : float
        In Å.
    box_px : int
        Side of the views; the particle's centre of mass is at index ``box_px // 2``.
    pixel_size : float
        Of the views, Å.
    depth : float
        Of the minislabs, Å.
    finest : float
        Finest detail, Å.
    view_step : float, optional
        About the angle between neighbouring view directions, degrees.
    tilt_range : (float, float), optional
        Lowest and highest tilt in degrees; None: no missing wedge.

    Returns
    -------
    ndarray of float64, shape (views, y, x)

    Raises
    ------
    InputError
        As `map_templates`.
    """
    made = map_templates(
        density,
        voxel_size,
        lowpass=FALL[1] * finest,
        thickness=depth,
        view_step=view_step,
        tilt_range=tilt_range,
    )
    y, x = ((place - box_px // 2) * pixel_size for place in np.indices((box_px, box_px)))
    y, x = y.ravel(), x.ravel()
    total = np.zeros((len(made), box_px**2))
    for turn in range(_WEDGES):
        psi = 180.0 * turn / _WEDGES
        sine, cosine = math.sin(math.radians(psi)), math.cos(math.radians(psi))
        # Drawn turned, at places that are turned as well: only the wedge is another.
        total += made.drawn(psi, cosine * y - sine * x, cosine * x + sine * y, np.ones_like)
    return (total / _WEDGES).reshape(len(made), box_px, box_px)


def _fitting(diameter: float, measured: float) -> float:
    """Give the diameter to use of a map whose density has another."""
    if not measured / _ROUGH <= diameter <= _ROUGH * measured:
        return diameter
    return min(max(diameter, measured), _WIDEST * measured)
