"""Names of tomograms: of files, of what is in copick projects elsewhere, and as programs say them.

Tables, records and messages name a file of a copick project that is on no disk of this machine
``copick:CONFIG.json::ExperimentRuns/...``: the project's JSON file, which is on this machine, and
the place below the project's root.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from slabkit.errors import InputError, SlabkitWarning

SUFFIXES = (
    ".ome.tiff",
    ".ome.tif",
    ".ome.zarr",
    ".tiff",
    ".tif",
    ".zarr",
    ".mrcs",
    ".mrc",
    ".rec",
    ".map",
    ".st",
)
"""Suffixes that are no part of a tomogram's name, longest first; ``.gz`` or ``.bz2`` may follow."""

PACKED = (".gz", ".bz2")

PREFIX = "copick:"
RUNS = "ExperimentRuns"
_REFERENCE = re.compile(rf"{PREFIX}(.+)::({RUNS}/[^/]+/[^/]+/[^/]+)", re.DOTALL)

_UID = re.compile(r"^\d{21}_")
_SUFFIX = re.compile(
    r"\.(tomostar|ome\.zarr|ome\.tiff?|zarr|tiff?|mrcs?|rec|map|st|hdf)(\.gz|\.bz2)?$",
    re.IGNORECASE,
)
_PIXEL = re.compile(r"_\d+(\.\d+)?Apx$")


def tomogram_name(path: str | os.PathLike[str]) -> str:
    """Give a tomogram's name: its file name less a known suffix.

    Parameters
    ----------
    path : path-like
        Symbolic links are not resolved.

    Returns
    -------
    str
        Dots elsewhere stay: ``TS_1_10.00Apx.mrc`` is ``TS_1_10.00Apx``.

    Raises
    ------
    InputError
        The name is empty or has a ``#``, a line break or another unprintable character.
    """
    name, _ = split_suffix(Path(path).name)
    if not name:
        raise InputError(f"{path}: has no name before its suffix; rename it.")
    if "#" in name or not name.isprintable():
        raise InputError(
            f"{str(path)!r}: the name {name!r} has a '#', a line break or another unprintable "
            "character, which tables cannot hold; rename the file or link to it."
        )
    return name


def split_suffix(file_name: str) -> tuple[str, str]:
    """Give a file name without its suffix, and the one of `SUFFIXES` that it had, or none."""
    name = file_name
    for packed in PACKED:
        if name.lower().endswith(packed):
            name = name[: -len(packed)]
            break
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)], suffix
    return name, ""


def is_project(argument: str | os.PathLike[str]) -> bool:
    """Tell whether an argument means a copick project: ``copick:CONFIG.json``."""
    return os.fspath(argument).startswith(PREFIX) and not is_reference(argument)


def is_reference(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is of a file that only copick can reach."""
    return _REFERENCE.fullmatch(os.fspath(path)) is not None


def split_reference(path: str | os.PathLike[str]) -> tuple[Path, str]:
    """Take a reference apart: the project's JSON file, ``ExperimentRuns/RUN/FOLDER/FILE``."""
    match = _REFERENCE.fullmatch(os.fspath(path))
    assert match is not None
    return Path(match[1]), match[2]


def make_reference(config: str | os.PathLike[str], inner: str) -> Path:
    """Name a file of a project: its JSON file, and ``ExperimentRuns/RUN/FOLDER/FILE``."""
    return Path(f"{PREFIX}{Path(config).as_posix()}::{inner}")


def bare_name(name: str) -> str:
    """Take away what programs put round the name of a tilt series, unless no name is left.

    CryoSPARC's 21 digits and RELION's ``rec_`` in front, file suffixes, Warp's ``_10.00Apx``,
    AreTomo's ``_Vol`` and EMAN's ``__...`` at the end.
    """
    bare = name
    for pattern in (_UID, _SUFFIX, _PIXEL):
        bare = pattern.sub("", bare) or bare
    bare = bare.removeprefix("rec_") or bare
    bare = bare.removesuffix("_Vol") or bare
    return bare.split("__")[0] or bare


def known_names(names: Sequence[str], known: Sequence[str], where: str) -> list[str]:
    """Give the names as a list of tomograms has them, where just one of it has the same bare name.

    Parameters
    ----------
    names, known : sequence of str
        As a file says them, and of the tomograms there are. A name that is known, or has no or
        several likes, stays as it is.
    where : str
        What the warning begins with that lists the names taken for another.

    Returns
    -------
    list of str
    """
    exact = set(known)
    by_bare: dict[str, list[str]] = {}
    for name in known:
        by_bare.setdefault(bare_name(name), []).append(name)
    taken: dict[str, str] = {}
    for name in dict.fromkeys(names):
        likes = by_bare.get(bare_name(name), [])
        if name not in exact and len(likes) == 1:
            taken[name] = likes[0]
    if not taken:
        return list(names)
    listed = ", ".join(f"{name} for {other}" for name, other in list(taken.items())[:5])
    more = f" and {len(taken) - 5} more" if len(taken) > 5 else ""
    warnings.warn(
        f"{where}: tomograms were taken by their bare names: {listed}{more}.",
        SlabkitWarning,
        stacklevel=4,
    )
    return [taken.get(name, name) for name in names]
