"""Which colour a species has, in every picture and page."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from slabkit.tables import SPECIES

NO_SPECIES = (255, 176, 0)
"""Red, green, blue of picks without a species."""

# Found by a search for colours that stay farthest apart (in OKLab) from each other, from amber and
# from grey, as seen by people of normal, protanopic, deuteranopic and tritanopic vision. The first
# six belong to the challenge's species; the last five are less far apart than the others.
_PALETTE = (
    (0, 255, 255),
    (255, 68, 17),
    (170, 68, 170),
    (85, 204, 170),
    (221, 238, 153),
    (187, 170, 255),
    (102, 85, 255),
    (187, 34, 85),
    (119, 136, 255),
    (0, 153, 0),
    (221, 85, 204),
    (187, 170, 102),
)


def species_colours(names: Iterable[str]) -> dict[str, tuple[int, int, int]]:
    """Give each species its colour: red, green, blue, 0 to 255.

    The challenge's species have theirs always; any other name has one that follows from the name,
    unless another species of `names` has it: then the next that is free. Colours repeat beyond 12.

    Returns
    -------
    dict
        In the order of legends: the challenge's species, the others by name, then ``""`` (none).
    """
    wanted = set(names)
    found = {name: _PALETTE[SPECIES.index(name)] for name in SPECIES if name in wanted}
    for name in sorted(wanted - set(SPECIES) - {""}):
        first = zlib.crc32(name.encode()) % len(_PALETTE)
        order = [*_PALETTE[first:], *_PALETTE[:first]]
        taken = set(found.values())
        found[name] = next((one for one in order if one not in taken), order[0])
    return found | ({"": NO_SPECIES} if "" in wanted else {})


def css(colour: tuple[int, int, int]) -> str:
    """Write a colour as style sheets have it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
