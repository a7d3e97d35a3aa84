"""A bank of templates under one mask, compressed.

Templates turned in the plane span far fewer dimensions than there are templates, because a
low-passed image under a mask has few degrees of freedom. A singular value decomposition gives a
basis that holds each of them to a stated tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slabkit.arrays.exact import eigenvectors, fine_product

Singles = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

DEFAULT_TOLERANCE = 0.02
"""Largest error of a coefficient (they lie between -1 and 1) by leaving out dimensions:
one hundredth of their range. Most are far below it."""

_STAGES = (0.3, 0.15)  # largest lengths of what the first and the second coordinates leave out


@dataclass(frozen=True)
class TemplateBank:
    """Templates under one mask, in a common basis."""

    weights: Floats  # shape (side, side); sum 1; ``side`` is odd and the centre is in the middle
    # Shape (dimensions, side, side); what to correlate an image with for its coordinates, the most
    # important first
    kernels: Singles
    # Shape (templates, dimensions); coordinates of the templates, of length 1 less what was left
    # out
    coefficients: Singles
    # So many dimensions are used one after the other, the last being all: what the first leave of a
    # template is no longer than `_STAGES`
    stages: tuple[int, ...]
    # Largest length of a template in the dimensions left out: the largest error of a coefficient
    residual: float
    # Shape (dimensions,); which dimensions change sign when a template is turned by half a turn
    # (its point reflection), if templates come in such pairs
    odd: npt.NDArray[np.bool_] | None = None
    # Then the second half of each run of this many templates are the reflections of the first
    turns: int = 1

    @property
    def reach_px(self) -> int:
        """Pixels from the centre to the border of the templates."""
        return len(self.weights) // 2


def compress_templates(
    templates: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating],
    tolerance: float = DEFAULT_TOLERANCE,
    turns: int = 1,
) -> TemplateBank:
    """Find a basis for templates.

    Parameters
    ----------
    templates : ndarray, shape (templates, side, side)
        ``side`` odd. A template that is constant under the mask correlates with nothing.
    weights : ndarray, shape (side, side)
        Not negative, the same for all templates.
    tolerance : float, optional
        Largest error of a coefficient that leaving out dimensions may make; 0 leaves out none.
    turns : int, optional
        Each run of this many templates are evenly spaced turns of one.
    """
    weights = np.asarray(weights, dtype=np.float64) / np.sum(weights, dtype=np.float64)
    inside = np.flatnonzero(weights)
    root = np.sqrt(weights.ravel()[inside])
    vectors = np.asarray(templates, dtype=np.float64).reshape(len(templates), -1)[:, inside]
    rounding = 1e-12 * np.abs(vectors).max(axis=1, initial=0.0, keepdims=True)
    vectors = (vectors - np.einsum("ij,j->i", vectors, root**2)[:, None]) * root
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > rounding)
    odd = None
    halves = _half_turns(vectors, turns)
    if halves is None:
        directions, coordinates = _principal(vectors, tolerance)
    else:
        directions, coordinates, odd = _principal_by_parity(*halves, turns, tolerance)
    left = np.maximum(1 - np.cumsum(coordinates**2, axis=1), 0) * (length > rounding)
    longest = np.sqrt(left.max(axis=0))  # after 1, 2, ... dimensions

    def enough(limit: float) -> int:
        return min(int(np.count_nonzero(longest > limit)) + 1, len(longest))

    count = enough(tolerance)
    stages = sorted({count, *(enough(max(limit, tolerance)) for limit in _STAGES)})
    kernels = np.zeros((count, weights.size), dtype=np.float32)
    kernels[:, inside] = directions[:, :count].T * root
    coefficients = coordinates[:, :count].astype(np.float32)
    odd = None if odd is None else odd[:count]
    return TemplateBank(
        weights,
        kernels.reshape(count, *weights.shape),
        coefficients,
        tuple(stages),
        float(longest[count - 1]),
        odd,
        turns,
    )


def _half_turns(vectors: Floats, turns: int) -> tuple[Floats, Floats] | None:
    """Split templates into even and odd parts, if half a turn is a point reflection for all."""
    if turns % 2 or len(vectors) % turns:
        return None
    pairs = vectors.reshape(-1, 2, turns // 2, vectors.shape[1])
    one, other = (pairs[:, half].reshape(-1, vectors.shape[1]) for half in (0, 1))
    mirrored = one[:, ::-1]  # the mask's pixels in reverse order
    if not np.allclose(other, mirrored, rtol=0, atol=1e-7 * np.abs(vectors).max(initial=0.0)):
        return None
    return (one + mirrored) / 2, (one - mirrored) / 2


def _principal_by_parity(
    even: Floats, odd: Floats, turns: int, tolerance: float
) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Give directions and coordinates as `_principal`, each even or odd; and which are odd."""
    found = [_principal(part, tolerance) for part in (even, odd)]
    directions = np.concatenate([each[0] for each in found], axis=1)
    is_odd = np.repeat([False, True], [each[1].shape[1] for each in found])
    half = np.concatenate([each[1] for each in found], axis=1)
    order = np.argsort(-np.sum(half**2, axis=0), kind="stable")
    half, is_odd = half[:, order], is_odd[order]
    half = half.reshape(-1, 1, turns // 2, half.shape[1])
    both = np.concatenate([half, np.where(is_odd, -half, half)], axis=1)
    return directions[:, order], both.reshape(-1, len(is_odd)), is_odd


def _principal(vectors: Floats, tolerance: float) -> tuple[Floats, Floats]:
    """Give orthonormal directions, the most important first, and the coordinates along them.

    Those that no vector needs, not with another such set either, are left out.
    """
    # The sum of the eigenvalues left out is that of the vectors' squared lengths along them.
    rest = tolerance**2 / 4
    members, pixels = vectors.shape
    if members < pixels:
        value, mixed = eigenvectors(fine_product(vectors, vectors.T), rest)
        keep = value[::-1] > 1e-10 * max(float(value[-1]), 1e-300)
        scale = np.sqrt(np.maximum(value[::-1][keep], 1e-300))
        directions = fine_product(vectors.T, mixed[:, ::-1][:, keep]) / scale
    else:
        _, mixed = eigenvectors(fine_product(vectors.T, vectors), rest)
        directions = mixed[:, ::-1]
    # The sign of an eigenvector is arbitrary and differs between libraries.
    largest = np.abs(directions).argmax(axis=0)
    sign = np.where(directions[largest, np.arange(directions.shape[1])] < 0, -1.0, 1.0)
    directions = directions * sign
    return directions, fine_product(vectors, directions)


def soft_disc(
    reach_px: int, radius: float, softness: float, pixel_size: tuple[float, float]
) -> Floats:
    """Draw a disc of ``radius`` (Å) whose edge falls from 1 to 0 as half a cosine, outwards.

    ``softness`` is the width of the edge (Å); pixel sizes (Å) are along y and x; the image has
    ``2 * reach_px + 1`` pixels a side.
    """
    line = np.arange(-reach_px, reach_px + 1)
    away = np.hypot(line[:, None] * pixel_size[0], line[None, :] * pixel_size[1])
    fall = np.clip((away - radius) / softness, 0, 1)
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * fall))
