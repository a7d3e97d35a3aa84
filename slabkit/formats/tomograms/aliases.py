"""Names that programs give the same tomogram: suffixes and prefixes told apart from the name."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

from slabkit.errors import SlabkitWarning

_UID = re.compile(r"^\d{21}_")
_SUFFIX = re.compile(
    r"\.(tomostar|ome\.zarr|ome\.tiff?|zarr|tiff?|mrcs?|rec|map|st|hdf)(\.gz|\.bz2)?$",
    re.IGNORECASE,
)
_PIXEL = re.compile(r"_\d+(\.\d+)?Apx$")


def bare_name(name: str) -> str:
    """Take away what programs put round the name of a tilt series.

    Parameters
    ----------
    name : str

    Returns
    -------
    str
        Without CryoSPARC's 21 digits in front, RELION's ``rec_``, file suffixes, Warp's
        ``_10.00Apx``, AreTomo's ``_Vol`` and EMAN's ``__...`` at the end. Nothing is taken away
        that leaves no name.
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
    names : sequence of str
        As a file says them.
    known : sequence of str
        Of the tomograms there are.
    where : str

    Returns
    -------
    list of str
        A name that is known, or has no or several likes, stays as it is.

    Warns
    -----
    SlabkitWarning
        Lists the names that were taken for another.
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
