"""Which minislab each row of a result means: by id, image, tile or place, never by row order."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from slabkit.arrays.tiling import GalleryLayout
from slabkit.errors import InputError, warn
from slabkit.names import plain_stem
from slabkit.tables import rows_named

if TYPE_CHECKING:
    import pandas as pd

YAxis = Literal["up", "down"]
Integers: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]

UNMATCHED, FILLER, OFF_CENTRE = -1, -2, -3
"""Instead of a minislab's row: nothing there, an empty tile, too far from any tile."""

# Galleries as slabkit names them; before the number comes the set, in old ones nothing.
_OURS = re.compile(r"(minislabs(?:_[0-9a-f]{6})?)_\d{3,}")


@dataclass(frozen=True)
class Join:
    """Where each row of a result belongs."""

    # shape (rows,): row (from 0) of the minislab table, or `UNMATCHED`, `FILLER` or `OFF_CENTRE`
    tile: Integers
    # What decided: ``pick id``, ``image name``, ``row and column``, ``nearest tile`` or, of a
    # result without rows, ``nothing``
    by: str
    y_axis: YAxis | None = None  # how y was read, where coordinates decided


def join_results(
    results: pd.DataFrame,
    minislabs: pd.DataFrame,
    layout: GalleryLayout,
    *,
    y_axis: YAxis | None = None,
    tolerance: float = 0.3,
) -> Join:
    """Find the minislab of each row.

    The first of these that both tables have, and that finds anything, is used for all rows: the
    pick id, the image name (with its number, from 1), the gallery with the tile's row and column,
    the gallery with the nearest tile centre.

    Parameters
    ----------
    results : DataFrame
        See `slabkit.labels.label_minislabs`.
    minislabs : DataFrame
        Columns of `slabkit.tables.MINISLABS`.
    layout : GalleryLayout
        How tiles lie in the galleries.
    y_axis : {"down", "up"}, optional
        Whether y counts from the first row of the file downwards or from the last one upwards.
        None: downwards. More hits on empty tiles than the other direction has refute it; of rows
        with scores, more by two standard deviations.
    tolerance : float, optional
        How far from a tile's centre a place may be, in tile sides.

    Raises
    ------
    InputError
        The result is of another set of galleries; no row fits; an image number 0; a tile outside
        the grid; names in the minislab table that are not unique; empty tiles that say the y axis
        is the other way round, or rows and columns exchanged.
    """
    _check_gallery_set(results, minislabs)
    if not len(results):
        return Join(np.empty(0, dtype=np.int64), "nothing")
    columns = set(results.columns)
    if "rlnImageName" in columns:
        _check_image_numbers(results["rlnImageName"].tolist())
    for name in ("slabkitPickId", "rlnParticleName"):
        if name not in columns:
            continue
        tile = _by_id(results, minislabs, name)
        if (tile >= 0).any():
            return Join(tile, "pick id")
        # Our own ids, none of them known: these are other minislabs, whatever the names may match.
        # A particle name may be another program's, so it proves nothing.
        if name == "slabkitPickId" and (results[name] != "").any():
            raise InputError(_nothing_fits(results, minislabs))
    _check_names_of_sets(results, minislabs)
    if "rlnImageName" in columns:
        tile = _by_image(results, minislabs)
        if (tile >= 0).any():
            return Join(tile, "image name")
    if {"rlnMicrographName", "slabkitTileRow", "slabkitTileColumn"} <= columns:
        tile = _by_tile(results, minislabs, layout)
        if (tile != UNMATCHED).any():
            return Join(tile, "row and column")
    if {"rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY"} <= columns:
        tile, axis = _by_place(results, minislabs, layout, y_axis, tolerance)
        if (tile != UNMATCHED).any():
            return Join(tile, "nearest tile", axis)
    raise InputError(_nothing_fits(results, minislabs))


def _check_gallery_set(results: pd.DataFrame, minislabs: pd.DataFrame) -> None:
    if "slabkitGallerySet" not in results.columns:
        return
    ours = set(minislabs["slabkitGallerySet"]) - {""}
    theirs = set(results["slabkitGallerySet"]) - {""}
    foreign = sorted(theirs - ours)
    if ours and foreign:
        raise InputError(
            f"the result is of gallery set {', '.join(foreign[:3])}, the minislab table of "
            f"{', '.join(sorted(ours)[:3])}: it was made from other galleries; give --minislabs "
            "the table it was made from."
        )


def _check_names_of_sets(results: pd.DataFrame, minislabs: pd.DataFrame) -> None:
    """Refuse names of galleries and stacks that say that they are of another set."""
    known = map(plain_stem, minislabs["rlnMicrographName"].unique())
    sets = {match[1] for match in map(_OURS.fullmatch, known) if match}
    for column in ("rlnImageName", "rlnMicrographName"):
        if not sets or column not in results.columns:
            continue
        files = results[column].str.rpartition("@")[2]
        named = {file: _OURS.fullmatch(plain_stem(file)) for file in files.unique()}
        others = {file for file, match in named.items() if match and match[1] not in sets}
        foreign = files.isin(others).to_numpy()
        if foreign.any():
            row = int(np.flatnonzero(foreign)[0])
            raise InputError(
                f"{place_of(results, row)}: {results[column].iloc[row]} is of another set of "
                f"galleries than the minislab table, which has {sorted(sets)[0]}_... "
                f"({int(foreign.sum())} of {len(results)} rows); give --minislabs the table of the "
                "galleries that were labelled."
            )


def _by_id(results: pd.DataFrame, minislabs: pd.DataFrame, name: str) -> Integers:
    ids, known = results[name], minislabs[name]
    if known.is_unique:
        return _positions(known, ids)
    # Several views a pick: the tilt or the image tells them apart; if neither is there, they are
    # interchangeable, and rows take them in turn.
    if "slabkitTilt" in results.columns:
        tilts = (table["slabkitTilt"].round(3) + 0.0 for table in (minislabs, results))
        keys = [list(zip(i, t, strict=True)) for i, t in zip((known, ids), tilts, strict=True)]
        return _positions(keys[0], keys[1])
    if "rlnImageName" in results.columns:
        tile = _by_image(results, minislabs)
        same = known.to_numpy()[tile] == ids.to_numpy()
        if (tile >= 0).all() and same.all():
            return tile
    turn = ids.groupby(ids).cumcount()
    views = known.groupby(known).cumcount()
    last = ids.map(known.value_counts()).fillna(1).astype(np.int64) - 1
    return _positions(
        list(zip(known, views, strict=True)), list(zip(ids, np.minimum(turn, last), strict=True))
    )


def _by_image(results: pd.DataFrame, minislabs: pd.DataFrame) -> Integers:
    written = minislabs["rlnImageName"].to_numpy()
    rows = np.flatnonzero(written != "")
    tile = _positions(
        [_canonical_image(name) for name in written[rows]],
        [_canonical_image(name) for name in results["rlnImageName"]],
    )
    return np.where(tile >= 0, rows[tile] if len(rows) else UNMATCHED, UNMATCHED)


def _by_tile(results: pd.DataFrame, minislabs: pd.DataFrame, layout: GalleryLayout) -> Integers:
    row = results["slabkitTileRow"].to_numpy()
    column = results["slabkitTileColumn"].to_numpy()
    outside = (row < 0) | (row >= layout.rows) | (column < 0) | (column >= layout.columns)
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        raise InputError(
            f"{place_of(results, first)}: there is no tile in row {row[first]}, column "
            f"{column[first]}; rows count from 0 to {layout.rows - 1} and columns from 0 to "
            f"{layout.columns - 1} ({int(outside.sum())} such rows)."
        )
    gallery = _galleries(results, minislabs)
    found = _tiles_at(gallery, row, column, minislabs, layout)
    decided = np.ones(len(results), dtype=bool)
    if "slabkitDecision" in results.columns:
        decided = (results["slabkitDecision"] != "undecided").to_numpy()
    last_row, last_column = layout.rows - 1, layout.columns - 1
    readings = {
        "rows and columns are exchanged": (column, row),
        "rows count from the last one": (last_row - row, column),
        "columns count from the last one": (row, last_column - column),
        "rows and columns count from the last ones": (last_row - row, last_column - column),
        "rows and columns count from 1": (row - 1, column - 1),
    }
    here = int((found[decided] == FILLER).sum())
    if here:
        counts = {}
        for text, (r, c) in readings.items():
            other = _tiles_at(gallery, r, c, minislabs, layout)
            counts[text] = int((other[decided] == FILLER).sum())  # so are places outside
        best = min(counts, key=lambda text: counts[text])
        if counts[best] < here:
            raise InputError(
                f"{here} of {int(decided.sum())} rows are on empty tiles of a gallery, and "
                f"{counts[best]} if {best}; rows and columns count from 0 at the first row of the "
                "file. Correct them, or leave out the rows on empty tiles if the others are right."
            )
    return found


def _by_place(
    results: pd.DataFrame,
    minislabs: pd.DataFrame,
    layout: GalleryLayout,
    y_axis: YAxis | None,
    tolerance: float,
) -> tuple[Integers, YAxis]:
    gallery = _galleries(results, minislabs)
    x, y = (results[f"rlnCoordinate{axis}"].to_numpy(dtype=float) for axis in "XY")
    chosen: YAxis = y_axis or "down"
    left, up = layout.shape[1] - 1 - x, layout.shape[0] - 1 - y
    down, mirrored = (y, up) if chosen == "down" else (up, y)

    def tiles(across: Floats, along: Floats) -> tuple[Integers, int]:
        row, column, distance = layout.tile_of(across, along)
        found = _tiles_at(gallery, row, column, minislabs, layout)
        far = (distance > tolerance * layout.tile_px) & (gallery >= 0)
        found = np.where(far, OFF_CENTRE, found)
        # Tiles, not rows: hits all over an image are no evidence for any reading.
        hit = np.unique(layout.number(gallery, row, column)[found == FILLER])
        outside = int((np.isinf(distance) & (gallery >= 0)).sum())
        return found, len(hit) + outside

    found, here = tiles(x, down)
    there = tiles(x, mirrored)[1]
    readings = {
        "x and y are exchanged": (y, x),
        "x counts from the last column": (left, down),
        "x and y count from the last ones": (left, mirrored),
        "x and y are exchanged and both count from the last ones": (up, left),
        "x and y are exchanged and x counts from the last column": (y, left),
        "x and y are exchanged and y counts from the last row": (up, x),
    }
    counts = {text: tiles(*places)[1] for text, places in readings.items()} if here else {"": 0}
    best = min(counts, key=lambda text: counts[text])
    scored = "slabkitScore" in results.columns and bool(results["slabkitScore"].notna().any())
    if there <= counts[best] or not _refutes(here, counts[best], scored):
        _judge_y_axis(here, there, chosen, y_axis, scored)
    else:
        raise InputError(
            f"{here} tiles that the places are on are empty, and {counts[best]} if {best} (places "
            "beside all tiles count too); x counts the pixels along a row of the image, y the "
            "rows. Correct them, or leave out the places on empty tiles if the others are right."
        )
    return found, chosen


def _judge_y_axis(
    here: int, mirrored: int, chosen: YAxis, given: YAxis | None, noisy: bool
) -> None:
    other = "up" if chosen == "down" else "down"
    text = (
        f"{here} places lie on empty tiles if y counts {chosen}wards from the "
        f"{'first' if chosen == 'down' else 'last'} row, {mirrored} if it counts {other}wards"
    )
    if _refutes(here, mirrored, noisy):
        against = "" if given is None else f", which contradicts --y-axis {chosen}"
        raise InputError(f"{text}{against}; give --y-axis {other}.")
    if given is None and here >= mirrored:
        evidence = "no empty tile of a gallery tells which way y counts"
        if here > mirrored:
            evidence = f"{text}, too few to tell"
        warn(
            f"{evidence}; it was taken to count downwards from the first row of the file (--y-axis "
            "down says so, --y-axis up the contrary)."
        )


def _refutes(here: int, there: int, noisy: bool) -> bool:
    """Tell whether hits on empty tiles speak for another reading.

    Of a detector's hits it takes two standard deviations of their counts.
    """
    return here > there and (not noisy or (here - there) ** 2 >= 4 * (here + there))


def _tiles_at(
    gallery: Integers,
    row: Integers,
    column: Integers,
    minislabs: pd.DataFrame,
    layout: GalleryLayout,
) -> Integers:
    """Rows of the minislab table at tiles of galleries; `FILLER` where the tile is empty."""
    codes, _ = minislabs["rlnMicrographName"].factorize()
    filled = layout.number(codes, minislabs["slabkitTileRow"], minislabs["slabkitTileColumn"])
    tile = _positions(filled, layout.number(gallery, row, column))
    return np.where(gallery < 0, UNMATCHED, np.where(tile < 0, FILLER, tile))


def _galleries(results: pd.DataFrame, minislabs: pd.DataFrame) -> Integers:
    """Find the number of each row's gallery in the minislab table; -1 for a foreign one."""
    names = [plain_stem(name) for name in minislabs["rlnMicrographName"].unique()]
    by_number: dict[str, int] = {}
    for code, name in enumerate(names):
        if names.index(name) != code:
            raise InputError(f"minislab table: two galleries are called {name}.")
        number = re.search(r"\d+$", name)
        if number:
            by_number[str(int(number[0]))] = code
    codes = {name: code for code, name in enumerate(names)}

    tied = "slabkitGallerySet" in results.columns  # and found to be of this set

    def code_of(name: str) -> int:
        stem = plain_stem(name)
        if stem not in codes and re.fullmatch(r"\d{1,9}", stem):
            code = by_number.get(str(int(stem)), -1)
            ours = None if tied or code < 0 else _OURS.fullmatch(names[code])
            if ours and ours[1] != "minislabs":  # old sets have no name
                raise InputError(
                    f"result: gallery {name!r} is a number, which every set of galleries has; give "
                    "the name of the image file that was labelled, minislabs_SET_"
                    f"{int(stem):03d}.png or .mrc, or a column gallery_set."
                )
            return code
        return codes.get(stem, -1)

    written = results["rlnMicrographName"]
    mapped = {name: code_of(name) for name in written.unique()}
    return np.asarray(written.map(mapped), dtype=np.int64)


def _check_image_numbers(names: Sequence[str]) -> None:
    wrong = np.array([bool(re.match(r"0+@", name)) for name in names])
    if wrong.any():
        name = names[int(np.flatnonzero(wrong)[0])]
        raise InputError(
            f"result: rlnImageName is {name!r} in {rows_named(wrong)}; images of a stack count "
            "from 1, so it cannot be told which one is meant."
        )


def _canonical_image(name: str) -> str:
    number, at, path = name.partition("@")
    if not at or not number.isdecimal():
        return posixpath.normpath(name)
    return f"{int(number)}@{posixpath.normpath(path)}"


def _positions(known: Any, wanted: Any) -> Integers:
    import pandas as pd

    index = pd.Index(known)
    if not index.is_unique:
        value = index[index.duplicated()][0]
        raise InputError(f"minislab table: {value!r} appears twice, so rows cannot be told apart.")
    return np.asarray(index.get_indexer(pd.Index(wanted)), dtype=np.int64)


def place_of(results: pd.DataFrame, row: int) -> str:
    """Name a row of a result for messages."""
    if {"source", "line"} <= set(results.columns):
        return f"{results['source'].iloc[row]}, row {results['line'].iloc[row]}"
    return f"result, row {row + 1}"


def _nothing_fits(results: pd.DataFrame, minislabs: pd.DataFrame) -> str:
    keys = ("slabkitPickId", "rlnParticleName", "rlnImageName", "rlnMicrographName")
    pairs = [
        f"{key} {results[key].iloc[0]!r} (the minislabs have {minislabs[key].iloc[0]!r})"
        if len(minislabs)
        else f"{key} {results[key].iloc[0]!r} (there are no minislabs)"
        for key in keys
        if key in results.columns
    ]
    return (
        f"none of the {len(results)} rows of the result belongs to a minislab; for instance "
        f"{place_of(results, 0)} has {', '.join(pairs)}; is it the table that the galleries were "
        "written with?"
    )
