"""Places between the pixels: Lanczos interpolation of windows of an image."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

LANCZOS = 4
"""How many pixels either way count."""


def whole_and_part(place: npt.ArrayLike, length: int) -> tuple[Indices, Floats]:
    """Split places along an axis of ``length`` pixels into the nearest pixel and the rest."""
    exact = np.asarray(place, dtype=np.float64)
    whole = np.clip(np.floor(exact + 0.5), 0, length - 1).astype(np.int64)
    return whole, np.clip(exact - whole, -1, 1)


def lanczos_weights(part: Floats, around: int = LANCZOS) -> Singles:
    """Give what each of the pixels about a place counts, as far as it lies from the nearest."""
    away = np.arange(-around, around + 1) - part[:, None]
    weights = np.where(np.abs(away) < LANCZOS, np.sinc(away) * np.sinc(away / LANCZOS), 0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


def moved_windows(windows: Any, weights: Any, axis: int) -> Any:
    """Interpolate windows along an axis, at the end of which the weights reach."""
    taps = weights.shape[1]
    length = windows.shape[axis] - taps + 1
    if type(windows) is np.ndarray:  # rows of pixels, which lie together, are added to each other
        across = np.ascontiguousarray(windows.swapaxes(1, 2)) if axis == 2 else windows
        shifted = np.lib.stride_tricks.sliding_window_view(across, length, 1)
        found = np.einsum("ntxy,nt->nyx", shifted, weights)
        return found.swapaxes(1, 2) if axis == 2 else found
    total: Any = None
    for tap in range(taps):
        shifted = windows[(slice(None),) * axis + (slice(tap, tap + length),)]
        part_of_it = weights[:, tap, None, None] * shifted
        if total is None:
            total = part_of_it
        else:
            total += part_of_it
    return total
