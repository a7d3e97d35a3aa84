"""Names of tomograms: of files, of what is in copick projects elsewhere, and as programs say them.

Tables, records and messages name a file of a copick project that is on no disk of this machine
``copick:CONFIG.json::ExperimentRuns/...``: the project's JSON file, which is on this machine, and
the place below the project's root.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slabkit.errors import InputError, warn
from slabkit.names import UID_PREFIX, composed, without_import

if TYPE_CHECKING:
    from slabkit.tomogram import TomogramRef

SUFFIXES = (
    ".ome.tiff",
    ".ome.zarr.zip",
    ".zarr.zip",
    ".ome.tif",
    ".ome.zarr",
    ".tiff",
    ".tif",
    ".zarr",
    ".ozx",
    ".mrcs",
    ".mrc",
    ".rec",
    ".map",
    ".st",
    ".em",
)
"""Suffixes that are no part of a tomogram's name, longest first; ``.gz`` or ``.bz2`` may follow."""

PACKED = (".gz", ".bz2")

PREFIX = "copick:"
RUNS = "ExperimentRuns"
_REFERENCE = re.compile(rf"{PREFIX}(.+)::({RUNS}/[^/]+/[^/]+/[^/]+)", re.DOTALL)

_HALVES = [("half1", "half2"), ("half_1", "half_2"), ("half-1", "half-2")]
_HALVES += [("EVN", "ODD"), ("EVEN", "ODD"), ("Even", "Odd"), ("even", "odd"), ("evn", "odd")]
_SUFFIX = re.compile(
    r"\.(tomostar|(ome\.)?zarr\.zip|ozx|ome\.zarr|ome\.tiff?|zarr|tiff?|mrcs?|rec|map|st|em|hdf)(\.gz|\.bz2)?$",
    re.IGNORECASE,
)
_PIXEL = re.compile(r"_\d+(\.\d+)?Apx$")
_PIXEL_ANYWHERE = re.compile(r"_(\d+(?:\.\d+)?)Apx(?=$|[._])")
_VOLUME = re.compile(r"_Vol$")
_TAG = re.compile(r"(?<=.)__.*")  # EMAN's


def tomogram_name(path: str | os.PathLike[str]) -> str:
    """Give a tomogram's name: its file name less a known suffix; links are not resolved.

    Dots elsewhere stay: ``TS_1_10.00Apx.mrc`` is ``TS_1_10.00Apx``; the image ``TS_1.zarr/0`` is
    ``TS_1``. Characters are composed. Names that tables cannot hold are refused.
    """
    path = Path(path)
    inside = path.name.isdigit() and path.parent.suffix.lower() == ".zarr"  # bioformats2raw
    name = composed(split_suffix((path.parent if inside else path).name)[0])
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


def half_maps(path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Give both half maps by the path of one, as RELION, Warp and AreTomo name them."""
    path = Path(path)
    pairs = []
    for words in _HALVES:
        for word in words:
            found = list(re.finditer(rf"(?<![A-Za-z0-9]){word}(?![A-Za-z0-9])", path.name))
            if found:
                start, end = found[-1].span()
                named = (path.name[:start] + other + path.name[end:] for other in words)
                first, second = map(path.with_name, named)
                pairs.append((first, second))
    if not pairs:
        raise InputError(
            f"{path}: --half takes half maps, whose names say so (_half1 and _half2, _EVN and "
            "_ODD, _even and _odd)."
        )
    return next((pair for pair in pairs if all(one.exists() for one in pair)), pairs[0])


def files_read(ref: TomogramRef) -> list[Path]:
    """Give the files that are read of a tomogram: of half maps the one, or both where summed."""
    if ref.path is None:
        return []
    half = ref.reading.half
    try:
        pair = half_maps(ref.path) if half else ()
    except InputError:  # said when it is opened
        pair = ()
    return [Path(ref.path)] if not pair else [*pair] if half == "sum" else [pair[half == "2"]]


def bare_name(name: str, eman: bool = False) -> str:
    """Take away what programs put round the name of a tilt series, unless no name is left.

    CryoSPARC's 21 digits and RELION's ``rec_`` in front, file suffixes, Warp's ``_10.00Apx`` and
    AreTomo's ``_Vol`` at the end; EMAN's ``__...`` in files of EMAN alone.
    """
    bare = composed(name)
    if eman:
        bare = bare.split("__")[0] or bare
    bare = without_import(bare) or bare
    bare = bare.removeprefix("rec_") or bare
    before = ""
    while bare != before:  # Warp writes X.mrc_10.00Apx.mrc of X.mrc.tomostar
        before = bare
        for pattern in (_SUFFIX, _PIXEL, _VOLUME):
            bare = pattern.sub("", bare) or bare
    return bare


def _different(name: str, other: str, eman: bool) -> bool:
    """Tell whether what programs put round two names says that they are not of one series."""
    for pattern in (UID_PREFIX, _TAG) if eman else (UID_PREFIX,):
        found = pattern.search(name), pattern.search(other)
        if found[0] and found[1] and bare_name(found[0][0]) != bare_name(found[1][0]):
            return True
    return False


def _require_pixel_size(name: str, other: str, size: float, binning: float, where: str) -> None:
    """Refuse a name that states neither the tomogram's voxel size nor that over the binning."""
    stated, others = (_PIXEL_ANYWHERE.search(one) for one in (name, other))
    if math.isnan(size) and others:
        size = float(others[1])
    if stated is None or math.isnan(size):
        return
    least = 0.51 * 10.0 ** -len(stated[1].partition(".")[2])
    right = (size, size / binning)
    if all(abs(float(stated[1]) - one) > max(least, 1e-3 * one) for one in right):
        raise InputError(
            f"{where}: the name {name} says {stated[1]} Å a pixel, and the tomogram given of that "
            f"series, {other}, has {size:g} Å; give the tomogram that the name means."
        )


def known_names(
    names: Sequence[str],
    known: Sequence[str],
    where: str,
    voxel_sizes: Sequence[float] = (),
    eman: bool = False,
    binning: float = 1.0,
) -> list[str]:
    """Give the names as a list of tomograms has them.

    Names that differ only in how letters are composed are one name. Of others one is taken for
    another where they differ by what programs put round names (`bare_name`), and nothing
    contradicts it: just one name on each side is so alike. A warning lists them. A name that is
    known, or has no or several likes, stays as it is. Refused where the pixel size in a name is
    neither the tomogram's voxel size (``voxel_sizes``, Å; NaN: unknown) nor that over ``binning``.
    """
    spelled = {composed(name): name for name in known}
    sizes = dict(zip(known, voxel_sizes, strict=False))
    by_bare: dict[str, list[str]] = {}
    for name in known:
        by_bare.setdefault(bare_name(name, eman), []).append(name)
    said: dict[str, set[str]] = {}
    for name in dict.fromkeys(names):
        said.setdefault(bare_name(name, eman), set()).add(composed(name))
    found: dict[str, str] = {}
    taken: dict[str, str] = {}
    for name in dict.fromkeys(names):
        plain = composed(name)
        found[name] = spelled.get(plain, plain)
        bare = bare_name(name, eman)
        likes = by_bare.get(bare, [])
        if plain in spelled or len(likes) != 1 or len(said[bare]) != 1:
            continue
        if not _different(plain, composed(likes[0]), eman):
            size = sizes.get(likes[0], math.nan)
            _require_pixel_size(name, likes[0], size, binning, where)
            found[name] = taken[name] = likes[0]
    if taken:
        listed = ", ".join(f"{name} for {other}" for name, other in list(taken.items())[:5])
        more = f" and {len(taken) - 5} more" if len(taken) > 5 else ""
        warn(f"{where}: tomograms were taken by their bare names: {listed}{more}.")
    return [found[name] for name in names]
