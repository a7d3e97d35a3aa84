"""Point groups as sets of rotation matrices, and uniformly random rotations."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError

Matrix = npt.NDArray[np.float64]


@lru_cache
def symmetry_operators(group: str) -> Matrix:
    """Give all rotations of a point group, the identity first, acting on ``(x, y, z)``.

    ``C<n>`` (n-fold about z), ``D<n>`` (and 2-fold about x), ``O`` (4-folds along the axes) or
    ``I`` (2-folds along the axes).
    """
    generators = _generators(group)
    operators = [np.eye(3)]
    for operator in operators:  # grows while it is walked, until the group is closed
        for generator in generators:
            product = generator @ operator
            if not any(np.allclose(product, known, atol=1e-6) for known in operators):
                operators.append(product)
    result = np.array(operators)
    result.setflags(write=False)
    return result


def random_rotation(rng: np.random.Generator) -> Matrix:
    """Draw a rotation of ``(x, y, z)``, uniformly over all orientations."""
    # A normalised 4D normal deviate is a uniformly distributed unit quaternion.
    quaternion = rng.standard_normal(4)
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def relion_angles(rotation: Matrix) -> tuple[float, float, float]:
    """Give the Euler angles rot, tilt, psi (degrees) that RELION would write for a particle.

    ``rotation`` turns the reference's ``(x, y, z)`` into the tomogram's. With Z and Y the usual
    counter-clockwise rotations, it is ``Z(-psi) @ Y(-tilt) @ Z(-rot)``; tilt is from 0 to 180.
    """
    # For the transpose Z(rot) Y(tilt) Z(psi): last column (cos rot sin tilt, sin rot sin tilt,
    # cos tilt), last row (-sin tilt cos psi, sin tilt sin psi, cos tilt).
    inverse = rotation.T
    tilt = np.arctan2(np.hypot(inverse[0, 2], inverse[1, 2]), inverse[2, 2])
    if np.sin(tilt) < 1e-9:  # only the sum (or difference) of the others is defined
        rot, psi = np.arctan2(inverse[1, 0] * np.sign(inverse[2, 2]), inverse[1, 1]), 0.0
    else:
        rot = np.arctan2(inverse[1, 2], inverse[0, 2])
        psi = np.arctan2(inverse[2, 1], -inverse[2, 0])
    return float(np.degrees(rot)), float(np.degrees(tilt)), float(np.degrees(psi))


def _generators(group: str) -> list[Matrix]:
    cyclic = re.fullmatch(r"([CD])([1-9][0-9]?)", group)
    if cyclic:
        generators = [_about_z(2 * np.pi / int(cyclic[2]))]
        return generators + ([np.diag([1.0, -1.0, -1.0])] if cyclic[1] == "D" else [])
    cycle = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])  # 3-fold about (1, 1, 1)
    if group == "O":
        return [_about_z(np.pi / 2), cycle]
    if group == "I":
        golden = (1 + np.sqrt(5)) / 2
        half = np.array(
            [[golden, -1, 1 / golden], [1, 1 / golden, -golden], [1 / golden, golden, 1]]
        )
        return [np.diag([-1.0, -1.0, 1.0]), cycle, half / 2]
    raise InputError(f"symmetry must be C<n>, D<n>, O or I, not {group!r}.")


def _about_z(angle: float) -> Matrix:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
