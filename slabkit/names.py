"""Names that are written in several ways; which slab or gallery one means, by exact rules."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath

from slabkit.errors import InputError

# What programs put before and after the names of micrographs that they import or align.
UID_PREFIX = re.compile(r"^\d{21}_")
_ALIGNED = re.compile(r"_(patch|rigid)_aligned(_doseweighted)?$")
_IMAGE_SUFFIXES = (".mrcs", ".mrc", ".tiff", ".tif", ".png", ".jpeg", ".jpg")


def composed(name: str) -> str:
    """Spell a name with composed characters: disks and programs may take letters apart (NFD)."""
    return unicodedata.normalize("NFC", name)


class MicrographNames:
    """The micrographs of a table, found again by what other programs call them.

    ``what`` is the table in messages.
    """

    def __init__(self, names: Iterable[str], what: str = "the slab table") -> None:
        self.names = list(dict.fromkeys(names))
        self._what = what
        self._exact = set(self.names)
        self._by_base = _grouped(self.names, base_name)
        self._by_stem = _grouped(self.names, lambda name: image_stem(base_name(name)))

    def match(self, written: Iterable[str], where: str) -> dict[str, str]:
        """Give the table's name of each name that another program wrote.

        After the name itself its base name is looked for, then the base name without the suffix of
        an image, then that without a 21-digit prefix and without ``_patch_aligned`` or the like at
        its end. A name that fits none or several is refused.
        """
        found: dict[str, str] = {}
        unknown = []
        for name in dict.fromkeys(written):
            fits = self._fitting(name)
            if len(fits) > 1:
                raise InputError(
                    f"{where}: micrograph {name} could be {' or '.join(fits[:3])}; give the name "
                    f"as {self._what} has it."
                )
            if fits:
                found[name] = fits[0]
            else:
                unknown.append(name)
        if unknown:
            more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
            raise InputError(
                f"{where}: micrograph {unknown[0]}{more} is not in {self._what}; the closest "
                f"there: {self._closest(unknown[0])}."
            )
        return found

    def of_file(self, path: str, suffixes: Sequence[str]) -> str:
        """Tell the micrograph of a file of picks by the file's name, less one of the suffixes.

        The name is the micrograph's without suffix, perhaps with ``_`` and a word after it, as
        RELION has it. Where several names begin the file's, the longest counts; where that is in
        several folders, the one whose folder ends the file's. Refused where none fits, or several
        do.
        """
        stem = composed(base_name(path))
        for suffix in suffixes:
            if stem.lower().endswith(suffix):
                stem = stem[: -len(suffix)]
                break
        stems = [name for name in self._by_stem if stem == name or stem.startswith(f"{name}_")]
        if not stems:
            plain = image_stem(stem)
            stems = [plain] if plain in self._by_stem else []
        if not stems:
            raise InputError(
                f"{path}: its name begins with none of the micrographs of {self._what}, and "
                f"nothing in it says which one it is of; the closest: {self._closest(stem)}."
            )
        fits = self._by_stem[max(stems, key=len)]
        if len(fits) > 1:
            folder = PurePosixPath(path.replace("\\", "/")).parent.parts
            fits = [name for name in fits if _ends_with(folder, PurePosixPath(name).parent.parts)]
        if len(fits) != 1:
            several = self._by_stem[max(stems, key=len)]
            raise InputError(f"{path}: could be of {' or '.join(several[:3])}; rename one of them.")
        return fits[0]

    def _fitting(self, name: str) -> list[str]:
        if name in self._exact:
            return [name]
        base = composed(base_name(name))
        return (
            self._by_base.get(base)
            or self._by_stem.get(image_stem(base))
            # A name that has the suffix's letters in it may be meant as it is.
            or self._by_stem.get(base)
            or self._by_stem.get(plain_stem(base))
            or []
        )

    def _closest(self, name: str) -> str:
        close = difflib.get_close_matches(
            image_stem(base_name(name)), self._by_stem, n=3, cutoff=0.0
        )
        return ", ".join(self._by_stem[stem][0] for stem in close) or "none, it is empty"


def plain_stem(name: str) -> str:
    """Give the file name without what programs put before and after it, and without its suffix."""
    return _ALIGNED.sub("", image_stem(without_import(base_name(name))))


def without_import(name: str) -> str:
    """Take CryoSPARC's 21 digits from the beginning of a name."""
    return UID_PREFIX.sub("", name)


def image_stem(base: str) -> str:
    """Take the suffix of an image from a name; dots elsewhere stay."""
    for suffix in _IMAGE_SUFFIXES:
        if base.lower().endswith(suffix):
            return base[: -len(suffix)]
    return base


def base_name(name: str) -> str:
    """Take the folders from a path, of any system, that a table has."""
    return name.replace("\\", "/").rsplit("/", 1)[-1]


def _grouped(names: Sequence[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(composed(key(name)), []).append(name)
    return groups


def _ends_with(folder: tuple[str, ...], end: tuple[str, ...]) -> bool:
    return not end or folder[-len(end) :] == end
