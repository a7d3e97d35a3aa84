"""Where windows of planes lie in a depth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError


def window_starts(
    depth_vox: int, thickness_vox: int, step_vox: int | None = None, *, cover: bool = False
) -> npt.NDArray[np.int64]:
    """Place windows of equal thickness in a depth.

    Parameters
    ----------
    depth_vox : int
        Planes available, at least 1.
    thickness_vox : int
        Planes a window; a depth below it gives one window of the whole depth.
    step_vox : int, optional
        A sliding window: first and last flush with the faces, evenly placed, neighbouring starts
        at most this far apart.
    cover : bool, optional
        Without a step: the fewest windows that cover the whole depth, evenly placed and flush.

    Returns
    -------
    ndarray of int64, shape (windows,)
        First plane of each window, ascending. With neither step nor cover: as many windows as fit
        side by side, the group centred (an odd plane left over goes behind the last).

    Raises
    ------
    InputError
        A length is below 1, or both `step_vox` and `cover` are given.
    """
    for name, value in (("depth", depth_vox), ("thickness", thickness_vox), ("step", step_vox)):
        if value is not None and value < 1:
            raise InputError(f"the {name} must be at least one voxel, not {value}.")
    if step_vox is not None and cover:
        raise InputError("a step and cover exclude each other: windows with a step cover already.")
    room = depth_vox - thickness_vox
    if room <= 0:
        return np.zeros(1, dtype=np.int64)
    if step_vox is None and not cover:
        count = depth_vox // thickness_vox
        first = (depth_vox - count * thickness_vox) // 2
        return first + thickness_vox * np.arange(count, dtype=np.int64)
    # Rounding evenly spaced starts moves neighbours apart by at most ceil(room / intervals),
    # which is not more than the whole-voxel step.
    intervals = -(-room // (thickness_vox if step_vox is None else step_vox))
    return (np.arange(intervals + 1, dtype=np.int64) * room + intervals // 2) // intervals
