"""How a volume was read, as one word in a table, so that later commands read it the same way."""

from __future__ import annotations

from typing import Any

from slabkit.errors import InputError

_DEFAULTS: dict[str, Any] = {
    "voxel_size": None,
    "axis_order": None,
    "uint8": None,
    "flip_z": False,
    "level": 0,
    "allow_missing_chunks": False,
    "fill_nonfinite": None,
}


def reading_text(options: dict[str, Any]) -> str:
    """Write the options of `open_tomogram` that are not the default.

    Parameters
    ----------
    options : dict
        Any of ``voxel_size`` (where it was given), ``axis_order``, ``uint8``, ``flip_z``,
        ``level``, ``allow_missing_chunks``, ``fill_nonfinite``.

    Returns
    -------
    str
        For instance ``axis_order=yzx,flip_z=1``; empty where all are defaults.
    """
    parts = []
    for name, default in _DEFAULTS.items():
        value = options.get(name, default)
        if value != default:
            parts.append(f"{name}={int(value) if isinstance(value, bool) else value}")
    return ",".join(parts)


def parse_reading(text: str) -> dict[str, Any]:
    """Read what `reading_text` wrote.

    Parameters
    ----------
    text : str

    Returns
    -------
    dict
        Keyword arguments for `slabkit.formats.volumes.opening.open_tomogram`.

    Raises
    ------
    InputError
        It is not of that form.
    """
    options: dict[str, Any] = {}
    for part in text.split(",") if text else []:
        name, equals, value = part.partition("=")
        if name not in _DEFAULTS or not equals:
            raise InputError(f"slabkitTomogramReading has {part!r}, which slabkit does not know.")
        if name in ("uint8", "flip_z", "allow_missing_chunks"):
            options[name] = value == "1"
        elif name == "voxel_size":
            options[name] = float(value)
        else:
            options[name] = int(value) if value.isdecimal() else value
    return options
