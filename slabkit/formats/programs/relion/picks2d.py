"""RELION's 2D picks: particle tables, one file a micrograph, and lists of such files.

Coordinates are pixels of the micrograph, 0 at the centre of the first pixel, y from the first row
of the file. A particle table may carry the shifts of a 2D classification; a particle's place is its
coordinate less the shift.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from slabkit.errors import FormatError, InputError, warn
from slabkit.formats.file_format import FileFormat, Slabs, checked, one_by_one, pooled
from slabkit.formats.programs.shared.relion_star import (
    CORNER,
    SHIFTS,
    SHIFTS_PX,
    refuse_shifts_in_pixels,
    shifts,
)
from slabkit.formats.source import Source
from slabkit.formats.tables.paths import resolve_path
from slabkit.tables import PICKS2D, names_listed

if TYPE_CHECKING:
    import pandas as pd

_PLACE = CORNER[:2]
_SCORE = "rlnAutopickFigureOfMerit"
_NOT_2D = {"rlnCoordinateZ", "rlnTomoName", "slabkitX"}
_MARKER = re.compile(r"coords_suffix_(.+)\.star")


def read_particles(source: Source, slabs: Slabs) -> pd.DataFrame:
    """Read a table of picks or particles, slabkit's own for instance."""
    where = source.where
    blocks = source.typed_blocks(PICKS2D)
    needed = {"rlnMicrographName", *_PLACE}
    found = [name for name, block in blocks.items() if needed <= set(block.columns)]
    if "particles" in found:
        found = ["particles"]
    if len(found) != 1:
        raise FormatError(
            f"{where}: {'several blocks have' if found else 'no block has'} the columns "
            f"{', '.join(sorted(needed))} (blocks: {names_listed(blocks)})."
        )
    table = _typed(blocks[found[0]], where)
    return _shifted(table, slabs, where)


def sniff_per_micrograph(source: Source) -> bool:
    """Tell by coordinates without a micrograph's name, or a table without any column."""
    if source.is_star and not source.labels:  # template picking that found nothing
        return set(source.block_labels) <= {"", "particles"}
    return set(_PLACE) <= source.labels and not source.labels & {*_NOT_2D, "rlnMicrographName"}


def read_per_micrograph(source: Source, slabs: Slabs) -> pd.DataFrame:
    """Read the picks of one micrograph, which the file's name tells: ``<slab>_autopick.star``."""
    name = slabs.names.of_file(source.where, (".star",))
    return _of_micrograph(source, name)


def sniff_list(source: Source) -> bool:
    """Tell RELION 4's list by its block, RELION 3.1's marker by its name."""
    if source.is_star:
        return {"rlnMicrographName", "rlnMicrographCoordinates"} <= source.labels
    return _MARKER.fullmatch(Path(source.where).name) is not None


def read_list(source: Source, slabs: Slabs) -> pd.DataFrame:
    """Read the picks of all micrographs that a list names."""
    entries = _entries(source)
    missing = [path for _, path, _ in entries if not os.path.exists(path)]
    demanded = [path for _, path, must_exist in entries if must_exist and not os.path.exists(path)]
    if demanded:
        raise InputError(
            f"{source.where}: lists {demanded[0]}{_and_more(demanded)}, which is not there; call "
            "slabkit from the folder of the RELION project."
        )
    if entries and len(missing) == len(entries):
        raise InputError(
            f"{source.where}: none of the {len(entries)} coordinate files is there, the first is "
            f"{missing[0]}; call slabkit from the folder of the RELION project."
        )
    if missing:
        warn(
            f"{source.where}: {len(missing)} of {len(entries)} coordinate files are not there, "
            f"for instance {missing[0]}; no picks are taken from their micrographs."
        )
    return pooled(
        [
            _of_micrograph(Source.load(path), name)
            for name, path, _ in entries
            if os.path.exists(path)
        ]
    )


def listed_files(source: Source) -> list[Path]:
    """Give the coordinate files that a list names and that are there."""
    return [path for _, path, _ in _entries(source) if os.path.exists(path)]


def _entries(source: Source) -> list[tuple[str, Path, bool]]:
    """Give micrograph, coordinate file, and whether RELION always writes that file."""
    where = source.where
    marker = _MARKER.fullmatch(Path(where).name)
    if marker and not source.is_star:
        lines = source.text.split()
        table = resolve_path(lines[0] if lines else "", where)
        if len(lines) != 1 or not os.path.isfile(table):
            raise InputError(
                f"{where}: should hold the path of the micrographs' STAR file and nothing else, "
                f"and that file should be there; it holds {source.text.strip()[:60]!r}."
            )
        names = _column(Source.load(table).blocks, str(table))
        folder = Path(where).parent
        return [
            (name, folder / PurePosixPath(name).with_suffix("").parent / _picks_of(name, marker[1]),
             False)
            for name in names
        ]  # fmt: skip
    blocks = source.blocks
    names = _column(blocks, where)
    files = _column(blocks, where, "rlnMicrographCoordinates")
    return [
        (name, resolve_path(file, where), True) for name, file in zip(names, files, strict=True)
    ]


def _picks_of(micrograph: str, pick_name: str) -> str:
    return f"{PurePosixPath(micrograph).stem}_{pick_name}.star"


def _column(
    blocks: dict[str, pd.DataFrame], where: str, label: str = "rlnMicrographName"
) -> list[str]:
    for block in blocks.values():
        if label in block.columns:
            return [str(value) for value in block[label]]
    raise FormatError(f"{where}: has no column {label}.")


def _of_micrograph(source: Source, name: str) -> pd.DataFrame:
    import pandas as pd

    where = source.where
    blocks = source.blocks
    table = next(
        (block for block in blocks.values() if set(_PLACE) <= set(block.columns)), pd.DataFrame()
    )
    if not len(table.columns):
        if any(len(block.columns) for block in blocks.values()):
            raise FormatError(f"{where}: no block has the columns {', '.join(_PLACE)}.")
        return pooled([])
    return _typed(table.assign(rlnMicrographName=name), where)


def _typed(block: pd.DataFrame, where: str) -> pd.DataFrame:
    table = block.copy()
    for column in PICKS2D.columns:
        if column.kind == "string" and column.default == "" and column.name in table.columns:
            table[column.name] = table[column.name].replace("none", "")
    if _SCORE in table.columns and "slabkitScoreKind" not in table.columns:
        table["slabkitScoreKind"] = _SCORE
    return checked(table, where)


def _shifted(table: pd.DataFrame, slabs: Slabs, where: str) -> pd.DataFrame:
    """Subtract the shifts of a 2D classification, which slabs' voxel sizes turn into pixels."""
    refuse_shifts_in_pixels(table, SHIFTS_PX[:2], where)
    shift = shifts(table, SHIFTS[:2], where)
    moved = int(shift.any(axis=1).sum())
    if moved:
        found = slabs.names.match(table["rlnMicrographName"].unique(), where)
        micrographs = table["rlnMicrographName"].map(found).tolist()
        pixel = np.array(slabs.values("slabkitVoxelSize", micrographs))
        for place, along in zip(_PLACE, shift.T, strict=True):
            table[place] = table[place] - along / pixel
        warn(
            f"{where}: {moved} of {len(table)} particles had a shift (rlnOrigin*Angst); it was "
            "applied to their places."
        )
    return table.drop(columns=[label for label in SHIFTS[:2] if label in table.columns])


def _and_more(items: Sequence[Any]) -> str:
    return f" and {len(items) - 1} more" if len(items) > 1 else ""


_COMMON: dict[str, Any] = {
    "unit": "pixels",
    "origin": "centre of the first pixel = 0, y from the first row",
}

PARTICLES = FileFormat(
    name="star",
    title="slabkit's 2D picks, or a RELION particle STAR (shifts are applied)",
    sniff=lambda source: (
        {"rlnMicrographName", *_PLACE} <= source.labels and not source.labels & _NOT_2D
    ),
    read_picks2d=one_by_one(read_particles),
    **_COMMON,
)

PER_MICROGRAPH = FileFormat(
    name="relion",
    title="RELION's picks of one micrograph (<micrograph>_autopick.star, from any job)",
    sniff=sniff_per_micrograph,
    read_picks2d=one_by_one(read_per_micrograph),
    **_COMMON,
)

LIST = FileFormat(
    name="relion-list",
    title="RELION 4 and 5's autopick.star or manualpick.star, RELION 3.1's coords_suffix_*.star",
    sniff=sniff_list,
    read_picks2d=one_by_one(read_list),
    files=listed_files,
    **_COMMON,
)
