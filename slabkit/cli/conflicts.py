"""``slabkit conflicts merged.star -o conflicts``: positions that several species claim."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slabkit.cli.merge import parse_distances
from slabkit.cli.options import common
from slabkit.errors import InputError
from slabkit.execution.frame import parameters

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.formats.tables.native import PickList
    from slabkit.steps.shared.galleries import GalleryOptions
    from slabkit.tomogram import TomogramRef


def conflicts(
    picks: Annotated[
        list[str],
        typer.Argument(metavar="PICKS...", help="Pick lists, of several species together."),
    ],
    out: common.OutFolder,
    distance: Annotated[
        list[str] | None,
        typer.Option(
            metavar="Å|SPECIES=Å",
            help="Claims of two species closer than this are of one position; by species, the "
            "larger counts. Default: half the larger of the two diameters.",
        ),
    ] = None,
    box: Annotated[float, typer.Option(metavar="Å", help="Side of the images.")] = 400.0,
    depth: Annotated[float, typer.Option(metavar="Å", help="Thickness projected.")] = 300.0,
    tiles: common.Tiles = "16x15",
    tomograms: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VOLUME|FOLDER",
            help="Take the tomograms, by name, from here. May be repeated. Default: the files "
            "that the pick lists name.",
        ),
    ] = None,
    voxel_size: common.VoxelSizeOption = None,
    contrast: common.ContrastOption = None,
    png: Annotated[bool, typer.Option("--png", help="Also a picture of each gallery.")] = False,
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Find positions that picks of more than one species claim, and make minislabs of them.

    DIR gets conflicts.star (the claims), minislabs.star with galleries (one tile a conflict) and
    decide.csv. Write into decide.csv, for each conflict, accepted and the species whose position
    it is, or rejected if it is of none; what stays undecided changes nothing. Then: slabkit label
    DIR/decide.csv --minislabs DIR/minislabs.star -o LABELS, and slabkit curate PICKS LABELS
    --conflicts DIR/conflicts.star. Picks outside the conflicts are not touched.
    """
    if out == "-":
        raise InputError("-o takes a folder here: galleries are files.")
    if picks.count("-"):
        raise InputError("conflicts reads its pick lists from files, not from standard input.")
    from slabkit.formats.tables.atomic import write_text
    from slabkit.formats.tables.curation import write_conflicts
    from slabkit.formats.tables.paths import check_given_once
    from slabkit.steps.shared.galleries import GalleryOptions, plan_galleries, write_galleries

    check_given_once(picks, "pick list")
    distances = parse_distances(distance or []) or None
    rows, columns = common.parse_tiles(tiles)
    options = GalleryOptions(
        common.positive(box, "--box"),
        common.positive(depth, "--depth"),
        rows,
        columns,
        voxel_size=common.positive(voxel_size, "--voxel-size"),
        contrast=common.parse_contrast(contrast),
        png=png,
    )
    lists, pooled, found = _find(picks, distances)
    places, volumes = _places(lists, pooled, found, picks[0], tomograms, options)
    plan, failures = plan_galleries(places, volumes, options)
    used = {str(v.path): None for n, v in volumes.items() if n not in failures}
    with common.Step(
        "conflicts",
        str(Path(out) / "conflicts.star"),
        inputs=[*picks, *used],
        parameters={**parameters(options), "picks": picks, "distance": distances},
        overwrite=overwrite,
        quiet=quiet,
        json_=json_,
    ) as work:
        if work.finished:
            return
        for name, error in failures.items():
            work.fail(name, error)
        decide, table = Path(out) / "decide.csv", Path(out) / "minislabs.star"
        work.check_free([table, decide])
        write_galleries(work, Path(out), places, volumes, plan)
        write_text(decide, _form(found))
        write_conflicts(Path(out) / "conflicts.star", found)
        work.outputs += [table, decide]
        _report(work, pooled, found)


def _find(
    paths: list[str], distances: dict[str, float] | None
) -> tuple[list[PickList], pd.DataFrame, pd.DataFrame]:
    from slabkit.curation import find_conflicts
    from slabkit.formats.picks.reading import read_picks
    from slabkit.formats.tables.paths import with_paths_from_here
    from slabkit.merging import merge_picks

    lists = [read_picks(path, check_bounds=False) for path in paths]
    for one, path in zip(lists, paths, strict=True):
        with_paths_from_here(one.tomograms, path)
    pooled, _ = merge_picks([one.picks for one in lists], 0.0, names=paths)
    return lists, pooled, find_conflicts(pooled, distances)


def _places(
    lists: list[PickList],
    pooled: pd.DataFrame,
    found: pd.DataFrame,
    source: str,
    tomograms: list[str] | None,
    options: GalleryOptions,
) -> tuple[PickList, dict[str, TomogramRef]]:
    """Give the positions to make images of, and the volumes that they are in."""
    from slabkit.curation import conflict_positions
    from slabkit.formats.tables.native import PickList
    from slabkit.formats.tomograms.listing import pick_tomograms
    from slabkit.merging import merge_tomograms

    known = merge_tomograms([one.tomograms for one in lists])
    places = PickList(conflict_positions(found, pooled), known)
    volumes = pick_tomograms(
        places,
        source,
        tomograms,
        reading=options.reading,
        contrast=options.contrast,
    )
    return places, volumes


def _report(work: common.Step, pooled: pd.DataFrame, found: pd.DataFrame) -> None:
    rivals = found.groupby("slabkitConflict", sort=False)["slabkitSpecies"].agg(
        lambda names: " : ".join(sorted(set(names)))
    )
    counted = rivals.value_counts().sort_index()
    work.table("", ("species", "conflicts"), [(n, int(c)) for n, c in counted.items()])
    work.summary.update(picks=len(pooled), conflicts=len(rivals), claims=len(found))


def _form(found: pd.DataFrame) -> str:
    """Make the table that people fill in."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["pick_id", "decision", "species", "comment"])
    for name, claims in found.groupby("slabkitConflict", sort=False):
        species = " or ".join(dict.fromkeys(claims["slabkitSpecies"]))
        writer.writerow([name, "undecided", "", species])
    return text.getvalue()
