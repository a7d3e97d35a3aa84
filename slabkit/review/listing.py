"""What is under review: the minislabs as columns, ready for a page, and the images behind them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError, warn
from slabkit.units import protein_sign

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.arrays.tiling import GalleryLayout
    from slabkit.formats.tables.native import PickList
    from slabkit.formats.volumes.mrc import ImageStack
    from slabkit.labels.deciding import ScoreFamily
    from slabkit.tomogram import TomogramRef

_SPAN = 5.0  # standard deviations from the mean that 0 and 255 stand for
_OPEN = 64  # galleries kept open

_NOWHERE = np.zeros((0, 3), dtype=np.int32)

Bytes = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.int64]


@dataclass
class Listing:
    """The picks under review, by row; each is shown by its least tilted minislab."""

    ids: npt.NDArray[np.object_]
    columns: dict[str, npt.NDArray[Any]]  # tomogram, class (codes), score, probability
    tomograms: list[str]
    classes: list[str]  # their numbers as text, "" for none
    layout: GalleryLayout
    pixel_size: float  # Å
    box: float  # Å
    depth: float  # Å
    set_id: str
    picks: PickList | None = None
    pick_rows: Rows | None = None  # row in ``picks`` of each row here, -1 for none
    refs: Mapping[str, TomogramRef] = field(default_factory=dict)
    averages: ImageStack | None = None
    class_quality: Mapping[str, float] = field(default_factory=dict)
    class_species: Mapping[str, str] = field(default_factory=dict)  # of named classes
    scored: str = ""  # the kind of the scores
    score_family: ScoreFamily | None = None
    z_confidence: npt.NDArray[np.float64] | None = None
    galleries: list[str] = field(default_factory=list)
    # Gallery, row and column of each tile
    _place: npt.NDArray[np.int32] = field(repr=False, default_factory=lambda: _NOWHERE)
    sign: float = 1.0

    def __post_init__(self) -> None:
        self._open = functools.lru_cache(_OPEN)(_open_gallery)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def side(self) -> int:
        """Pixels of a tile's side."""
        return self.layout.tile_px

    def about(self) -> dict[str, Any]:
        """Give what a page is told besides the columns."""
        return {
            "count": len(self),
            "side": self.side,
            "pixel": self.pixel_size,
            "box": self.box,
            "depth": self.depth,
            "set": self.set_id,
            "tomograms": self.tomograms,
            "classes": [
                {
                    "name": name,
                    "quality": self.class_quality.get(name),
                    "species": self.class_species.get(name, ""),
                }
                for name in self.classes
            ],
            "scored": self.scored,
            "volumes": bool(self.refs),
        }

    def tiles(self, rows: Rows) -> Bytes:
        """Read tiles, protein bright, one byte a pixel, shape (n, side, side)."""
        side, border = self.side, self.layout.border_px
        images = np.zeros((len(rows), side, side), dtype=np.float32)
        gallery, row, column = self._place[rows].T
        for number in np.unique(gallery).tolist():
            source = self._open(self.galleries[number]).source
            for place in np.flatnonzero(gallery == number).tolist():
                top, left = border + row[place] * side, border + column[place] * side
                images[place] = source[0:1, top : top + side, left : left + side][0]
        return as_bytes(self.sign * images)

    def average(self, name: str) -> Bytes | None:
        """Read the average of a class as `tiles` does; None where there is none."""
        if self.averages is None or not name.isdecimal():
            return None
        number = int(name) - 1
        if not 0 <= number < len(self.averages):
            return None
        image: Bytes = as_bytes(np.asarray(self.averages[number], dtype=np.float32)[None])[0]
        return image

    def pick_row(self, row: int) -> dict[str, Any]:
        """Give a pick's row of the pick list, as plain values; empty where there is none."""
        if self.picks is None or self.pick_rows is None or self.pick_rows[row] < 0:
            return {}
        return plain(self.picks.picks.iloc[int(self.pick_rows[row])])

    def tomogram_row(self, name: str) -> dict[str, Any]:
        """Give a tomogram's row of the pick list, as plain values."""
        if self.picks is None:
            return {}
        table = self.picks.tomograms
        return plain(table.iloc[int(np.flatnonzero(table["slabkitTomogram"] == name)[0])])


def plain(row: pd.Series) -> dict[str, Any]:
    """Give a row of a table as JSON can hold it; what is not known is left out."""
    values = {str(name): getattr(value, "item", lambda v=value: v)() for name, value in row.items()}
    return {name: value for name, value in values.items() if value == value}


def as_bytes(images: npt.NDArray[np.float32]) -> Bytes:
    """Scale images (n, y, x) each by its own mean and deviation to one byte a pixel."""
    images = np.nan_to_num(images, posinf=0, neginf=0)
    mean = images.mean(axis=(1, 2), keepdims=True)
    spread = images.std(axis=(1, 2), keepdims=True)
    scaled = (images - mean) * (127.5 / _SPAN) / np.where(spread > 0, spread, 1) + 127.5
    return np.asarray(np.clip(np.rint(scaled), 0, 255), dtype=np.uint8)


def _open_gallery(path: str) -> ImageStack:
    from slabkit.formats.volumes.mrc import open_stack

    return open_stack(path)


def read_listing(minislabs: str, classified: str | None) -> Listing:
    """Read what is to be reviewed; images are opened when they are asked for.

    Raises `InputError`: a table cannot be read, galleries are missing, or tables do not belong
    together.
    """
    from slabkit.formats.tables.native import read_minislabs
    from slabkit.formats.tables.paths import resolve_path
    from slabkit.minislabs.galleries import layout_of

    table, geometry = read_minislabs(minislabs)
    if not len(table):
        raise InputError(f"{minislabs}: has no minislabs, so there is nothing to review.")
    layout = layout_of(geometry, minislabs)
    classes: list[str] = [""]
    class_codes = np.zeros(len(table), dtype=np.uint16)
    averages: ImageStack | None = None
    quality: dict[str, float] = {}
    named: dict[str, str] = {}
    if classified is not None:
        class_codes, classes = _classes(table, layout, classified)
        averages, quality, named = _averages(classified)
        if quality and set(classes) - {"", "0"} - set(quality):
            warn(f"{classified}: classes.star is of another classification; it is not used.")
            averages, quality, named = None, {}, {}
    if table["slabkitPickId"].is_unique:
        chosen = np.arange(len(table))
    else:
        tilt = table["slabkitTilt"].abs().to_numpy()
        order = np.argsort(tilt, kind="stable")
        first = ~table["slabkitPickId"].iloc[order].duplicated().to_numpy()
        chosen = np.sort(order[first])
    gallery, names = table["rlnMicrographName"].factorize()
    places = [gallery, table["slabkitTileRow"], table["slabkitTileColumn"]]
    place = np.stack([np.asarray(one, dtype=np.int32)[chosen] for one in places], axis=1)
    if (place[:, 1:] < 0).any() or (place[:, 1:] >= (layout.rows, layout.columns)).any():
        raise InputError(f"{minislabs}: has tiles outside its galleries; is it damaged?")
    galleries = [str(resolve_path(str(name), minislabs)) for name in names]
    tomogram, tomograms = table["slabkitTomogram"].factorize()
    row = geometry.iloc[0]
    listing = Listing(
        ids=table["slabkitPickId"].to_numpy(dtype=object)[chosen],
        columns={
            "tomogram": tomogram[chosen].astype(np.uint32),
            "class": class_codes[chosen],
            "score": np.full(len(chosen), np.nan, dtype=np.float32),
            "probability": np.full(len(chosen), np.nan, dtype=np.float32),
        },
        tomograms=[str(name) for name in tomograms],
        classes=classes,
        layout=layout,
        pixel_size=float(row["slabkitPixelSize"]),
        box=float(row["slabkitBox"]),
        depth=float(row["slabkitDepth"]),
        set_id=str(table["slabkitGallerySet"].iloc[0]),
        averages=averages,
        class_quality=quality,
        class_species=named,
        galleries=galleries,
        _place=place,
        sign=float(protein_sign("bright" if row["slabkitContrast"] == "bright" else "dark")),
    )
    _check_gallery(listing, minislabs)
    return listing


def _check_gallery(listing: Listing, where: str) -> None:
    first = listing._open(listing.galleries[0])
    if first.image_shape != listing.layout.shape:
        raise InputError(f"{first.path}: is not as large as the galleries of {where} are.")


def _classes(
    table: pd.DataFrame, layout: GalleryLayout, classified: str
) -> tuple[npt.NDArray[np.uint16], list[str]]:
    from slabkit.formats.results import read_results
    from slabkit.labels import join_results

    found = read_results([classified], table, layout).table
    if "slabkitClass" not in found.columns:
        raise InputError(f"{classified}: has no classes (rlnClassNumber).")
    tile = join_results(found, table, layout).tile
    there = found["slabkitClass"].to_numpy(dtype=object)
    names = sorted({str(name) for name in there} - {""}, key=_by_number)
    number = {name: code for code, name in enumerate(["", *names])}
    codes = np.zeros(len(table), dtype=np.uint16)
    matched = tile >= 0
    if not matched.any():
        raise InputError(f"{classified}: none of its rows is one of the minislabs.")
    codes[tile[matched]] = [number[str(name)] for name in there[matched]]
    return codes, ["", *names]


def _by_number(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdecimal() else (10**9, name)


def _averages(classified: str) -> tuple[ImageStack | None, dict[str, float], dict[str, str]]:
    """Open the averages beside a classification of slabkit; read their quality and names."""
    from pathlib import Path

    from slabkit.formats.tables.classification import read_class_table, read_classes
    from slabkit.formats.volumes.mrc import open_stack

    stack, table = (Path(classified).with_name(f"classes{end}") for end in (".mrcs", ".star"))
    averages = open_stack(stack) if stack.is_file() else None
    if not table.is_file():
        return averages, {}, {}
    classes = read_class_table(table)
    named: dict[str, str] = {}
    if "slabkitSpecies" in classes.columns:
        said = zip(classes["rlnClassNumber"], classes["slabkitSpecies"], strict=True)
        named = {number: species for number, species in said if species not in ("", "none")}
    return averages, read_classes(table), named


def join_picks(listing: Listing, source: str) -> None:
    """Read the pick list: scores, places, tomograms. Raises `InputError`: it is another one."""
    import pandas as pd

    from slabkit.formats.tables.paths import with_paths_from_here
    from slabkit.formats.tomograms.listing import pick_tomograms
    from slabkit.labels import score_family
    from slabkit.steps.shared.pick_lists import read_plainly

    picks = read_plainly(source, check_bounds=False)
    with_paths_from_here(picks.tomograms, source)
    known = picks.picks["slabkitPickId"].to_numpy(dtype=object)
    if len(known) == len(listing) and (known == listing.ids).all():  # as they come from minislab
        rows = np.arange(len(known))
    else:
        rows = pd.Index(known).get_indexer(pd.Index(listing.ids))
    missing = int((rows < 0).sum())
    if missing:
        raise InputError(
            f"{source}: {missing} of {len(listing)} minislabs are of picks that it does not have; "
            "give the list that the minislabs were made of."
        )
    listing.picks, listing.pick_rows = picks, rows.astype(np.int64)
    score = picks.picks["slabkitScore"].to_numpy(dtype=np.float32)
    listing.columns["score"] = score[rows]
    every = picks.picks["slabkitScoreKind"].unique()
    if np.isfinite(listing.columns["score"]).any():
        listing.score_family = score_family(every)
        listing.z_confidence = picks.picks["slabkitZConfidence"].to_numpy(dtype=np.float64)[rows]
    kinds: Sequence[str] = sorted(set(every) - {""})
    listing.scored = kinds[0] if len(kinds) == 1 else "several kinds" if kinds else ""
    listing.refs = pick_tomograms(picks, source)
