"""Paths in tables: written relative to the working directory, found again from elsewhere."""

from __future__ import annotations

import os
from pathlib import Path


def resolve_path(written: str, table: str | os.PathLike[str]) -> Path:
    """Find a file that a table names.

    Parameters
    ----------
    written : str
        The path in the table.
    table : path-like or "-"
        The table.

    Returns
    -------
    Path
        The path as it is (relative to the working directory) if that exists, else relative to the
        table's folder or the nearest folder above it where it exists; else as it is.
    """
    path = Path(written)
    if path.is_absolute() or path.exists() or str(table) == "-":
        return path
    folder = Path(os.path.abspath(table)).parent
    for base in (folder, *folder.parents):
        if (base / path).exists():
            return base / path
    return path


def path_for_table(path: str | os.PathLike[str]) -> str:
    """Write a path the way tables have it: relative to the working directory.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    str
        With forward slashes; symbolic links are not resolved.
    """
    return Path(os.path.relpath(path)).as_posix()
