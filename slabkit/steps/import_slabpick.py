"""A project of slabpick taken over: its slabs, picks and minislabs as slabkit's tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slabkit.errors import InputError
from slabkit.execution.frame import Frame, Work, parameters
from slabkit.units import Contrast

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.formats.programs.slabpick.project import ParticleMap


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit import slabpick``."""

    out: str
    slab_map: str | None = None
    particle_map: str | None = None
    picks: tuple[str, ...] = ()
    format: str | None = None  # of ``picks``, and ``tomograms`` are theirs
    tomograms: tuple[str, ...] = ()
    tiles: tuple[int, int] | None = None
    voxel_size: float | None = None
    contrast: Contrast | None = None


def run(options: Options, frame: Frame) -> None:
    """Write ``slabs.star``, or ``picks.star`` and ``minislabs.star``, or all three."""
    if options.out == "-":
        raise InputError("-o takes a folder here.")
    if options.slab_map is None and options.particle_map is None:
        raise InputError("give --slab-map, or --particle-map with --picks, or all three.")
    if (options.particle_map is None) != (not options.picks):
        raise InputError(
            "--particle-map and --picks belong together: the map numbers the picks, and does not "
            "say where they are."
        )
    folder = Path(options.out)
    names = ["slabs.star"] * (options.slab_map is not None)
    names += ["picks.star", "minislabs.star"] * (options.particle_map is not None)
    main, *others = (folder / name for name in reversed(names))
    given = (options.slab_map, options.particle_map, *options.picks)
    recorded = parameters(options, "out", "slab_map", "particle_map", "picks", "format")
    with frame.work(
        "import slabpick",
        main,
        inputs=[path for path in given if path is not None and Path(path).is_file()],
        parameters=recorded | {"from": options.format},
    ) as work:
        if not work.finished:
            _import(work, folder, others, options)


def _import(work: Work, folder: Path, others: list[Path], options: Options) -> None:
    """Make every table before any is written."""
    from slabkit.formats.picks.context import PickReading
    from slabkit.formats.picks.reading import read_pick_list
    from slabkit.formats.picks.writing import write_picks
    from slabkit.formats.programs.slabpick.project import read_particle_map, read_slab_map
    from slabkit.formats.tables.native import write_minislabs, write_slabs

    slabs: pd.DataFrame | None = None
    if options.slab_map is not None:
        slabs = read_slab_map(
            options.slab_map, voxel_size=options.voxel_size, contrast=options.contrast or "dark"
        )
        work.summary.update(slabs=len(slabs), tomograms=slabs["rlnTomoName"].nunique())
    made: tuple[Any, Any] | None = None
    if options.particle_map is not None:
        picks = read_pick_list(
            options.picks,
            PickReading(options.format),
            tomograms=options.tomograms,
            voxel_size=options.voxel_size,
            keep_duplicates=True,  # the map counts them too
        )
        found = read_particle_map(
            options.particle_map, picks, tiles=options.tiles, contrast=options.contrast
        )
        made = picks, minislab_tables(found)
        work.summary.update(picks=len(picks.picks), minislabs=len(found.minislabs))
    work.check_free(others)
    if slabs is not None:
        write_slabs(folder / "slabs.star", slabs)
    if made is not None:
        write_picks(folder / "picks.star", made[0])
        write_minislabs(folder / "minislabs.star", *made[1])
    work.outputs += others


def minislab_tables(found: ParticleMap) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give the minislab table with the name of its set, and the geometry of its galleries."""
    from slabkit.minislabs.galleries import gallery_set_id, geometry_table

    table = found.minislabs
    ids, tilts = table["slabkitPickId"].tolist(), table["slabkitTilt"].to_numpy()
    set_id = gallery_set_id(found.layout, found.pixel_size, ids, tilts)
    geometry = geometry_table(
        found.layout,
        tiles=len(table),
        pixel_size=found.pixel_size,
        box=found.box,
        depth=found.depth,
        contrast=found.contrast,
        set_id=set_id,
    )
    return table.assign(slabkitGallerySet=set_id), geometry
