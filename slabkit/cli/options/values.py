"""How the values of options are read; ``option`` is the option's name, for messages."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from slabkit.cli.options.declare import Several, without_unit
from slabkit.errors import InputError
from slabkit.steps.shared.maps import tilts_in
from slabkit.steps.shared.names import species_name


def positive(value: float, option: str) -> float:
    """Check that a length is a positive number of Å."""
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{option} must be a positive number of Å, not {value:g}.")
    return value


def positive_or_zero(value: float, option: str) -> float:
    """Check that a length is 0 or more Å."""
    return positive(value, option) if value else 0.0


def folder(value: str, option: str) -> str:
    """Refuse standard output."""
    if value == "-":
        raise InputError("-o takes a folder here: the result is several files.")
    return value


def parse_range(value: str, option: str, open_ended: bool = False) -> tuple[float, float]:
    """Read ``MIN:MAX`` in Å, or one number for both; ``open_ended``: either may be empty."""
    parts = without_unit(value).split(":")
    if open_ended and len(parts) == 2:
        parts = [part or default for part, default in zip(parts, ("-inf", "inf"), strict=True)]
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) == 1 and not open_ended:
        numbers *= 2
    if len(numbers) != 2 or not numbers[0] <= numbers[1]:
        raise InputError(f"{option} takes MIN:MAX in Å with MIN not above MAX, not {value!r}.")
    return numbers[0], numbers[1]


def parse_z_range(value: str, option: str) -> tuple[float, float] | Literal["auto"]:
    """Read ``auto``, or ``MIN:MAX`` of which either may be empty."""
    return "auto" if value == "auto" else parse_range(value, option, open_ended=True)


def parse_numbers(value: str, option: str) -> tuple[float, ...]:
    """Read numbers with commas between."""
    try:
        return tuple(float(part) for part in value.split(","))
    except ValueError:
        raise InputError(f"{option} takes numbers with commas between, not {value!r}.") from None


def parse_tiles(value: str, option: str) -> tuple[int, int]:
    """Read rows and columns of a gallery."""
    match = re.fullmatch(r"\s*([1-9]\d{0,3})\s*[x×]\s*([1-9]\d{0,3})\s*", value)
    if match is None:
        raise InputError(f"{option} takes ROWSxCOLUMNS, 16x15 for instance, not {value!r}.")
    return int(match[1]), int(match[2])


def parse_layout(value: str, option: str) -> Several:
    """Read rows and columns of a gallery, for the fields of these names."""
    rows, columns = parse_tiles(value, option)
    return Several(rows=rows, columns=columns)


def parse_pairs(values: Sequence[str], option: str) -> dict[str, float]:
    """Read repeated ``NAME=NUMBER`` options, commas allowed between pairs."""
    pairs: dict[str, float] = {}
    for item in (part for value in values for part in value.split(",") if part):
        name, equals, number = item.rpartition("=")
        try:
            parsed = float(number)
        except ValueError:
            equals = ""
        if not equals or not name:
            raise InputError(f"{option} takes NAME=NUMBER, not {item!r}.")
        if name in pairs:
            raise InputError(f"{option} names {name} twice.")
        pairs[name] = parsed
    return pairs


def parse_distances(values: list[str], option: str) -> dict[str, float]:
    """Read numbers and NAME=NUMBER, the number alone under the empty name."""
    plain = [value for value in values if "=" not in value]
    try:
        numbers = [float(value) for value in plain]
    except ValueError:
        raise InputError(f"{option} takes Å or SPECIES=Å, not {', '.join(plain)!r}.") from None
    if len(numbers) > 1:
        raise InputError(f"{option} takes one number for all species; others need SPECIES=Å.")
    pairs = parse_pairs([value for value in values if "=" in value], option)
    return {**pairs, **({"": numbers[0]} if numbers else {})}


def parse_threshold(text: str, option: str) -> float | Literal["auto"]:
    """Read a number, or ``auto``."""
    try:
        return "auto" if text == "auto" else float(text)
    except ValueError:
        raise InputError(f"{option} takes a number or auto, not {text!r}.") from None


def named_maps(given: list[str], option: str) -> tuple[tuple[str, str], ...]:
    """Read repeated ``NAME=MAP.mrc`` options; the name may be left out."""
    maps = []
    for text in given:
        name, equals, file = text.partition("=")
        if not equals or Path(text).exists():
            name, file = "", text
        elif not name or not file:
            raise InputError(f"{option} takes MAP.mrc or NAME=MAP.mrc, not {text!r}.")
        maps.append((species_name(name, option), str(Path(file))))
    return tuple(maps)


def tilts(text: str, option: str) -> tuple[float, float] | None:
    """Read ``MIN:MAX`` in degrees, ``none``, or the tilts in a file."""
    if text == "none":
        return None
    parts = text.split(":")
    try:
        low, high = (float(part) for part in parts)
    except ValueError:
        if Path(text).exists():
            return tilts_in(text)
        raise InputError(
            f"{option} takes MIN:MAX in degrees, none, or a tilt file, and {text!r} is none of "
            "these."
        ) from None
    if not -90 < low < high < 90:
        raise InputError(f"{option} takes MIN:MAX in degrees between -90 and 90, not {text!r}.")
    return low, high
