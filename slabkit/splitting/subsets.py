"""The subsets of a split: names, sizes as numbers or shares, and what they come to."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from slabkit.errors import InputError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ROUNDED = 2e-3  # 33.3 % three times is meant to be all


def parse_subsets(subsets: str | Sequence[str] | Mapping[str, float]) -> dict[str, int | float]:
    """Read the sizes of subsets.

    Parameters
    ----------
    subsets : str, sequence of str, or mapping of str to int or float
        ``train=0.8,val=0.1,test=0.1``, ``train=7,public=25%,private=75%``. A whole number (without
        a point) is a number of tomograms; a share, written with a point or in percent, is of the
        tomograms that the numbers leave. In a mapping int is a number, float a share.

    Returns
    -------
    dict of str to int or float

    Raises
    ------
    InputError
        It is not of that form, a name comes twice, a share is not above 0 and at most 1, or the
        shares do not sum to 1.
    """
    if isinstance(subsets, Mapping):
        pairs = [(str(name), size) for name, size in subsets.items()]
    else:
        texts = [subsets] if isinstance(subsets, str) else [*subsets]
        parts = [part.strip() for text in texts for part in text.split(",") if part.strip()]
        pairs = [_parse(part) for part in parts]
    if not pairs:
        raise InputError("no subset is named; say train=0.8,val=0.1,test=0.1, for instance.")
    found: dict[str, int | float] = {}
    for name, size in pairs:
        if not _NAME.fullmatch(name):
            raise InputError(
                f"a subset's name is made of letters, digits, '.', '_' and '-', not {name!r}."
            )
        if name in found:
            raise InputError(f"the subset {name} is named twice.")
        whole = isinstance(size, int) and not isinstance(size, bool)
        if whole and size < 1:
            raise InputError(f"{name}={size}: a subset has one tomogram or more.")
        if not whole and not (math.isfinite(size) and 0 < size <= 1):
            raise InputError(f"{name}={size:g}: a share is above 0 and at most 1 (100 %).")
        found[name] = int(size) if whole else float(size)
    shares = [size for size in found.values() if isinstance(size, float)]
    if shares and abs(sum(shares) - 1) > _ROUNDED:
        raise InputError(
            f"the shares sum to {sum(shares):g}; they must sum to 1 (of the tomograms that subsets "
            "given as whole numbers leave)."
        )
    return found


def subset_sizes(subsets: Mapping[str, int | float], tomograms: int) -> dict[str, int]:
    """Say how many tomograms each subset gets.

    Parameters
    ----------
    subsets : mapping of str to int or float
        As `parse_subsets` gives it.
    tomograms : int

    Returns
    -------
    dict of str to int
        Summing to ``tomograms``; shares rounded by largest remainder, earlier ones first.

    Raises
    ------
    InputError
        There are too few tomograms, or numbers without shares do not come to all.
    """
    fixed = sum(size for size in subsets.values() if isinstance(size, int))
    shares = {name: size for name, size in subsets.items() if isinstance(size, float)}
    rest = tomograms - fixed
    if rest < 0 or (rest and not shares):
        raise InputError(
            f"the subsets take {fixed} tomograms and there are {tomograms}; give one of them a "
            "share (test=100%) to take what is left."
            if rest > 0
            else f"the subsets take {fixed} tomograms and there are {tomograms}."
        )
    total = sum(shares.values())
    exact = {name: rest * share / total for name, share in shares.items()}
    whole = {name: math.floor(size + 1e-9) for name, size in exact.items()}
    by_remainder = sorted(shares, key=lambda name: whole[name] - exact[name])
    for name in by_remainder[: rest - sum(whole.values())]:
        whole[name] += 1
    empty = [name for name, size in whole.items() if not size]
    if empty:
        raise InputError(
            f"{tomograms} tomograms are too few: none is left for {', '.join(empty)}; give "
            f"numbers instead of shares ({empty[0]}=1) or fewer subsets."
        )
    return {name: whole.get(name, int(size)) for name, size in subsets.items()}


def _parse(text: str) -> tuple[str, int | float]:
    name, equals, size = text.partition("=")
    plain = size.strip()
    try:
        if re.fullmatch(r"\d+", plain):
            number: int | float = int(plain)
        elif plain.endswith("%"):
            number = float(plain[:-1]) / 100
        else:
            number = float(plain)
    except ValueError:
        equals = ""
    if not equals:
        raise InputError(
            f"a subset is written NAME=SHARE, NAME=PERCENT% or NAME=NUMBER, not {text!r}."
        )
    return name.strip(), number
