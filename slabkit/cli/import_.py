"""``slabkit import slabpick -o DIR ...``: a project of another program, taken over mid-way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slabkit.cli.options import common
from slabkit.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.formats.programs.slabpick.project import ParticleMap

app = typer.Typer(
    help="Take over a project of another program mid-way: its slabs, picks and galleries.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _group() -> None:
    """Keep `slabpick` a word of its own while it is the only one."""


@app.command(name="slabpick")
def slabpick(
    out: common.OutFolder,
    slab_map: Annotated[
        str | None,
        typer.Option(metavar="CSV", help="slab_map.csv, becomes slabs.star.", show_default=False),
    ] = None,
    particle_map: Annotated[
        str | None,
        typer.Option(
            metavar="CSV",
            help="particle_map.csv, becomes picks.star and minislabs.star; needs --picks.",
            show_default=False,
        ),
    ] = None,
    picks: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="The coordinates that the minislabs were made of: copick files or folder, or any "
            "other format. May be repeated.",
            show_default=False,
        ),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="FORMAT", help="Format of --picks, as in convert."),
    ] = None,
    tomograms: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VOLUME|TABLE",
            help="The tomograms of --picks, for their sizes. May be repeated.",
            show_default=False,
        ),
    ] = None,
    tiles: Annotated[
        str | None,
        typer.Option(
            metavar="ROWSxCOLUMNS", help="Tiles in a gallery, where make_minislabs.json is missing."
        ),
    ] = None,
    voxel_size: common.VoxelSizeOption = None,
    contrast: common.ContrastOption = None,
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Make slabkit's tables of slabpick's maps; its images stay where they are.

    slabs.star goes to map with picks made on the slabs, minislabs.star to label with results made
    on the galleries, picks.star to curate.
    """
    if out == "-":
        raise InputError("-o takes a folder here.")
    if slab_map is None and particle_map is None:
        raise InputError("give --slab-map, or --particle-map with --picks, or all three.")
    if (particle_map is None) != (not picks):
        raise InputError(
            "--particle-map and --picks belong together: the map numbers the picks, and does not "
            "say where they are."
        )
    options: dict[str, Any] = {
        "from": from_,
        "tiles": None if tiles is None else _tiles(tiles),
        "voxel_size": voxel_size,
        "contrast": common.parse_contrast(contrast),
    }
    inputs = [*(path for path in (slab_map, particle_map) if path), *(picks or [])]
    names = ["slabs.star"] * (slab_map is not None)
    names += ["picks.star", "minislabs.star"] * (particle_map is not None)
    main, *others = (Path(out) / name for name in reversed(names))
    with common.Step(
        "import slabpick",
        str(main),
        inputs=[path for path in inputs if Path(path).is_file()],
        parameters={**options, "tomograms": tomograms or []},
        overwrite=overwrite,
        quiet=quiet,
        json_=json_,
    ) as step:
        if step.finished:
            return
        results = _read(slab_map, particle_map, picks or [], tomograms or [], options, step)
        step.check_free(others)
        _write(Path(out), results)
        step.outputs += others


def _read(
    slab_map: str | None,
    particle_map: str | None,
    picks: list[str],
    tomograms: list[str],
    options: dict[str, Any],
    step: common.Step,
) -> dict[str, Any]:
    """Make every table before any is written."""
    from slabkit.formats.picks.reading import read_picks
    from slabkit.formats.programs.slabpick.project import read_particle_map, read_slab_map
    from slabkit.formats.tomograms.table import read_tomograms

    results: dict[str, Any] = {}
    if slab_map is not None:
        slabs: pd.DataFrame = read_slab_map(
            slab_map, voxel_size=options["voxel_size"], contrast=options["contrast"] or "dark"
        )
        results["slabs"] = slabs
        step.summary.update(slabs=len(slabs), tomograms=slabs["rlnTomoName"].nunique())
    if particle_map is not None:
        table = read_tomograms(tomograms, options["voxel_size"]) if tomograms else None
        pick_list = read_picks(
            list(picks),
            format=options["from"],
            tomograms=table,
            voxel_size=options["voxel_size"],
            keep_duplicates=True,  # the map counts them too
        )
        results["picks"] = pick_list
        found = read_particle_map(
            particle_map, pick_list, tiles=options["tiles"], contrast=options["contrast"]
        )
        results["minislabs"] = minislab_tables(found)
        step.summary.update(picks=len(pick_list.picks), minislabs=len(results["minislabs"][0]))
    return results


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


def _write(folder: Path, results: dict[str, Any]) -> None:
    from slabkit.formats.picks.reading import write_picks
    from slabkit.formats.tables.native import write_minislabs, write_slabs

    if "slabs" in results:
        write_slabs(folder / "slabs.star", results["slabs"])
    if "picks" in results:
        write_picks(folder / "picks.star", results["picks"])
        write_minislabs(folder / "minislabs.star", *results["minislabs"])


def _tiles(value: str) -> tuple[int, int]:
    parts = value.lower().replace("×", "x").split("x")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise InputError(f"--tiles takes ROWSxCOLUMNS, 16x15 for instance, not {value!r}.")
    rows, columns = map(int, parts)
    if rows < 1 or columns < 1:
        raise InputError(f"--tiles takes ROWSxCOLUMNS, 16x15 for instance, not {value!r}.")
    return rows, columns
