"""Which files a command reads and writes, told apart by what they are, not by their names."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from slabkit.errors import InputError

_OUTPUTS = (
    "out",
    "rejected",
    "curve",
    "plot",
    "decide",
    "gallery",
    "lists",
    "additions",
    "page",
    "failed",
    "names",
)

State: TypeAlias = tuple[int, int, int]
"""Which file it is, its bytes, its time of modification."""


def file_state(path: str) -> State | None:
    """Give what a file's content cannot change without: which file, bytes, time; None: none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def files_named(options: Any) -> list[str]:
    """Give every existing file that the options of a step name, but for outputs.

    Also those in its fields: dataclasses, mappings, sequences.
    """
    if dataclasses.is_dataclass(options):
        fields = (one.name for one in dataclasses.fields(options) if one.name not in _OUTPUTS)
        inside: Iterable[Any] = (getattr(options, name) for name in fields)
    elif isinstance(options, Mapping):
        inside = options.values()
    elif isinstance(options, (list, tuple)):
        inside = options
    else:
        path = str(options).removeprefix("copick:") if isinstance(options, (str, Path)) else ""
        return [path] if path and file_state(path) is not None else []
    return [path for value in inside for path in files_named(value)]


Identities: TypeAlias = dict[tuple[int, int], str]
"""Names of files by what makes them the same whatever their name."""


def refuse_inputs(planned: Iterable[Path], read: Identities, images: Iterable[Any] = ()) -> None:
    """Refuse to write to what is read, under whatever name, and to what is no plain file.

    An old link to one of ``images`` may be replaced: the image stays.
    """
    seen = identities(images)
    for path in planned:
        try:
            status = os.stat(path)
        except OSError:
            continue  # not there
        key = (status.st_dev, status.st_ino)
        same = read.get(key) or (None if path.is_symlink() else seen.get(key))
        if same is not None:
            also = "" if same == str(path) else f" (it is {same})"
            raise InputError(f"{path}: is an input{also} and cannot be the result too.")
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise InputError(f"{path}: is not a regular file; give another name.")


def identities(paths: Iterable[Any]) -> Identities:
    """Give the files that exist."""
    found = {}
    for path in paths:
        with contextlib.suppress(OSError, ValueError):
            status = os.stat(path)
            found[status.st_dev, status.st_ino] = str(path)
    return found
