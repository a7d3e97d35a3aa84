"""``slabkit info tomograms/TS_01.mrc``: what slabkit understands of a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from slabkit.cli.console import emit, say
from slabkit.cli.options import common
from slabkit.cli.options.declare import argument, declare, option
from slabkit.errors import SlabkitError
from slabkit.steps.info import Options, run

if TYPE_CHECKING:
    from slabkit.formats.description import FileDescription, ValueRange


def _info(options: Options, json_: bool = False) -> None:
    known: list[FileDescription] = []
    failures: dict[str, str] = {}
    for path, found in run(options):
        if isinstance(found, SlabkitError):
            failures[path] = str(found)
            continue
        known.append(found)
        if not json_:
            emit(_text(found))
    if json_:
        report: dict[str, Any] = {
            "command": "info",
            "status": "error" if not known else "partial" if failures else "done",
            "files": [one.as_dict() for one in known],
            "failures": failures,
        }
        emit(json.dumps(report, ensure_ascii=False))
    for message in failures.values():
        say(f"error: {message}")
    if failures:
        raise typer.Exit(1 if known else 2)


info = declare(
    _info,
    Options,
    """Also of other programs: their pick files, and CryoSPARC's .cs and .csg.
    """,
    files=argument("Volumes, images, tables.", "FILE..."),
    full=option("Read every voxel; else 16 planes of volumes above 512 MB."),
    json_=common.JSON,
)


_KINDS = {"picks2d": "2D picks", "labels": "label table"}  # as people say it


def _text(file: FileDescription) -> str:
    kind = _KINDS.get(file.kind, file.kind)
    lines = [file.path, f"  {kind}, {file.stored_as}"]
    unit = "pixel" if file.kind in ("micrograph", "stack") else "voxel"
    if file.size is not None:
        axes = "x, y, images" if file.kind == "stack" else "x, y, z"[: 3 * len(file.size) - 2]
        lines.append(f"  {' × '.join(str(n) for n in file.size)} {unit}s ({axes})")
        size = "not known" if file.voxel_size is None else f"{file.voxel_size:g} Å"
        lines.append(f"  {unit} size {size}{_extent(file)}")
    if file.values is not None:
        lines.append(f"  {_range(file.values)}")
    if file.rows is not None:
        blocks = ", ".join(f"{name} {rows}" for name, rows in file.blocks.items())
        lines.append(f"  {file.rows} rows" + (f" (rows by block: {blocks})" * (len(blocks) > 0)))
    if file.columns is not None:
        lines.append(f"  columns {', '.join(file.columns)}")
    lines += [f"  note: {note}" for note in file.notes]
    lines += [f"  warning: {warning}" for warning in file.warnings]
    return "\n".join(lines)


def _extent(file: FileDescription) -> str:
    if file.voxel_size is None or file.size is None:
        return ""
    sides = file.size[:2] if file.kind == "stack" else file.size
    return f", {' × '.join(f'{n * file.voxel_size:.0f}' for n in sides)} Å in all"


def _range(values: ValueRange) -> str:
    read = (
        f"sampled: {values.planes} of {values.of} planes" if values.sampled else "all values read"
    )
    if values.least is None:
        return f"no finite value ({read})"
    return (
        f"values {values.least:.6g} to {values.greatest:.6g}, mean {values.mean:.6g}, standard "
        f"deviation {values.deviation:.6g} ({read})"
    )
