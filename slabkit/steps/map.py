"""2D picks on slabs to 3D picks: z is found, and hits of overlapping slabs are merged."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from slabkit.errors import InputError, SlabkitError, warn
from slabkit.execution.frame import Frame, Work, parameters
from slabkit.steps.shared.masks import find_masks, open_mask
from slabkit.steps.shared.names import say_flipped
from slabkit.tomogram import Reading, Tomogram, TomogramRef
from slabkit.units import Contrast

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.formats.source import Source
    from slabkit.formats.tomograms.masks import MaskFiles
    from slabkit.mapping import MapCounts

_COLUMNS = {
    "hits": "2D hits",
    "outside": "outside",
    "stacked": "stacked",
    "merged": "merged",
    "other_species": "other species",
    "picks": "picks",
    "at_border": "at border",
    "flat": "flat",
    "near_face": "near face",
}


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit map``; see also `slabkit.map_picks`."""

    picks2d: tuple[str, ...]
    slabs: str
    out: str
    min_distance: float | None = None
    refine_z: bool = True
    single: bool = False
    all_species: bool = False
    margin: float | None = None
    diameter: float | None = None
    y_axis: Literal["up", "down"] | None = None
    mask: tuple[str, ...] = ()
    contrast: Contrast | None = None
    voxel_size: float | None = None
    fill_nonfinite: Literal["median"] | None = None
    allow_missing_chunks: bool | None = None


def run(options: Options, frame: Frame) -> None:
    """Map the picks tomogram by tomogram and write one pick list."""
    from slabkit.formats.picks2d import load_picks2d, referenced_files
    from slabkit.formats.tables.native import read_slabs
    from slabkit.formats.tables.paths import with_paths_from_here
    from slabkit.formats.tomograms.listing import slab_tomograms
    from slabkit.formats.tomograms.names import files_read

    sources = load_picks2d(options.picks2d)
    slabs = with_paths_from_here(read_slabs(options.slabs), options.slabs)
    reading = Reading(
        voxel_size=options.voxel_size,
        allow_missing_chunks=bool(options.allow_missing_chunks),
        fill_nonfinite=options.fill_nonfinite,
    )
    volumes = slab_tomograms(slabs, reading=reading)
    masks = find_masks(options.mask, volumes)
    with frame.work(
        "map",
        options.out,
        inputs=[
            *options.picks2d,
            *referenced_files(sources),
            options.slabs,
            *(file for ref in volumes.values() if not ref.problem for file in files_read(ref)),
            *(masks.paths if masks else []),
        ],
        parameters=parameters(options, "picks2d", "slabs", "out", "mask"),
        text_inputs={source.where: source.text for source in sources if source.where == "-"},
    ) as work:
        if not work.finished:
            hits = _read(sources, slabs, options)
            _map(work, hits, slabs, volumes, masks, options)


def _read(sources: list[Source], slabs: pd.DataFrame, options: Options) -> dict[str, pd.DataFrame]:
    """Read all 2D picks and sort them by tomogram; refuses micrographs that are not known."""
    from slabkit.formats.picks2d import read_picks2d_any

    hits = read_picks2d_any(sources, slabs, y_axis=options.y_axis)
    tomograms = dict(zip(slabs["rlnMicrographName"], slabs["rlnTomoName"], strict=True))
    tomogram = hits["rlnMicrographName"].map(tomograms)
    return {
        str(name): hits.iloc[rows].reset_index(drop=True)
        for name, rows in tomogram.groupby(tomogram).indices.items()
    }


def _map(
    work: Work,
    hits: dict[str, pd.DataFrame],
    slabs: pd.DataFrame,
    volumes: dict[str, TomogramRef],
    masks: MaskFiles | None,
    options: Options,
) -> None:
    import pandas as pd

    from slabkit.formats.tables.native import PickList, write_picks
    from slabkit.mapping import MapCounts, map_picks, tomogram_table
    from slabkit.tables import PICKS, empty_table

    tables: list[pd.DataFrame] = []
    names = [name for name in volumes if name in hits]
    counts = {name: MapCounts() for name in volumes if name not in hits}
    outside: dict[str, int] = {}
    say_flipped(work, volumes.values())

    def of_one(name: str) -> tuple[pd.DataFrame, dict[str, int]]:
        own = slabs[slabs["rlnTomoName"] == name].reset_index(drop=True)
        tomogram = volumes[name].open()
        found, counted = map_picks(
            hits[name],
            own,
            tomogram,
            min_distance=options.min_distance,
            refine_z=options.refine_z,
            single=options.single,
            all_species=options.all_species,
            margin=options.margin,
            contrast=options.contrast,
            diameter=options.diameter,
            jobs=work.frame.workers,
            where=name,
        )
        others = 0
        if masks is not None:
            found, others = _inside(found, tomogram, masks)
        return found, asdict(counted) | {"outside_mask": others}

    for name in work.track(names, total=len(names), what="map"):
        try:
            found, counted = work.part(name, functools.partial(of_one, name))
        except SlabkitError as error:
            work.fail(name, error)
            continue
        outside[name] = counted.pop("outside_mask")
        counts[name] = MapCounts(**counted)  # not of a tomogram whose mask fails
        tables.append(found)
    work.raise_if_all_failed(len(names))
    picks = pd.concat(tables, ignore_index=True) if tables else empty_table(PICKS)
    if not len(picks):
        warn("there are no picks; the table is empty.")
    done = slabs[~slabs["rlnTomoName"].isin(list(work.failures))]
    write_picks(options.out, PickList(picks, tomogram_table(done, options.contrast)))
    empty = [name for name in volumes if name not in hits]
    if empty and len(picks):
        warn(f"no hit on any slab of {', '.join(empty)}; is the contrast right (--contrast)?")
    _report(work, {name: counts[name] for name in volumes if name in counts}, outside, masks)
    if masks is not None:
        work.summary.update(picks=len(picks), outside_mask=sum(outside.values()))


def _report(
    work: Work, counts: dict[str, MapCounts], outside: dict[str, int], masks: MaskFiles | None
) -> None:
    by_name = {name: asdict(one) for name, one in counts.items()}
    totals = {key: sum(one[key] for one in by_name.values()) for key in _COLUMNS}
    shown = [key for key in _COLUMNS if key != "other_species" or totals[key]]
    columns = ["tomogram", *(_COLUMNS[key] for key in shown)]
    rows = [[name, *(one[key] for key in shown)] for name, one in by_name.items()]
    if masks is not None:
        columns.append("outside mask")
        for row in rows:
            row.append(outside.get(str(row[0]), 0))
    if len(rows) > 1:
        rows.append(["all", *(sum(int(row[i]) for row in rows) for i in range(1, len(columns)))])
    work.table("", columns, rows)
    del totals["near_face"]
    work.summary.update(tomograms=len(counts), **totals)


def _inside(picks: pd.DataFrame, tomogram: Tomogram, masks: MaskFiles) -> tuple[pd.DataFrame, int]:
    """Give the picks inside the tomogram's mask, and how many are not."""
    from slabkit.picking.masking import picks_inside

    given = masks.of_tomogram.get(tomogram.name)
    if given is None:
        raise InputError(f"{tomogram.name}: has no mask; give one with --mask.")
    mask = open_mask(given, tomogram.name, tomogram.shape, tomogram.voxel_size)
    inside = picks_inside(picks, mask)
    return picks[inside].reset_index(drop=True), int((~inside).sum())
