"""``slabkit map picks2d.star --slabs slabs/slabs.star -o picks.star``: 2D picks to 3D."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from slabkit.cli import mask_options
from slabkit.cli.options import common
from slabkit.errors import InputError, SlabkitError

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.formats.source import Source
    from slabkit.formats.volumes.masks import MaskFiles
    from slabkit.mapping import MapCounts
    from slabkit.tomogram import Tomogram


def map_(
    picks2d: Annotated[
        list[str],
        typer.Argument(
            metavar="PICKS2D...",
            help="2D picks on the slabs, any number of files: of slabkit, RELION (particles, one "
            "file a micrograph, lists of such files), CryoSPARC, Topaz, EMAN, crYOLO; - for "
            "standard input.",
            show_default=False,
        ),
    ],
    slabs: Annotated[
        str,
        typer.Option(metavar="SLABS", help="The slab table, slabs.star.", show_default=False),
    ],
    out: common.OutTable,
    min_distance: Annotated[
        float | None,
        typer.Option(
            metavar="Å",
            help="Hits closer than this in 3D are one particle; default half the larger diameter.",
            show_default=False,
        ),
    ] = None,
    refine_z: Annotated[
        bool,
        typer.Option(
            "--refine-z/--no-refine-z", help="Search for z, or take the middle of the slab."
        ),
    ] = True,
    single: Annotated[
        bool, typer.Option("--single", help="Never two particles stacked in one slab.")
    ] = False,
    all_species: Annotated[
        bool,
        typer.Option(
            "--all-species",
            help="Keep the picks of all species that templates find at a place; otherwise the best "
            "alone.",
        ),
    ] = False,
    margin: Annotated[
        float | None,
        typer.Option(
            metavar="Å",
            help="Search so far beyond the slab; default half the particle's diameter.",
            show_default=False,
        ),
    ] = None,
    diameter: Annotated[
        float | None, typer.Option(metavar="Å", help="Diameter of picks that have none.")
    ] = None,
    y_axis: Annotated[
        str | None,
        typer.Option(
            metavar="up|down",
            help="Whether y counts from the last row of the images upwards or from the first row "
            "down; default: down.",
            show_default=False,
        ),
    ] = None,
    mask: mask_options.MaskOption = None,
    contrast: common.ContrastOption = None,
    voxel_size: common.VoxelSizeOption = None,
    fill_nonfinite: common.FillNonfinite = None,
    overwrite: common.Overwrite = False,
    jobs: common.Jobs = 0,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Turn 2D picks on slabs into 3D picks: find z, and merge the hits of overlapping slabs.

    z is where a ball or shell of about the pick's diameter fits the tomogram best, within the slab
    and half a diameter beyond. Lengths are in Å.
    """
    from slabkit.formats.picks2d import load_picks2d, referenced_files
    from slabkit.formats.tables.native import read_slabs
    from slabkit.formats.tables.paths import is_there, with_paths_from_here

    if y_axis not in ("up", "down", None):
        raise InputError(f"--y-axis must be up or down, not {y_axis!r}.")
    options: dict[str, Any] = {
        "min_distance": min_distance,
        "refine_z": refine_z,
        "single": single,
        "all_species": all_species,
        "margin": margin,
        "diameter": diameter,
        "contrast": common.parse_contrast(contrast),
    }
    opening = {"voxel_size": voxel_size, "fill_nonfinite": fill_nonfinite}
    sources = load_picks2d(picks2d)
    slab_table = with_paths_from_here(read_slabs(slabs), slabs)
    first = slab_table.drop_duplicates("rlnTomoName")
    volumes = {
        name: Path(written)
        for name, written in zip(first["rlnTomoName"], first["slabkitTomogramFile"], strict=True)
    }
    masks = None
    if mask:
        from slabkit.formats.volumes.masks import find_masks

        masks = find_masks(mask, volumes)
    with common.Step(
        "map",
        out,
        inputs=[
            *picks2d,
            *referenced_files(sources),
            slabs,
            *(path for path in volumes.values() if is_there(path)),
        ],
        parameters={**options, **opening, "y_axis": y_axis},
        overwrite=overwrite,
        quiet=quiet,
        json_=json_,
        text_inputs={source.where: source.text for source in sources if source.where == "-"},
    ) as work:
        if work.finished:
            return
        hits = _read(sources, slab_table, y_axis)  # type: ignore[arg-type]
        options["jobs"] = common.worker_count(jobs)
        _run(work, out, hits, slab_table, volumes, options, opening, masks)


def _read(
    sources: list[Source], slabs: pd.DataFrame, y_axis: Literal["up", "down"] | None
) -> dict[str, pd.DataFrame]:
    """Read all 2D picks and sort them by tomogram; refuses micrographs that are not known."""
    from slabkit.formats.picks2d import read_picks2d_any

    hits = read_picks2d_any(sources, slabs, y_axis=y_axis)
    tomograms = dict(zip(slabs["rlnMicrographName"], slabs["rlnTomoName"], strict=True))
    tomogram = hits["rlnMicrographName"].map(tomograms)
    return {
        str(name): hits.iloc[rows].reset_index(drop=True)
        for name, rows in tomogram.groupby(tomogram).indices.items()
    }


def _run(
    work: common.Step,
    out: str,
    hits: dict[str, pd.DataFrame],
    slabs: pd.DataFrame,
    volumes: dict[str, Path],
    options: dict[str, Any],
    opening: dict[str, Any],
    masks: MaskFiles | None,
) -> None:
    import warnings

    import pandas as pd

    from slabkit.errors import SlabkitWarning
    from slabkit.formats.tables.native import PickList, write_picks
    from slabkit.mapping import MapCounts, map_picks, tomogram_table
    from slabkit.tables import PICKS, empty_table

    tables: list[pd.DataFrame] = []
    counts: dict[str, MapCounts] = {}
    names = [name for name in volumes if name in hits]
    outside: dict[str, int] = {}
    counts.update((name, MapCounts()) for name in volumes if name not in hits)
    for name in work.track(names, total=len(names), what="map"):
        own = slabs[slabs["rlnTomoName"] == name].reset_index(drop=True)
        try:
            tomogram = _open(name, volumes[name], own, **opening)
            found, counted = map_picks(hits[name], own, tomogram, **options, where=name)
            if masks is not None:
                found, outside[name] = _inside(found, tomogram, masks)
        except SlabkitError as error:
            work.fail(name, error)
            continue
        counts[name] = counted  # not of a tomogram whose mask fails
        tables.append(found)
    failed = common.all_failed(work.failures, len(names))
    if failed:
        raise failed
    picks = pd.concat(tables, ignore_index=True) if tables else empty_table(PICKS)
    if not len(picks):
        warnings.warn("there are no picks; the table is empty.", SlabkitWarning, stacklevel=2)
    done = slabs[~slabs["rlnTomoName"].isin(list(work.failures))]
    write_picks(out, PickList(picks, tomogram_table(done, options["contrast"])))
    if counts and len(picks):
        empty = [name for name in volumes if name not in hits]
        if empty:
            warnings.warn(
                f"no hit on any slab of {', '.join(empty)}; is the contrast right (--contrast)?",
                SlabkitWarning,
                stacklevel=2,
            )
    columns = {
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
    totals = {
        key: sum(getattr(one, key) for one in counts.values())
        for key in columns
        if key != "near_face"
    }
    if not any(one.other_species for one in counts.values()):
        del columns["other_species"]  # of the table alone
    rows = [
        (
            name,
            *(getattr(counts[name], key) for key in columns),
            *([outside.get(name, 0)] if masks else []),
        )
        for name in volumes
        if name in counts
    ]
    masked = ["outside mask"] if masks else []
    work.table("", ("tomogram", *columns.values(), *masked), rows)
    if masks is not None:
        totals["outside_mask"] = sum(outside.values())
        totals["picks"] = len(picks)
    work.summary.update(tomograms=len(counts), **totals)


def _inside(picks: pd.DataFrame, tomogram: Tomogram, masks: MaskFiles) -> tuple[pd.DataFrame, int]:
    """Give the picks inside the tomogram's mask, and how many are not."""
    from slabkit.picking.masking import picks_inside

    path = masks.of_tomogram.get(tomogram.name)
    if path is None:
        raise InputError(f"{tomogram.name}: has no mask; give one with --mask.")
    mask = mask_options.open_mask(path, tomogram.name, tomogram.shape, tomogram.voxel_size)
    inside = picks_inside(picks, mask)
    return picks[inside].reset_index(drop=True), int((~inside).sum())


def _open(
    name: str, path: Path, slabs: pd.DataFrame, voxel_size: float | None, fill_nonfinite: str | None
) -> Tomogram:
    """Open a tomogram that the slab table names; its voxel size must be the table's."""
    from slabkit.formats.tables.paths import is_there
    from slabkit.formats.volumes.opening import open_tomogram
    from slabkit.tomogram import Reading

    if not is_there(path):
        raise InputError(
            f"{path}: the tomogram that the slab table names is not there; call slabkit from the "
            "folder where the slabs were made, or make them anew."
        )
    reading = Reading.parse(slabs["slabkitTomogramReading"].iloc[0]).keywords()
    if fill_nonfinite is not None:
        reading["fill_nonfinite"] = fill_nonfinite
    if voxel_size is not None:
        reading["voxel_size"] = voxel_size
    return open_tomogram(
        path,
        name=name,
        expected_voxel_size=float(slabs["slabkitVoxelSize"].iloc[0]),
        contrast=slabs["slabkitTomogramContrast"].iloc[0],
        **reading,
    )
