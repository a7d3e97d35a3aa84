"""What the particles of a CryoSPARC output say: their places, classes and scores."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError
from slabkit.formats.programs.cryosparc.dataset import Columns

FIELDS = re.compile(
    r"uid|blob/(path|idx)|location/(micrograph_(path|shape)|center_[xy]_frac)|"
    r"(alignments2D|alignments3D(_multi)?|alignments_class_\d+)/class(_posterior)?|"
    r"pick_stats/ncc_score"
)
"""What is read of a dataset."""

_MULTI = ("alignments3D_multi", "class_posterior")
_ONE_CLASS = re.compile(r"(?<![A-Za-z])class_(\d+)(?!\d)")


@dataclass(frozen=True)
class Particles:
    """The particles of one output.

    Parameters
    ----------
    where : str
        The file that lists them.
    columns : dict of str to ndarray
        Its fields, and those that other files have of the same particles.
    """

    where: str
    columns: Columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def require(self, fields: Sequence[str], purpose: str) -> None:
        """Refuse particles that lack a field.

        Raises
        ------
        InputError
            Lists the fields found and needed.
        """
        missing = [field for field in fields if field not in self.columns]
        if missing:
            raise InputError(
                f"{self.where}: lacks {', '.join(missing)}, without which {purpose}; it has "
                f"{', '.join(self.columns) or 'none of the fields that are read'}. What a job "
                "passed through stands in a second file (passthrough_...cs): give that too, or "
                "the .csg of the output."
            )

    def numbers(self, field: str, dimensions: int = 1) -> npt.NDArray[np.float64]:
        """Give a field that must hold numbers; refuses what does not."""
        values = self.columns[field]
        if values.dtype.kind not in "iuf" or values.ndim != dimensions:
            raise InputError(f"{self.where}: {field} does not hold numbers as CryoSPARC has them.")
        return np.asarray(values, dtype=np.float64)

    def texts(self, field: str) -> list[str]:
        """Give a field that must hold texts; refuses what does not."""
        values = self.columns[field]
        if values.dtype != object or values.ndim != 1:
            raise InputError(f"{self.where}: {field} does not hold texts as CryoSPARC has them.")
        return [str(value) for value in values]

    def places(
        self, shapes: Sequence[tuple[int, int]], what: str = "micrographs"
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Give the places on the micrographs in pixels, 0 at the centre of the first pixel.

        Parameters
        ----------
        shapes : sequence of (int, int)
            Size in pixels of each particle's micrograph as we know it, ``(y, x)``.
        what : str, optional
            What the micrographs are, for messages.

        Returns
        -------
        x, y : ndarrays of float64
            y as the file counts it.

        Raises
        ------
        InputError
            A field is missing, a place is not finite, or the file has another size.
        """
        fields = ["location/center_x_frac", "location/center_y_frac"]
        self.require(fields, "it is not known where the particles are")
        known = np.asarray(shapes, dtype=np.float64).reshape(-1, 2)
        if "location/micrograph_shape" in self.columns and len(known):
            self._check_shapes(self.numbers("location/micrograph_shape", 2), known, what)
        places = [self.numbers(field) for field in fields]
        for field, values in zip(fields, places, strict=True):
            wrong = np.flatnonzero(~np.isfinite(values))
            if len(wrong):
                raise InputError(
                    f"{self.where}: {field} is {values[wrong[0]]} in row {wrong[0] + 1}."
                )
        return places[0] * known[:, 1], places[1] * known[:, 0]

    def _check_shapes(
        self, written: npt.NDArray[np.float64], known: npt.NDArray[np.float64], what: str
    ) -> None:
        if written.shape != known.shape:
            raise InputError(f"{self.where}: location/micrograph_shape does not hold two numbers.")
        wrong = np.flatnonzero((written != known).any(axis=1))
        if len(wrong):
            row = int(wrong[0])
            theirs, ours = written[row].tolist(), known[row].tolist()
            turned = " (rows and columns exchanged)" if theirs == ours[::-1] else ""
            raise InputError(
                f"{self.where}: row {row + 1} is on a micrograph of {theirs[0]:g} × "
                f"{theirs[1]:g} pixels (y, x), but the {what} have {ours[0]:g} × {ours[1]:g}"
                f"{turned}; is it of other {what}?"
            )

    def classes(self) -> list[str] | None:
        """Give the class of each particle as a number from 0, or None if there are none.

        Of several reconstructions the likeliest counts. What a job made itself comes before what
        it passed through.
        """
        declared = _ONE_CLASS.search(Path(self.where).name)
        for slots in self._aligned():
            if len(slots) > 1 or slots[0] == "alignments3D_multi":
                numbers, _ = self._likeliest(slots)
                return [str(number) for number in numbers]
            if f"{slots[0]}/class" not in self.columns:
                continue
            written = self.numbers(f"{slots[0]}/class")
            if not np.isfinite(written).all():
                raise InputError(f"{self.where}: {slots[0]}/class is not finite.")
            # The file of one class says which in its name, and may count it as 0 inside.
            if declared and slots[0] != "alignments2D" and not written.any():
                break
            return [str(int(number)) for number in written.tolist()]
        return None if declared is None else [str(int(declared[1]))] * len(self)

    def scores(self) -> tuple[npt.NDArray[np.float64], str] | None:
        """Give the probability of each particle's class, else the score of its pick, else None.

        Returns
        -------
        (ndarray of float64, {"cryosparc-posterior", "cryosparc-pick"}) or None
            NaN where there is none.
        """
        values, kind = None, "cryosparc-posterior"
        for slots in self._aligned():
            if len(slots) > 1 or slots[0] == "alignments3D_multi":
                values = self._likeliest(slots)[1]
            elif f"{slots[0]}/class_posterior" in self.columns:
                values = self.numbers(f"{slots[0]}/class_posterior")
            if values is not None:
                break
        if values is None and "pick_stats/ncc_score" in self.columns:
            values, kind = self.numbers("pick_stats/ncc_score"), "cryosparc-pick"
        if values is None:
            return None
        if np.isinf(values).any():
            raise InputError(
                f"{self.where}: the score in row {np.argmax(np.isinf(values)) + 1} is infinite."
            )
        return values, kind

    def _aligned(self) -> list[list[str]]:
        """Slots that speak of classes, in the file's order; those of one job in one list."""
        groups: dict[str, list[str]] = {}
        for name in self.columns:
            slot, _, field = name.partition("/")
            if slot.startswith("alignments_class_") and field == "class_posterior":
                groups.setdefault("several", []).append(slot)
            elif slot in ("alignments2D", "alignments3D") or (slot, field) == _MULTI:
                groups[slot] = [slot]
        return [slots for name, slots in groups.items() if name != "several" or len(slots) > 1]

    def _likeliest(
        self, slots: Sequence[str]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        fields = [f"{slot}/class_posterior" for slot in slots]
        if len(slots) > 1:
            table = np.stack([self.numbers(field) for field in fields], axis=1)
            numbers = np.array([int(slot.rpartition("_")[2]) for slot in slots], dtype=np.int64)
        else:
            table = self.numbers(fields[0], 2)
            numbers = np.arange(table.shape[1])
        if not len(numbers):
            raise InputError(f"{self.where}: {fields[0]} has no classes.")
        best = np.argmax(np.nan_to_num(table, nan=-np.inf), axis=1)
        return numbers[best], table[np.arange(len(table)), best]
