"""One id a pick, given once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt


def new_pick_ids(
    tomogram: Iterable[str],
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    z: npt.ArrayLike,
    salt: str = "",
    taken: Iterable[str] = (),
) -> list[str]:
    """Give every pick an id that follows it from here on.

    The id is a hash of tomogram, position and salt, so that the same input always gets the same id
    and lists made apart do not share one by accident.

    Parameters
    ----------
    tomogram : iterable of str
        Name of each pick's tomogram.
    x, y, z : array-like of float, shape (picks,)
        Position in Å.
    salt : str, optional
        What tells lists apart that hold the same positions: the picker, say.
    taken : iterable of str, optional
        Ids that are in use already.

    Returns
    -------
    list of str
        ``<tomogram>-<12 hexadecimal digits>``; picks that are equal in all get a further ``-2``,
        ``-3`` and so on in their order. Characters of the name outside ``A-Za-z0-9._-`` become
        ``_``.
    """
    positions = np.column_stack([np.asarray(v, dtype="<f8") for v in (x, y, z)])
    positions = np.round(positions, 6) + 0.0  # -0.0 and 0.0 are one place
    used = set(taken)
    ids = []
    for name, position in zip(tomogram, positions, strict=True):
        digest = hashlib.blake2b(digest_size=6)
        digest.update(f"{name}\0{salt}\0".encode())
        digest.update(position.tobytes())
        first = candidate = f"{re.sub(r'[^A-Za-z0-9._-]', '_', name)}-{digest.hexdigest()}"
        count = 1
        while candidate in used:
            count += 1
            candidate = f"{first}-{count}"
        used.add(candidate)
        ids.append(candidate)
    return ids
