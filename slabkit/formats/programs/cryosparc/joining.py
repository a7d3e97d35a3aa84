"""The files of one CryoSPARC output, joined by ``uid``.

An output is split: a job writes what it made to one file and what it passed through to another,
and the rows need not be in one order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError
from slabkit.formats.programs.cryosparc.dataset import Columns, parse_dataset
from slabkit.formats.programs.cryosparc.group import group_files, groups_beside, is_group
from slabkit.formats.programs.cryosparc.particles import FIELDS, Particles
from slabkit.formats.source import Source

_PASSED_THROUGH = re.compile("passthrough", re.IGNORECASE)


def referenced_files(source: Source) -> list[Path]:
    """Give the further files that speak of the particles of a file, by the groups that name both.

    Parameters
    ----------
    source : Source
        A dataset or a group.

    Returns
    -------
    list of Path
    """
    return group_files(source.where) if is_group(source.where) else groups_beside(source.where)


def read_particles(sources: Sequence[Source]) -> list[Particles]:
    """Read datasets and groups; what speaks of the same particles is joined by ``uid``.

    Parameters
    ----------
    sources : sequence of Source

    Returns
    -------
    list of Particles
        One for each file that lists particles, in order; no particle is in two.

    Raises
    ------
    FormatError, MissingDependencyError
        As `slabkit.formats.programs.cryosparc.dataset.read_dataset`.
    InputError
        Files share some particles and not others, or lack ``uid``.
    """
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
    joined = join_by_uid(given, {str(path): _load(path, None) for path in helpers})
    return [Particles(where, columns) for where, columns in joined.items()]


def _load(path: Path, source: Source | None) -> Columns:
    return parse_dataset((source or Source.load(path)).data, str(path), FIELDS)


def join_by_uid(
    datasets: Mapping[str, Columns], helpers: Mapping[str, Columns] | None = None
) -> dict[str, Columns]:
    """Join datasets whose rows are the same particles.

    Parameters
    ----------
    datasets : mapping of str to columns
        By file. One that was passed through (its name says so), or has all particles of another
        and more, only adds fields to others.
    helpers : mapping of str to columns, optional
        Files that add fields where they can, and are otherwise left out.

    Returns
    -------
    dict of str to columns
        Those that list particles.

    Raises
    ------
    InputError
        Two files share some particles and each has others; or one of several has no ``uid``.
    """
    helpers = helpers or {}
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
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            common = len(np.intersect1d(uids[first], uids[second]))
            if not common:
                continue
            sizes = len(uids[first]), len(uids[second])
            if {first, second} & passed:
                continue
            if common == sizes[1]:
                adding.add(second if sizes[0] == sizes[1] else first)
            elif common == sizes[0]:
                adding.add(second)
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
    if not len(known) or not len(uids):
        return False
    order = np.argsort(known)
    at = np.minimum(np.searchsorted(known[order], uids), len(known) - 1)
    rows = order[at]
    there = known[rows] == uids
    if not there.any():
        return False
    if not there.all():
        raise InputError(
            f"{names} share {int(there.sum())} of {len(uids)} particles; are they of one job?"
        )
    columns.update({name: values[rows] for name, values in other.items() if name not in columns})
    return True
