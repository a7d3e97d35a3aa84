"""Galleries of minislabs, their stacks, pictures and table: planned, filled and written."""

from __future__ import annotations

import functools
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from slabkit.errors import InputError, SlabkitError, warn
from slabkit.execution.files import file_state
from slabkit.execution.frame import Work
from slabkit.execution.reporting import raise_if_all_failed
from slabkit.steps.shared.names import say_flipped
from slabkit.tomogram import Reading, Tomogram, TomogramRef
from slabkit.units import Contrast

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from slabkit.formats.tables.native import PickList
    from slabkit.minislabs import FilledGallery, Minislabs
    from slabkit.minislabs.galleries import GalleryLayout


_TOLD = ("row", "tilt", "inside_fraction")  # what the table says of the minislabs of a gallery
_LARGEST = 95.0  # percentile of the diameters of a list that counts as its largest
_BOX, _DEPTH = 4 / 3, 1.0  # of the largest diameter (benchmarks/auto.py)
_NO_PICKS = 300.0  # the largest diameter of an empty list: its table has a box all the same


@dataclass(frozen=True)
class GalleryOptions:
    """What is asked of galleries, as the options of ``slabkit minislab`` say it; lengths in Å."""

    box: float | None = None  # None, and so the depth: by the diameters of the picks
    depth: float | None = None
    rows: int = 16
    columns: int = 15
    tilts: tuple[float, ...] = (0.0,)
    pixel_size: float | None = None
    border: float = 0.0
    diameter: float | None = None
    invert: bool = False
    stack: bool = False
    png: bool = False
    contrast: Contrast | None = None
    voxel_size: float | None = None
    fill_nonfinite: Literal["median"] | None = None
    half: Literal["1", "2", "sum"] | None = None
    allow_missing_chunks: bool | None = None

    @property
    def reading(self) -> Reading:
        """How the user says that the volumes are read."""
        return Reading(
            voxel_size=self.voxel_size,
            allow_missing_chunks=bool(self.allow_missing_chunks),
            fill_nonfinite=self.fill_nonfinite,
            half=self.half,
        )


@dataclass(frozen=True)
class GalleryPlan:
    """What the galleries of a set are: as asked for, and as the tomograms (their contrast) say."""

    options: GalleryOptions
    box: float
    depth: float
    layout: GalleryLayout
    pixel_size: float
    contrast: Contrast


def plan_galleries(
    picks: PickList, volumes: Mapping[str, TomogramRef], options: GalleryOptions
) -> tuple[GalleryPlan, dict[str, SlabkitError]]:
    """Open each tomogram once, to find out what is wrong before anything is written."""
    from slabkit.minislabs import outside_circle
    from slabkit.minislabs.galleries import GalleryLayout
    from slabkit.units import length_to_even_voxels, length_to_voxels, voxel_sizes_equal

    failures: dict[str, SlabkitError] = {}
    sizes: dict[str, float] = {}
    contrasts: dict[Contrast, str] = {}
    for name, volume in volumes.items():
        try:
            sizes[name] = volume.open().voxel_size
            contrasts.setdefault(volume.contrast or "dark", name)
        except SlabkitError as error:
            failures[name] = error
    raise_if_all_failed({name: str(error) for name, error in failures.items()}, len(volumes))
    if len(contrasts) > 1:
        raise InputError(
            f"protein is dark in {contrasts['dark']} and bright in {contrasts['bright']}, and "
            "galleries have one contrast; say it with --contrast, or split the pick list."
        )
    pixel_size = options.pixel_size
    if pixel_size is None:
        first = next(iter(sizes), None)
        pixel_size = _stated_voxel_size(picks) if first is None else sizes[first]
        other = next((n for n, s in sizes.items() if not voxel_sizes_equal(s, pixel_size)), None)
        if other is not None:
            raise InputError(
                f"the voxel size is {pixel_size:g} Å in {first} and {sizes[other]:g} Å in {other}, "
                "and galleries have one pixel size; give --pixel-size to resample the images, or "
                "split the pick list."
            )
    box, depth = _sizes(picks, options)
    layout = GalleryLayout(
        length_to_even_voxels(box, pixel_size),
        options.rows,
        options.columns,
        length_to_voxels(options.border, pixel_size) if options.border else 0,
    )
    _ask_whether_pixels_were_meant(options, pixel_size)
    _count_cut_off(picks, max(box, layout.tile_px * pixel_size))
    if options.diameter is not None:
        outside_circle(layout.tile_px, options.diameter / pixel_size)
    contrast = next(iter(contrasts), options.contrast or "dark")
    return GalleryPlan(options, box, depth, layout, pixel_size, contrast), failures


def _sizes(picks: PickList, options: GalleryOptions) -> tuple[float, float]:
    """Give box and depth: those asked for, else what holds the largest particles of the list."""
    import numpy as np

    if options.box is not None and options.depth is not None:
        return options.box, options.depth
    diameters = picks.picks["slabkitDiameter"].to_numpy(float)
    known = diameters[diameters > 0]  # not NaN
    if not len(known) and len(diameters):
        raise InputError("the picks have no diameter, so no box follows; give --box and --depth.")
    largest = float(np.percentile(known, _LARGEST)) if len(known) else _NO_PICKS
    return default_sizes(largest, options.box, options.depth)


def default_sizes(
    diameter: float, box: float | None = None, depth: float | None = None
) -> tuple[float, float]:
    """Give box and depth for particles up to a diameter (Å), where they are not asked for."""
    return box or round(_BOX * diameter), depth or round(_DEPTH * diameter)


def _ask_whether_pixels_were_meant(options: GalleryOptions, pixel_size: float) -> None:
    """Lengths are in Å; what makes so few pixels was probably counted in them."""
    for flag, value, fewest in (("box", options.box, 10), ("depth", options.depth, 5)):
        if value is not None and value < fewest * pixel_size:
            warn(
                f"--{flag} {value:g} is {value:g} Å, {value / pixel_size:.2g} voxels of "
                f"{pixel_size:g} Å; were {value:g} voxels meant? Those are --{flag} "
                f"{value * pixel_size:g}.",
            )


def _count_cut_off(picks: PickList, box: float) -> None:
    large = picks.picks["slabkitDiameter"][picks.picks["slabkitDiameter"] > box].astype(float)
    if len(large):
        warn(
            f"{len(large)} of {len(picks.picks)} picks, of up to {large.max():.0f} Å, are cut off "
            f"by the box of {box:.0f} Å; --box {default_sizes(large.max())[0]:.0f} shows all whole."
        )


def _stated_voxel_size(picks: PickList) -> float:
    """Give the voxel size of the list's tomograms, for a list without picks."""
    stated = picks.tomograms["slabkitVoxelSize"].to_numpy(float)
    known = stated[stated > 0].tolist()  # not NaN
    if known:
        return float(known[0])
    warn(
        "no tomogram of the pick list has a voxel size; the table of no minislabs says 1 Å "
        "(--pixel-size sets it)."
    )
    return 1.0


def write_galleries(
    work: Work,
    folder: Path,
    picks: PickList,
    volumes: Mapping[str, TomogramRef],
    plan: GalleryPlan,
) -> None:
    """Write the galleries and their table, leaving out tomograms that turn out damaged."""
    from slabkit.formats.tables.star_writing import format_star

    say_flipped(work, volumes.values())
    # Names that no table can hold are refused before images are there.
    format_star({"": picks.picks[["slabkitPickId", "slabkitTomogram"]], "f": {"f": [str(folder)]}})
    while True:
        failed = picks.picks["slabkitTomogram"].isin(list(work.failures))
        table = picks.picks[~failed].reset_index(drop=True)
        files = GalleryFiles.of_picks(folder, plan, table)
        _fill(work, files, table, volumes, plan)
        if not any(name in work.failures for name in table["slabkitTomogram"]):
            break
        # A tomogram turned out to be damaged after its first tiles were written: make the tiles
        # again without it, so that none of it is left and no tile is empty.
        files.remove()
        work.raise_if_all_failed(len(volumes))
    finish_galleries(work, files, table)


def finish_galleries(work: Work, files: GalleryFiles, table: pd.DataFrame) -> None:
    """Write the table of galleries that are written, whose minislabs count rows of ``table``."""
    from slabkit.formats.tables.native import write_minislabs

    plan = files.plan
    minislabs, geometry = files.tables(table)
    write_minislabs(files.folder / "minislabs.star", minislabs, geometry)
    work.outputs += files.written
    outside = int((minislabs["slabkitInsideFraction"] == 0).sum())
    partly = int((minislabs["slabkitInsideFraction"] < 1 - 1e-9).sum()) - outside
    if outside:
        warn(
            f"{outside} of {len(minislabs)} minislabs lie outside their tomogram altogether; their "
            "tiles are flat, slabkitInsideFraction is 0."
        )
    work.summary.update(
        picks=len(table),
        minislabs=len(minislabs),
        galleries=int(geometry["slabkitGalleryCount"].iloc[0]),
        tile_px=plan.layout.tile_px,
        pixel_size=plan.pixel_size,
        partly_outside=partly,
        outside=outside,
        gallery_set=str(geometry["slabkitGallerySet"].iloc[0]),
    )


def _fill(
    work: Work,
    files: GalleryFiles,
    table: pd.DataFrame,
    volumes: Mapping[str, TomogramRef],
    plan: GalleryPlan,
) -> None:
    from slabkit.minislabs import fill_galleries

    options = plan.options

    @functools.lru_cache(maxsize=4)
    def open_tomogram(name: str) -> Tomogram:
        return volumes[name].open()

    total = plan.layout.galleries(len(table) * len(options.tilts))
    work.check_free(files.paths(total))
    skip = files.adopt_kept(work) if total > 1 else 0
    failed = len(work.failures)
    filled = fill_galleries(
        table,
        open_tomogram,
        tiles=plan.layout.tiles,
        box=plan.box,
        depth=plan.depth,
        pixel_size=plan.pixel_size,
        tilts=options.tilts,
        on_failure=work.fail,
        jobs=work.frame.workers,
        skip=skip,
    )
    try:
        with closing(files.write_all(filled, work.frame.workers)) as written:
            for gallery in work.track(written, total=total - skip, what="minislab"):
                if total > 1 and len(work.failures) == failed:
                    files.keep(work, gallery.index, gallery.minislabs)
    except Exception:
        files.remove()  # nothing half-finished stays; after Ctrl-C the same command goes on
        if work.parts is not None:
            work.parts.remove()
        raise


def planned_tile_files(rows: pd.DataFrame, geometry: pd.DataFrame, folder: Path) -> list[Path]:
    """Name the images that `write_tiles` will write."""
    files = _files_of(rows, geometry, folder)
    return files.paths(files.plan.layout.galleries(len(rows)))


def write_tiles(
    rows: pd.DataFrame, geometry: pd.DataFrame, folder: Path, source: str
) -> list[Path]:
    """Write tiles of galleries that exist, in their order, as galleries with a table.

    ``geometry`` is of the galleries of ``rows`` (minislabs), ``source`` their table's file.
    """
    import numpy as np

    from slabkit.formats.tables.native import write_minislabs
    from slabkit.formats.tables.paths import resolve_path
    from slabkit.formats.volumes.mrc import read_image
    from slabkit.minislabs import Minislabs

    files = _files_of(rows, geometry, folder)
    layout = files.plan.layout
    side = layout.tile_px
    images = np.zeros((len(rows), side, side), dtype=np.float32)
    place = (rows["slabkitTileRow"] * layout.columns + rows["slabkitTileColumn"]).to_numpy()
    for name, numbers in rows.reset_index(drop=True).groupby("rlnMicrographName").indices.items():
        tiles = layout.disassemble(read_image(resolve_path(str(name), source))[0])
        images[numbers] = tiles[place[numbers]]
    fraction, tilt = (rows[f"slabkit{name}"].to_numpy() for name in ("InsideFraction", "Tilt"))
    for index in range(layout.galleries(len(rows))):
        part = np.arange(index * layout.tiles, min((index + 1) * layout.tiles, len(rows)))
        files.write(index, Minislabs(images[part], fraction[part], part, tilt[part]))
    picks = rows.rename(columns={f"slabkitCentre{axis}": f"slabkit{axis}" for axis in "XYZ"})
    table, described = files.tables(picks)
    write_minislabs(folder / "minislabs.star", table, described)
    return [*files.written, folder / "minislabs.star"]


def _files_of(rows: pd.DataFrame, geometry: pd.DataFrame, folder: Path) -> GalleryFiles:
    """Plan galleries of minislabs that exist, like those that they are in, with pictures."""
    from slabkit.minislabs.galleries import gallery_set_id, layout_of

    row = geometry.iloc[0]
    box, depth = float(row["slabkitBox"]), float(row["slabkitDepth"])
    options = GalleryOptions(box, depth, png=True)
    pixel_size = float(row["slabkitPixelSize"])
    layout = layout_of(geometry)
    plan = GalleryPlan(options, box, depth, layout, pixel_size, row["slabkitContrast"])
    ids, tilts = rows["slabkitPickId"].tolist(), rows["slabkitTilt"].to_numpy(dtype=float)
    return GalleryFiles(folder, plan, gallery_set_id(plan.layout, pixel_size, ids, tilts))


class GalleryFiles:
    """Writes galleries one by one (``written`` lists all files so far), their table at the end."""

    def __init__(self, folder: Path, plan: GalleryPlan, set_id: str) -> None:
        self.folder = folder
        self.plan = plan
        self.set_id = set_id
        self.written: list[Path] = []
        self._rows: list[npt.NDArray[np.int64]] = []
        self._tilts: list[npt.NDArray[np.float64]] = []
        self._fractions: list[npt.NDArray[np.float64]] = []

    @classmethod
    def of_picks(cls, folder: Path, plan: GalleryPlan, picks: pd.DataFrame) -> GalleryFiles:
        """Name the set that the views of picks, one pick after another, will make."""
        import numpy as np

        from slabkit.minislabs import check_tilts
        from slabkit.minislabs.galleries import gallery_set_id

        tilts = check_tilts(plan.options.tilts)
        ids = np.repeat(picks["slabkitPickId"].to_numpy(dtype=object), len(tilts)).tolist()
        every = np.tile(tilts, len(picks))
        return cls(folder, plan, gallery_set_id(plan.layout, plan.pixel_size, ids, every))

    def path(self, index: int, suffix: str) -> Path:
        """Name a file of gallery ``index``."""
        from slabkit.minislabs.galleries import gallery_name

        return self.folder / f"{gallery_name(self.set_id, index)}{suffix}"

    def paths(self, galleries: int, first: int = 0) -> list[Path]:
        """Name all files of a number of galleries, or of those from one on."""
        options = self.plan.options
        suffixes = [".mrc", *[".mrcs"] * options.stack, *[".png"] * options.png]
        return [
            self.path(index, suffix) for index in range(first, galleries) for suffix in suffixes
        ]

    def write(self, index: int, minislabs: Minislabs, normalised: bool = False) -> None:
        """Write a gallery, and its stack and picture where asked for; the next in order."""
        self._list(index, minislabs)
        self._write(index, minislabs, normalised)

    def write_all(
        self, galleries: Iterable[FilledGallery], jobs: int, normalised: bool = False
    ) -> Generator[FilledGallery]:
        """Write galleries in threads, in order; each is given when it is written.

        To be closed, which waits for what is being written, before anything is removed.
        """
        from slabkit.arrays.parallel import map_in_order

        def listed() -> Iterator[FilledGallery]:
            for gallery in galleries:
                self._list(gallery.index, gallery.minislabs)
                yield gallery

        def write(gallery: FilledGallery) -> FilledGallery:
            self._write(gallery.index, gallery.minislabs, normalised)
            return gallery

        return map_in_order(write, listed(), jobs)

    def _list(self, index: int, minislabs: Minislabs) -> None:
        self.written += self.paths(index + 1, index)
        self._rows.append(minislabs.row)
        self._tilts.append(minislabs.tilt)
        self._fractions.append(minislabs.inside_fraction)

    def _write(self, index: int, minislabs: Minislabs, normalised: bool) -> None:
        from slabkit.formats.volumes.mrc import write_mrc
        from slabkit.minislabs import normalise_minislabs
        from slabkit.units import protein_sign

        plan, diameter = self.plan, self.plan.options.diameter
        tiles = minislabs.images
        if not normalised:
            tiles = normalise_minislabs(
                tiles, diameter_px=None if diameter is None else diameter / plan.pixel_size
            )
        gallery = plan.layout.assemble(-tiles if plan.options.invert else tiles)
        gallery += 0.0  # no -0.0
        what = f"slabkit minislab: {len(tiles)} tiles of {plan.layout.tile_px} px"
        path = self.path(index, ".mrc")
        write_mrc(path, gallery, plan.pixel_size, label=what)
        if plan.options.stack:
            light = tiles * protein_sign(plan.contrast) + 0.0
            path = self.path(index, ".mrcs")
            write_mrc(path, light, plan.pixel_size, label=f"{what}, light on dark", stack=True)
        if plan.options.png:
            self._write_picture(self.path(index, ".png"), gallery, len(tiles))

    def _write_picture(self, path: Path, gallery: npt.NDArray[np.float32], tiles: int) -> None:
        from slabkit.formats.tables.atomic import atomic_path
        from slabkit.pictures.images import numbered_gallery, png_bytes

        layout = self.plan.layout
        picture = numbered_gallery(gallery, layout.tile_px, border_px=layout.border_px, tiles=tiles)
        with atomic_path(path, sync=False) as temporary:
            temporary.write_bytes(png_bytes(picture))

    def keep(self, work: Work, index: int, minislabs: Minislabs) -> None:
        """Keep what the table will say of a gallery that is written, should the run be killed."""
        if work.parts is not None:
            parts = {name: getattr(minislabs, name).tolist() for name in _TOLD}
            work.parts.keep(f"{self.set_id}-{index}", {"state": self._state(index)} | parts)

    def adopt_kept(self, work: Work) -> int:
        """Take over the galleries, from the first on, that a run before this has written."""
        import numpy as np

        index = 0
        while work.parts is not None and (told := work.parts.find(f"{self.set_id}-{index}")):
            state = self._state(index)
            if None in state or told["state"] != state:
                break
            self.written += self.paths(index + 1, index)
            self._rows.append(np.array(told["row"], dtype=np.int64))
            self._tilts.append(np.array(told["tilt"], dtype=float))
            self._fractions.append(np.array(told["inside_fraction"], dtype=float))
            index += 1
        return index

    def _state(self, index: int) -> list[list[int] | None]:
        """Give which files those of a gallery are, their bytes and times."""
        states = [file_state(str(path)) for path in self.paths(index + 1, index)]
        return [None if one is None else list(one) for one in states]

    def remove(self) -> None:
        """Remove what was written."""
        for path in self.written:
            path.unlink(missing_ok=True)

    def tables(self, picks: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Make the minislab table, whose minislabs count rows of ``picks``, and the geometry."""
        import numpy as np

        from slabkit.formats.tables.paths import path_for_table
        from slabkit.minislabs.galleries import geometry_table, minislab_table
        from slabkit.units import opposite_contrast

        plan, options = self.plan, self.plan.options
        row = np.concatenate([np.empty(0, dtype=np.int64), *self._rows])
        tilts = np.concatenate([np.empty(0), *self._tilts])
        ids = picks["slabkitPickId"].to_numpy(dtype=object)[row].tolist()
        galleries = range(len(self._rows))
        stacks = [path_for_table(self.path(index, ".mrcs")) for index in galleries]
        minislabs = minislab_table(
            plan.layout,
            galleries=[path_for_table(self.path(index, ".mrc")) for index in galleries],
            stacks=stacks if options.stack else None,
            pick_ids=ids,
            tomograms=picks["slabkitTomogram"].to_numpy(dtype=object)[row].tolist(),
            tilts=tilts,
            inside_fraction=np.concatenate([np.empty(0), *self._fractions]),
            set_id=self.set_id,
            centres=picks[["slabkitX", "slabkitY", "slabkitZ"]].to_numpy()[row],
        )
        geometry = geometry_table(
            plan.layout,
            tiles=len(row),
            pixel_size=plan.pixel_size,
            box=plan.box,
            depth=plan.depth,
            contrast=opposite_contrast(plan.contrast) if options.invert else plan.contrast,
            set_id=self.set_id,
        )
        return minislabs, geometry
