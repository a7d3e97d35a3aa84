"""What formats share whose files are rows of values: reading rows, naming, placing, writing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import FormatError, InputError, warn
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.values import coordinates, parse_numbers
from slabkit.formats.source import Source
from slabkit.formats.tables.paths import is_pipe
from slabkit.formats.tables.reals import real_text
from slabkit.formats.tomograms.names import tomogram_name

if TYPE_CHECKING:
    from slabkit.formats.tables.native import PickList

POSITIONS = ("slabkitX", "slabkitY", "slabkitZ")


def number_rows(source: Source, least: int, most: int, what: str) -> list[list[str]]:
    """Split bare columns of values; blank lines and those that begin with ``#`` pass."""
    rows: list[list[str]] = []
    for number, line in enumerate(source.text.split("\n"), 1):
        values = line.split()
        if not values or values[0].startswith("#"):
            continue
        if not least <= len(values) <= most or len(values) != len(rows[0] if rows else values):
            raise FormatError(
                f"{source.where}, line {number}: {len(values)} values; {what}, alike in every row."
            )
        rows.append(values)
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(least)]


def numbers(columns: Sequence[Sequence[str]], names: str, where: str) -> npt.NDArray[np.float64]:
    """Read columns of finite numbers, named by the words of ``names``; shape (rows, columns)."""
    return np.column_stack(
        [coordinates(list(c), n, where) for c, n in zip(columns, names.split(), strict=True)]
    )


def number_groups(
    columns: Mapping[str, Sequence[str]], where: str, *groups: tuple[str, ...]
) -> list[npt.NDArray[np.float64]]:
    """Read groups of columns, x y z and angles for instance, as `numbers` does each."""
    return [numbers([columns[n] for n in group], " ".join(group), where) for group in groups]


def say_shifted(shift: npt.NDArray[np.float64], where: str, what: str = "") -> None:
    """Count the particles whose shift, shape (picks, 3), is added to their positions."""
    moved = int(shift.any(axis=1).sum())
    if moved:
        warn(
            f"{where}: {moved} of {len(shift)} particles had a shift{what}; it was added to their "
            "positions."
        )


def placed(names: list[str], positions: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Make the columns of the tomogram and the position in Å, shape (picks, 3)."""
    columns: dict[str, Any] = {"slabkitTomogram": names}
    columns |= dict(zip(POSITIONS, positions.reshape(-1, 3).T, strict=True))
    return columns


def read_bare_points(source: Source) -> npt.NDArray[np.float64]:
    """Read a text of nothing but ``x y z``; shape (picks, 3)."""
    return numbers(number_rows(source, 3, 3, "x y z are three"), "x y z", source.where)


def write_bare_points(picks: PickList, context: Context) -> str:
    """Write ``x y z`` in voxels, one pick a line."""
    return number_lines(points_in_voxels(picks, context, "coords"))


def points_in_voxels(picks: PickList, context: Context, what: str) -> npt.NDArray[np.float64]:
    """Give the positions in voxels for a format to write, 0 the first voxel; shape (picks, 3)."""
    voxel_size = context.voxel_sizes(picks.picks["slabkitTomogram"].tolist(), what)
    points: npt.NDArray[np.float64] = picks.picks[list(POSITIONS)].to_numpy() / voxel_size[:, None]
    return points


def tomogram_numbers(picks: PickList) -> dict[str, int]:
    """Give the tomograms that have picks numbers, from 1 in the order of their table."""
    used = set(picks.picks["slabkitTomogram"])
    listed = [name for name in picks.tomograms["slabkitTomogram"] if name in used]
    return {name: number for number, name in enumerate(listed, 1)}


def write_index(picks: PickList, context: Context) -> str:
    """Write which number is which tomogram, a line ``number path`` each."""
    files = dict(
        zip(picks.tomograms["slabkitTomogram"], picks.tomograms["slabkitTomogramFile"], strict=True)
    )
    lines = []
    for name, number in tomogram_numbers(picks).items():
        file = files.get(name, "")
        lines.append(f"{number} {file if file and tomogram_name(file) == name else name}\n")
    return "".join(lines)


def number_lines(rows: npt.NDArray[np.float64]) -> str:
    """Write rows of numbers, one row a line, with blanks between."""
    return "".join(" ".join(map(real_text, row)) + "\n" for row in rows.tolist())


def file_a_tomogram(ending: str, folder: str = "") -> dict[str, Any]:
    """Give the fields of a `FileFormat` whose files hold one tomogram and are called like it."""
    return {
        "one_file_per": ("slabkitTomogram",),
        "file_name": lambda picks: f"{folder}{picks.picks['slabkitTomogram'].iloc[0]}{ending}",
    }


def names_of_file(source: Source, context: Context, count: int, ending: str = "") -> list[str]:
    """Name the tomogram of a file that is called like it."""
    if context.tomogram is not None or is_pipe(source.where):
        return context.names(None, count, source.where, "this format")
    if source.tomogram:
        return context.names([source.tomogram] * count, count, source.where)
    stem = Path(source.where).stem
    name = stem.removesuffix(ending) or stem
    return context.names([name] * count, count, source.where, eman=ending == "_info")


def series_name(text: str) -> str:
    """Give the tomogram that a file name in a table means: no folders, no known suffix."""
    name = Path(text).name.removesuffix(".tomostar")
    try:
        return tomogram_name(name)
    except InputError:
        return name  # refused with its row where names are checked


def numbered_names(numbers: Sequence[str], context: Context, where: str) -> list[str]:
    """Name the tomograms that a file numbers."""
    values = parse_numbers(numbers)
    wrong = ~np.isfinite(values) | (values != np.round(values)) | (abs(values) > 1e9)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise FormatError(
            f"{where}: the number of the tomogram is {numbers[row]!r} in row {row + 1}; it must be "
            "a whole number."
        )
    keys = [str(int(value)) for value in values]
    index = context.tomogram_index
    if index is not None:
        unknown = sorted(key for key in set(keys) if key not in index)
        if unknown:
            raise InputError(
                f"{where}: tomogram number {unknown[0]} is not in --tomogram-index, which has "
                f"{', '.join(list(index)[:10])}."
            )
        return context.names([index[key] for key in keys], len(keys), where)
    different = list(dict.fromkeys(keys))
    if len(different) > 1:
        raise InputError(
            f"{where}: numbers its tomograms ({', '.join(different[:5])}); say which they are with "
            "--tomogram-index FILE, a line 'number path' each (Dynamo's .doc, STOPGAP's tomolist), "
            "or a .vll list."
        )
    return context.names(None, len(keys), where, "this format, which numbers its tomograms,")
