"""``slabkit pick segmentation TS_1_seg.mrc -o picks.star --diameter 1=300``: masks to picks."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slabkit.cli.options import common
from slabkit.errors import InputError, SlabkitError

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.tomogram import Tomogram, TomogramRef


def segmentation(
    masks: Annotated[
        list[str],
        typer.Argument(
            metavar="MASK...",
            help="Volumes of labels or probabilities (MRC, TIFF, OME-Zarr), folders, globs; or "
            "copick:CONFIG.json, whose labels have names and sizes.",
            show_default=False,
        ),
    ],
    out: common.OutTable,
    diameter: Annotated[
        list[str] | None,
        typer.Option(
            metavar="Å|LABEL=Å",
            help="Largest dimension of the particles, one for all or by label or name, as "
            "1=300,2=120; labels without one are left out. Of a copick project: twice the "
            "objects' radii.",
            show_default=False,
        ),
    ] = None,
    species: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|LABEL=NAME",
            help="Name of all picks, or by label, as 1=ribosome,2=apo-ferritin.",
            show_default=False,
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="labels|probability",
            help="What the values are, where they do not tell.",
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[
        float, typer.Option(metavar="P", help="Lowest probability of a particle's voxels.")
    ] = 0.5,
    min_size: Annotated[
        float,
        typer.Option(
            metavar="F",
            help="Drop objects shorter than this share of the diameter.",
            show_default="two thirds",
        ),
    ] = 2 / 3,
    split: Annotated[
        bool, typer.Option("--split/--no-split", help="Split objects of touching particles.")
    ] = True,
    suffix: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="End of the masks' names that is no part of the tomogram's, _seg for instance.",
        ),
    ] = "",
    tomograms: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Tomograms of the masks: volumes, folders, slab tables or pick lists; a mask is "
            "named as its tomogram, perhaps with an ending.",
            show_default=False,
        ),
    ] = None,
    object_: Annotated[
        str,
        typer.Option(
            "--object",
            metavar="NAME",
            help="copick: which segmentations, NAME or USER_SESSION_NAME.",
            show_default=False,
        ),
    ] = "",
    voxel_size: common.VoxelSizeOption = None,
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Turn segmentations into 3D picks: one at the centre of each object of a particle's size.

    Objects of touching particles are split. The pick list is as map writes it. Lengths are in Å.
    """
    from slabkit.cli.options.picks import table_of
    from slabkit.formats.programs.copick.segmentations import project_segmentations
    from slabkit.formats.tomograms.listing import list_tomograms
    from slabkit.formats.tomograms.names import is_project
    from slabkit.tomogram import Reading

    names = _names(species or [])
    project = None
    if any(is_project(mask) for mask in masks):
        if len(masks) > 1 or suffix:
            raise InputError("a copick project is given alone and without --suffix.")
        project = project_segmentations(masks[0], object_, voxel_size)
        names = names or project.names
        voxel_size = None
    elif object_:
        raise InputError("--object is for copick projects, given as copick:CONFIG.json.")
    sizes = _diameters(diameter, names) if diameter else project.diameters if project else {}
    if not sizes:
        raise InputError("give the particles' largest dimension with --diameter (Å or LABEL=Å).")
    options: dict[str, Any] = {
        "diameter": sizes,
        "species": names,
        "kind": kind,
        "threshold": threshold,
        "min_size": min_size,
        "split": split,
    }
    if suffix and tomograms:
        raise InputError("--suffix and --tomograms both say how masks are named; give one.")
    # Zarr leaves out empty chunks, and masks have many
    reading = Reading(voxel_size=voxel_size, allow_missing_chunks=True)
    if project:
        found = [mask.but(reading=reading) for mask in project.masks]
    else:
        found = list_tomograms(masks, reading=reading, masks=True)
    if not found:
        raise InputError(f"{' '.join(masks)}: no volume there.")
    with common.Step(
        "pick segmentation",
        out,
        inputs=[ref.path for ref in found if ref.path],
        parameters={
            **options,
            "suffix": suffix,
            "tomograms": tomograms,
            "voxel_size": voxel_size,
        },
        overwrite=overwrite,
        quiet=quiet,
        json_=json_,
    ) as work:
        if not work.finished:
            known = table_of(tomograms, None)
            named = _named(found, suffix, known)
            _run(work, out, named, known, options, voxel_size)


def _names(given: list[str]) -> dict[int, str] | str:
    items = [item for text in given for item in text.split(",") if item]
    if len(items) == 1 and "=" not in items[0]:
        return items[0]
    names: dict[int, str] = {}
    for item in items:
        label, equals, name = item.partition("=")
        if not (equals and name and label.isdigit()):
            raise InputError(f"--species takes NAME or LABEL=NAME, not {item!r}.")
        if int(label) in names:
            raise InputError(f"--species names the label {label} twice.")
        names[int(label)] = name
    return names or ""


def _diameters(given: list[str], names: dict[int, str] | str) -> dict[int, float] | float:
    if len(given) == 1 and "=" not in given[0]:
        try:
            return float(given[0])
        except ValueError:
            raise InputError(f"--diameter takes Å or LABEL=Å, not {given[0]!r}.") from None
    by_name = {} if isinstance(names, str) else {name: label for label, name in names.items()}
    found: dict[int, float] = {}
    for name, value in common.parse_pairs(given, "--diameter").items():
        if not name.isdigit() and name not in by_name:
            raise InputError(
                f"--diameter names {name}, which is no label; say which it is with "
                f"--species LABEL={name}."
            )
        label = int(name) if name.isdigit() else by_name[name]
        if label in found:
            raise InputError(f"--diameter names the label {label} twice.")
        found[label] = value
    return found


def _named(
    found: list[TomogramRef], suffix: str, known: pd.DataFrame | None
) -> list[tuple[str, TomogramRef]]:
    """Give each mask the name of its tomogram."""
    from slabkit.formats.volumes.masks import is_of

    named: dict[str, TomogramRef] = {}
    for mask in found:
        name = mask.name
        if known is not None:
            fitting = [one for one in known["slabkitTomogram"].tolist() if is_of(name, one)]
            if not fitting:
                raise InputError(f"{mask.path}: is of no tomogram of --tomograms by its name.")
            name = max(fitting, key=len)
        elif suffix:
            if not name.endswith(suffix) or name == suffix:
                raise InputError(f"{mask.path}: its name {name!r} does not end in {suffix!r}.")
            name = name.removesuffix(suffix)
        if name in named:
            raise InputError(
                f"{named[name].path} and {mask.path} are both masks of {name}; pick them one "
                "after the other, and merge the lists."
            )
        named[name] = mask
    return list(named.items())


def _run(
    work: common.Step,
    out: str,
    named: list[tuple[str, TomogramRef]],
    known: pd.DataFrame | None,
    options: dict[str, Any],
    voxel_size: float | None,
) -> None:
    import warnings

    import pandas as pd

    from slabkit.errors import SlabkitWarning
    from slabkit.formats.tables.native import PickList, write_picks
    from slabkit.picking.segmentation import pick_segmentation

    tables, rows, parts = [], [], []
    totals = dict.fromkeys(("objects", "small", "split", "picks"), 0)
    for name, ref in work.track(named, total=len(named), what="pick segmentation"):
        try:
            mask = replace(ref, name=name).open()
            row = _tomogram_row(mask, known)
            picks, counts = pick_segmentation(mask, **options)
        except SlabkitError as error:
            work.fail(name, error)
            continue
        tables.append(row)
        parts.append(picks)
        numbers = {key: asdict(counts)[key] for key in totals}
        rows.append((name, *numbers.values()))
        totals = {key: totals[key] + number for key, number in numbers.items()}
    failed = common.all_failed(work.failures, len(named))
    if failed:
        raise failed
    picks = pd.concat(parts, ignore_index=True)
    if not len(picks):
        warnings.warn(
            "no object of a label with a diameter is as large as a particle; the table is empty.",
            SlabkitWarning,
            stacklevel=2,
        )
    write_picks(out, PickList(picks, pd.concat(tables, ignore_index=True)))
    work.table("", ("tomogram", "objects", "too small", "split", "picks"), rows)
    work.summary.update(tomograms=len(rows), **totals)


def _tomogram_row(mask: Tomogram, known: pd.DataFrame | None) -> pd.DataFrame:
    """Give the row of a mask's tomogram; without a table of them, one of the mask's own size."""
    from slabkit.picking.masking import check_mask_size
    from slabkit.tables import TOMOGRAMS, make_table

    found = tuple(n * mask.voxel_size for n in reversed(mask.shape))
    if known is None:
        sizes = {
            f"slabkitTomogramSize{axis}": [n] for axis, n in zip("ZYX", mask.shape, strict=True)
        }
        return make_table(
            TOMOGRAMS,
            {"slabkitTomogram": [mask.name], **sizes, "slabkitVoxelSize": [mask.voxel_size]},
        )
    row = known[known["slabkitTomogram"] == mask.name].reset_index(drop=True)
    edge = float(row["slabkitVoxelSize"].iloc[0])
    expected = tuple(int(row[f"slabkitTomogramSize{axis}"].iloc[0]) * edge for axis in "XYZ")
    if edge > 0 and min(expected) > 0:
        check_mask_size(mask.label, found, f"the tomogram {mask.name}", expected)
    return row
