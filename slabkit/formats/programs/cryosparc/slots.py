"""Fields of CryoSPARC's slots that are the same for every micrograph or particle of ours."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

VOLTAGE = 300.0
"""In kV; CryoSPARC wants one, and with the transfer function below it matters to nothing."""

AMPLITUDE_CONTRAST = 1.0
"""With no defocus and no aberration, this makes the size of the contrast transfer function 1 at
every frequency, so that nothing is corrected that was never there."""


def transfer_function(count: int) -> dict[str, Any]:
    """Give the slot ``ctf``: a constant function, the same for all.

    Parameters
    ----------
    count : int

    Returns
    -------
    dict of str to ndarray
    """
    one = {
        "accel_kv": VOLTAGE,
        "cs_mm": 0.0,
        "amp_contrast": AMPLITUDE_CONTRAST,
        "df1_A": 0.0,
        "df2_A": 0.0,
        "df_angle_rad": 0.0,
        "phase_shift_rad": 0.0,
        "scale": 1.0,
        "scale_const": 0.0,
        "shift_A": (0.0, 0.0),
        "tilt_A": (0.0, 0.0),
        "trefoil_A": (0.0, 0.0),
        "tetra_A": (0.0, 0.0, 0.0, 0.0),
        "anisomag": (0.0, 0.0, 0.0, 0.0),
        "bfactor": 0.0,
    }
    fields: dict[str, Any] = {
        "ctf/type": np.array(["imported"] * count, dtype=object),
        "ctf/exp_group_id": np.ones(count, dtype=np.uint32),
    }
    for name, value in one.items():
        row = np.array(value, dtype=np.float32)
        fields[f"ctf/{name}"] = np.broadcast_to(row, (count, *row.shape)).copy()
    return fields


def microscope(count: int) -> dict[str, Any]:
    """Give the slot ``mscope_params``.

    Parameters
    ----------
    count : int

    Returns
    -------
    dict of str to ndarray
    """
    return {
        "mscope_params/accel_kv": np.full(count, VOLTAGE, dtype=np.float32),
        "mscope_params/cs_mm": np.zeros(count, dtype=np.float32),
        "mscope_params/total_dose_e_per_A2": np.zeros(count, dtype=np.float32),
        "mscope_params/exp_group_id": np.ones(count, dtype=np.uint32),
        "mscope_params/phase_plate": np.zeros(count, dtype=np.uint32),
        "mscope_params/neg_stain": np.zeros(count, dtype=np.uint32),
    }


def fractions(places: npt.NDArray[np.float64], lengths: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Turn pixels into fractions of a side that give the same pixels back.

    Parameters
    ----------
    places : ndarray of float64
        In pixels, 0 at the centre of the first.
    lengths : array-like of int
        Sides in pixels.

    Returns
    -------
    ndarray of float32
        Times the side never below the place, so that a program that truncates finds its pixel too.
    """
    sides = np.asarray(lengths, dtype=np.float64)
    found = (places / sides).astype(np.float32)
    below = found.astype(np.float64) * sides < places
    return np.where(below, np.nextafter(found, np.float32(np.inf)), found)


def signatures(names: Sequence[str]) -> npt.NDArray[np.uint64]:
    """Make import signatures, of which CryoSPARC wants one a file.

    Parameters
    ----------
    names : sequence of str

    Returns
    -------
    ndarray of uint64
    """
    known = {
        name: int.from_bytes(hashlib.sha1(name.encode("utf-8")).digest()[:8], "little")
        for name in dict.fromkeys(names)
    }
    return np.array([known[name] for name in names], dtype=np.uint64)
