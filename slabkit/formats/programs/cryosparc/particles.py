"""What the particles of a CryoSPARC output say: their places, classes and scores.

An output is split: a job writes what it made to one file and what it passed through to another,
and the rows need not be in one order. The files are joined by ``uid``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError
from slabkit.formats.programs.cryosparc.dataset import (
    Columns,
    group_files,
    groups_beside,
    is_group,
    parse_dataset,
)
from slabkit.formats.source import Source

FIELDS = re.compile(
    r"uid|blob/(path|idx)|location/(micrograph_(path|shape)|center_[xy]_frac)|"
    r"(alignments2D|alignments3D(_multi)?|alignments_class_\d+)/class(_posterior)?|"
    r"pick_stats/ncc_score"
)
"""What is read of a dataset."""

_Numbers = npt.NDArray[np.float64]
_MULTI = ("alignments3D_multi", "class_posterior")
_PASSED_THROUGH = re.compile("passthrough", re.IGNORECASE)
_ONE_CLASS = re.compile(r"(?<![A-Za-z])class_(\d+)(?!\d)")


@dataclass(frozen=True)
class Particles:
    """The particles that one file lists; fields that other files have of them are added."""

    where: str
    columns: Columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def require(self, fields: Sequence[str], purpose: str) -> None:
        """Refuse particles that lack a field; lists the fields found and needed."""
        missing = [field for field in fields if field not in self.columns]
        if missing:
            raise InputError(
                f"{self.where}: lacks {', '.join(missing)}, without which {purpose}; it has "
                f"{', '.join(self.columns) or 'none of the fields that are read'}. What a job "
                "passed through is in a second file (passthrough_...cs): give that too, or "
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
        """Give x and y on the micrographs in pixels, 0 at the first's centre, y as the file has it.

        ``shapes``: the size of each particle's micrograph as we know it, ``(y, x)``.
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
        for slot, numbers, _ in self._jobs():
            if numbers is None:
                continue
            if not np.isfinite(numbers).all():
                raise InputError(f"{self.where}: {slot}/class is not finite.")
            # The file of one class says which in its name, and may count it as 0 inside.
            if declared and slot == "alignments3D" and not numbers.any():
                break
            return [str(int(number)) for number in numbers.tolist()]
        return None if declared is None else [str(int(declared[1]))] * len(self)

    def scores(self) -> tuple[npt.NDArray[np.float64], str] | None:
        """Give the probability of each particle's class, else the score of its pick; and its kind.

        NaN where there is none; None where no particle has any.
        """
        kind = "cryosparc-posterior"
        values = next((found for *_, found in self._jobs() if found is not None), None)
        if values is None and "pick_stats/ncc_score" in self.columns:
            values, kind = self.numbers("pick_stats/ncc_score"), "cryosparc-pick"
        if values is None:
            return None
        if np.isinf(values).any():
            raise InputError(
                f"{self.where}: the score in row {np.argmax(np.isinf(values)) + 1} is infinite."
            )
        return values, kind

    def _jobs(self) -> Iterator[tuple[str, _Numbers | None, _Numbers | None]]:
        """Give slot, class and its probability from each job with classes, in the file's order."""
        groups: dict[str, list[str]] = {}
        for name in self.columns:
            slot, _, field = name.partition("/")
            if slot.startswith("alignments_class_") and field == "class_posterior":
                groups.setdefault("several", []).append(slot)
            elif slot in ("alignments2D", "alignments3D") or (slot, field) == _MULTI:
                groups[slot] = [slot]
        for name, slots in groups.items():
            if len(slots) > 1 or name == "alignments3D_multi":
                yield name, *self._likeliest(slots)
            elif name != "several":
                fields = (f"{name}/class", f"{name}/class_posterior")
                number, posterior = (
                    self.numbers(field) if field in self.columns else None for field in fields
                )
                yield name, number, posterior

    def _likeliest(self, slots: Sequence[str]) -> tuple[_Numbers, _Numbers]:
        fields = [f"{slot}/class_posterior" for slot in slots]
        if len(slots) > 1:
            table = np.stack([self.numbers(field) for field in fields], axis=1)
            numbers = np.array([float(slot.rpartition("_")[2]) for slot in slots])
        else:
            table = self.numbers(fields[0], 2)
            numbers = np.arange(table.shape[1], dtype=np.float64)
        if not len(numbers):
            raise InputError(f"{self.where}: {fields[0]} has no classes.")
        best = np.argmax(np.nan_to_num(table, nan=-np.inf), axis=1)
        return numbers[best], table[np.arange(len(table)), best]


def referenced_files(source: Source) -> list[Path]:
    """Give the other files of a dataset's or group's particles, by groups that name both."""
    return group_files(source.where) if is_group(source.where) else groups_beside(source.where)


def read_particles(sources: Sequence[Source]) -> list[Particles]:
    """Read datasets and groups: one item for each file that lists particles; none is in two."""
    named: dict[Path, Source | None] = {}
    for source in sources:
        if is_group(source.where):
            named.update((path, named.get(path)) for path in group_files(source.where))
        else:
            named[Path(source.where)] = source
    helpers = {
        path: None
        for source in sources
        if not is_group(source.where)
        for path in groups_beside(source.where)
        if path not in named
    }
    given = {str(path): _load(path, source) for path, source in named.items()}
    joined = _join_by_uid(given, {str(path): _load(path, None) for path in helpers})
    return [Particles(where, columns) for where, columns in joined.items()]


def _load(path: Path, source: Source | None) -> Columns:
    return parse_dataset((source or Source.load(path)).data, str(path), FIELDS)


def _join_by_uid(
    datasets: Mapping[str, Columns], helpers: Mapping[str, Columns]
) -> dict[str, Columns]:
    """Join datasets whose rows are the same particles; what is left lists particles.

    A file that was passed through (its name says so), or has all particles of another and more,
    only adds fields to others; so does a helper, which is left out where it cannot.
    """
    if len(datasets) + len(helpers) == 1:
        return dict(datasets)
    uids = {name: _uids(columns, name) for name, columns in datasets.items()}
    adding = _adding(uids)
    listing = [name for name in datasets if name not in adding]
    joined = {name: dict(datasets[name]) for name in listing}
    for other in adding:
        added = [
            _add(joined[name], uids[name], datasets[other], uids[other], f"{other} and {name}")
            for name in listing
        ]
        if not any(added) and len(uids[other]):
            raise InputError(f"{other}: has none of the particles of {', '.join(listing)}.")
    for other, columns in helpers.items():
        known = _uids(columns, other)
        for name in listing:
            if np.isin(uids[name], known).all():
                _add(joined[name], uids[name], columns, known, other)
    return joined


def _uids(columns: Columns, name: str) -> npt.NDArray[np.uint64]:
    uids = columns.get("uid")
    if uids is None or uids.dtype.kind not in "iu" or uids.ndim != 1:
        raise InputError(f"{name}: has no uid, by which it could be joined to the other files.")
    if len(np.unique(uids)) < len(uids):
        raise InputError(f"{name}: two rows have the same uid.")
    return uids.astype(np.uint64)


def _adding(uids: Mapping[str, npt.NDArray[np.uint64]]) -> list[str]:
    """Tell which files only add fields to others, and that no two share just some particles."""
    names = list(uids)
    passed = {name for name in names if _PASSED_THROUGH.search(Path(name).name)}
    if len(passed) == len(names):
        passed = set()
    adding = set(passed)
    for first, second in itertools.combinations(names, 2):
        common = len(np.intersect1d(uids[first], uids[second]))
        if not common or {first, second} & passed:
            continue
        if common == len(uids[first]):
            adding.add(second)
        elif common == len(uids[second]):
            adding.add(first)
        else:
            raise InputError(
                f"{first} and {second} share {common} particles, and each has others; label "
                "or map them one at a time."
            )
    return [name for name in names if name in adding]


def _add(
    columns: Columns,
    uids: npt.NDArray[np.uint64],
    other: Columns,
    known: npt.NDArray[np.uint64],
    names: str,
) -> bool:
    """Add the fields of another file in the order of this one's rows; tell whether it has them."""
    import pandas as pd

    rows = pd.Index(known).get_indexer(pd.Index(uids))
    there = rows >= 0
    if not there.any():
        return False
    if not there.all():
        raise InputError(
            f"{names} share {int(there.sum())} of {len(uids)} particles; are they of one job?"
        )
    columns.update({name: values[rows] for name, values in other.items() if name not in columns})
    return True
