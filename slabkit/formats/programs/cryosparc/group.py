"""CryoSPARC's result groups (``.csg``): a little YAML that says which dataset holds which slot."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from slabkit.errors import FormatError, InputError
from slabkit.formats.tables.atomic import write_text

_METAFILE = re.compile(r"^\s+metafile:\s*['\"]?>?(?P<name>[^'\"\n]+?)['\"]?\s*$", re.MULTILINE)


def is_group(path: str | os.PathLike[str]) -> bool:
    """Tell by its name whether a file is a result group."""
    return str(path).lower().endswith(".csg")


def write_group(
    target: str | os.PathLike[str],
    *,
    kind: str,
    name: str,
    title: str,
    description: str,
    slots: Mapping[str, str],
    metafile: str,
    rows: int,
) -> None:
    """Write a result group: which slots a dataset holds.

    Parameters
    ----------
    target : path-like
    kind : {"particle", "exposure"}
    name, title, description : str
        What CryoSPARC calls it; ``name`` of letters, digits and underscores.
    slots : mapping of str to str
        Slot to its type, ``blob`` to ``blob``.
    metafile : str
        The dataset, relative to the group's folder.
    rows : int
    """
    # A group has a date; a fixed one, so that the same input gives the same bytes.
    lines = ["created: 2000-01-01 00:00:00.000000", "group:"]
    lines += [f"  description: {_quoted(description)}", f"  name: {name}"]
    lines += [f"  title: {_quoted(title)}", f"  type: {kind}", "results:"]
    for slot, slot_type in sorted(slots.items()):
        lines += [f"  {slot}:", f"    metafile: {_quoted('>' + metafile)}"]
        lines += [f"    num_items: {rows}", f"    type: {kind}.{slot_type}"]
    write_text(target, "\n".join([*lines, "version: v4.0.0"]) + "\n")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def group_files(path: str | os.PathLike[str]) -> list[Path]:
    """Give the datasets that a result group names.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    list of Path
        In the group's folder, each once, in the order of the file.

    Raises
    ------
    FormatError
        It names none, or is not text.
    InputError
        It cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: is not a text file, so no result group (.csg).") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    names = dict.fromkeys(match["name"].replace("''", "'") for match in _METAFILE.finditer(text))
    if not names:
        raise FormatError(f"{path}: names no metafile, so it is no result group (.csg).")
    return [Path(path).parent / name for name in names]


def groups_beside(path: str | os.PathLike[str]) -> list[Path]:
    """Give the other datasets of the result groups in the same folder that name this one.

    CryoSPARC splits an output: what a job made stands in one file, what it passed through in
    another, and the group beside them says so.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    list of Path
        Those that exist.
    """
    here = Path(path)
    others: dict[Path, None] = {}
    for group in sorted(here.parent.glob("*.csg")):
        try:
            files = group_files(group)
        except InputError:
            continue  # another file's fault must not stop the reading of this one
        if any(file.name == here.name for file in files):
            others.update(
                dict.fromkeys(file for file in files if file.name != here.name and file.is_file())
            )
    return list(others)
