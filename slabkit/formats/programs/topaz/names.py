"""Names of images as Topaz can hold them, and back.

Topaz calls an image by its file name up to the last dot, splits its lists at white space, and reads
names that look like numbers as numbers; folders count for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from slabkit.errors import InputError
from slabkit.names import base_name, image_stem

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
# What tables read as a missing value or as a number.
_NO_NAMES = {"na", "nan", "null", "none", "inf", "infinity", "true", "false", "n-a"}


def safe_names(micrographs: Iterable[str]) -> dict[str, str]:
    """Give each micrograph a name that Topaz keeps, and that no other has.

    The base name without the suffix of an image, where that will do; else with ``_`` for what
    Topaz cannot hold, ``image_`` before what is no name, and a number after what is taken. The
    result depends on all micrographs and their order.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    names = list(dict.fromkeys(micrographs))
    # Names that need no change go first, so that they keep theirs.
    for name in sorted(names, key=lambda name: not _is_plain(_stem(name))):
        safe = re.sub(r"[^A-Za-z0-9_-]", "_", _stem(name))
        if not _is_plain(safe):
            safe = f"image_{safe}"
        first, count = safe, 1
        while safe.lower() in taken:
            count += 1
            safe = f"{first}_{count}"
        taken.add(safe.lower())
        found[name] = safe
    return {name: found[name] for name in names}


def restored_names(written: Sequence[str], micrographs: Sequence[str], where: str) -> list[str]:
    """Give names that Topaz wrote as the table has them; other names stay as they are.

    Topaz has names of `safe_names`, and cuts those of other tables at their last dot.
    """
    stems = {_stem(name) for name in micrographs}
    made = {safe: name for name, safe in safe_names(micrographs).items() if safe not in stems}
    cut: dict[str, list[str]] = {}
    for name in dict.fromkeys(micrographs):
        cut.setdefault(_stem(name).rpartition(".")[0], []).append(name)
    found = {}
    for name in dict.fromkeys(written):
        fits = [made[name]] if name in made else cut.get(name, []) if name not in stems else []
        if name and len(fits) > 1:
            raise InputError(
                f"{where}: image {name} could be {' or '.join(fits[:3])}, because Topaz cuts names "
                "at their last dot; slabkit export topaz gives names that it keeps."
            )
        found[name] = fits[0] if name and fits else name
    return [found[name] for name in written]


def _stem(name: str) -> str:
    return image_stem(base_name(name))


def _is_plain(name: str) -> bool:
    return _PLAIN.fullmatch(name) is not None and name.lower() not in _NO_NAMES
