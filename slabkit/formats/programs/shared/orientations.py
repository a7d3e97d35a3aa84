"""Orientations of particles, between the conventions of programs.

Inside slabkit an orientation is the matrix that turns the reference into the tomogram (columns
x, y, z), as copick and the CryoET Data Portal have it: a point r of the reference, from its
centre, lies at ``matrix @ r`` from the particle's position. It travels as text in the extra column
``slabkitRotation``.

With Rz(a) the right-handed rotation by a about z, and so on, that matrix is

- RELION, Warp, pytom-match-pick: the transpose of Rz(rot) Ry(tilt) Rz(psi), times the same of the
  subtomogram's angles from the left (RELION 5's `ParticleSet::getMatrix3x3`);
- Dynamo: the transpose of Rz(narot) Rx(tilt) Rz(tdrot), as eulerangles, cryoCAT and copick have it;
- ArtiaX's particle lists and TOM's motive lists: Rz(psi) Rx(theta) Rz(phi).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError
from slabkit.formats.programs.shared.json_values import (
    rotation_matrices,
)
from slabkit.formats.programs.shared.values import coordinates
from slabkit.tables import ROTATION, rotation_text

if TYPE_CHECKING:
    import pandas as pd

Matrices = npt.NDArray[np.float64]
Axes = Literal["zyz", "zxz"]

RELION_ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
SUBTOMOGRAM_ANGLES = tuple(f"rlnTomoSubtomogram{angle}" for angle in ("Rot", "Tilt", "Psi"))
_NOTHING = ("", "none", "<NA>")
_ORTHOGONAL = 1e-3


def euler_matrices(angles: npt.ArrayLike, axes: Axes) -> Matrices:
    """Give Rz(a) R(b) Rz(c) of a, b, c in degrees, R about the middle axis; shape (picks, 3, 3)."""
    from scipy.spatial.transform import Rotation

    turned = Rotation.from_euler(axes.upper(), np.asarray(angles, dtype=float).reshape(-1, 3), True)
    matrices: Matrices = turned.as_matrix()
    return matrices


def euler_angles(matrices: Matrices, axes: Axes) -> npt.NDArray[np.float64]:
    """Give a, b, c in degrees, of which `euler_matrices` makes these matrices; shape (picks, 3).

    b is between 0 and 180; c is 0 where only a and c together are known.
    """
    from scipy.spatial.transform import Rotation

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Gimbal lock")  # c is 0 then, as said above
        angles = Rotation.from_matrix(matrices.reshape(-1, 3, 3)).as_euler(axes.upper(), True)
    exact: npt.NDArray[np.float64] = angles + 0.0  # no -0
    return exact


def relion_matrices(angles: npt.ArrayLike) -> Matrices:
    """Give the matrices of rot, tilt, psi in degrees, shape (picks, 3)."""
    return euler_matrices(angles, "zyz").transpose(0, 2, 1)


def relion_angles(matrices: Matrices) -> npt.NDArray[np.float64]:
    """Give rot, tilt, psi in degrees of matrices, shape (picks, 3)."""
    return euler_angles(matrices.transpose(0, 2, 1), "zyz")


def dynamo_matrices(angles: npt.ArrayLike) -> Matrices:
    """Give the matrices of tdrot, tilt, narot in degrees, shape (picks, 3)."""
    reversed_angles = np.asarray(angles, dtype=float).reshape(-1, 3)[:, ::-1]
    return euler_matrices(reversed_angles, "zxz").transpose(0, 2, 1)


def dynamo_angles(matrices: Matrices) -> npt.NDArray[np.float64]:
    """Give tdrot, tilt, narot in degrees of matrices, shape (picks, 3)."""
    return euler_angles(matrices.transpose(0, 2, 1), "zxz")[:, ::-1]


def artiax_matrices(angles: npt.ArrayLike) -> Matrices:
    """Give the matrices of phi, theta, psi in degrees, shape (picks, 3)."""
    return euler_matrices(np.asarray(angles, dtype=float).reshape(-1, 3)[:, ::-1], "zxz")


def artiax_angles(matrices: Matrices) -> npt.NDArray[np.float64]:
    """Give phi, theta, psi in degrees of matrices, shape (picks, 3)."""
    return euler_angles(matrices, "zxz")[:, ::-1]


def rotation_texts(matrices: Matrices) -> list[str]:
    """Write matrices as the column `ROTATION` has them."""
    return [rotation_text(matrix) for matrix in matrices]


def with_rotations(table: pd.DataFrame) -> pd.DataFrame:
    """Give a pick table the column `ROTATION`, if anything in it says orientations.

    RELION's angles count where the column is missing or empty, unless all of them are 0, as
    programs write them that know none.
    """
    if not set(RELION_ANGLES) <= set(table.columns):
        return table
    angles, known = _angles(table, RELION_ANGLES)
    inner = set(SUBTOMOGRAM_ANGLES) <= set(table.columns)
    outer = _angles(table, SUBTOMOGRAM_ANGLES)[0] if inner else np.zeros_like(angles)
    if not angles.any() and not outer.any():
        return table
    both = np.einsum("nij,njk->nik", relion_matrices(outer), relion_matrices(angles))
    texts = np.array(rotation_texts(both), dtype=object)
    texts[~known] = ""
    if ROTATION in table.columns:
        own = table[ROTATION].to_numpy(dtype=object)
        # Beside picks that have a matrix, angles of 0 are those of a pick that has none.
        texts[~(angles.any(axis=1) | outer.any(axis=1))] = ""
        texts = np.where(own == "", texts, own)
    return table.assign(**{ROTATION: texts})


def rotations(table: pd.DataFrame, where: str) -> Matrices | None:
    """Give the orientation of each pick, the identity where it has none; None where no pick has."""
    table = with_rotations(table)
    if ROTATION not in table.columns or not (table[ROTATION] != "").any():
        return None
    found = np.tile(np.eye(3), (len(table), 1, 1))
    known = (table[ROTATION] != "").to_numpy()
    found[known] = rotation_matrices(table[ROTATION][known].tolist(), where)
    orthogonal = abs(found @ found.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    wrong = (orthogonal > _ORTHOGONAL) | (np.linalg.det(found) < 0)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{where}: {ROTATION} of pick {row + 1} ({table[ROTATION].iloc[row]}) is no rotation, "
            "so it has no angles."
        )
    return found


def settled_rotations(table: pd.DataFrame, where: str) -> list[str]:
    """Give `ROTATION` of a table of RELION that has both: RELION's angles win where they moved."""
    own = ["" if text in _NOTHING else text for text in table[ROTATION].tolist()]
    # RELION writes 0 for what has no orientation, and so does slabkit.
    none = rotation_text(np.eye(3))
    angles = with_rotations(table.drop(columns=ROTATION))
    theirs = [none] * len(table) if ROTATION not in angles.columns else angles[ROTATION].tolist()
    said = rotation_matrices([text or none for text in own], where)
    other = rotation_matrices([text or none for text in theirs], where)
    moved = abs(said - other).max(axis=(1, 2)) > 1e-4
    return [
        new if new and differs else old
        for old, new, differs in zip(own, theirs, moved.tolist(), strict=True)
    ]


def _angles(
    table: pd.DataFrame, labels: tuple[str, ...]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    known = np.ones(len(table), dtype=bool)
    columns = []
    for label in labels:
        texts = [str(value) for value in table[label].tolist()]
        known &= np.array([text not in _NOTHING for text in texts], dtype=bool)
        filled = ["0" if text in _NOTHING else text for text in texts]
        columns.append(coordinates(filled, label, "pick list"))
    return np.column_stack(columns) * known[:, None], known
