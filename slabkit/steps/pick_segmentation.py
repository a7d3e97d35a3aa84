"""Segmentations to 3D picks: one at the centre of each object of a particle's size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from slabkit.errors import InputError, SlabkitError, warn
from slabkit.execution.frame import Frame, Work, parameters
from slabkit.tomogram import Reading, Tomogram, TomogramRef

if TYPE_CHECKING:
    import pandas as pd


Names: TypeAlias = "Mapping[int, str] | str"
Sizes: TypeAlias = "Mapping[int, float] | float"


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit pick segmentation``; see also `slabkit.pick_segmentation`."""

    masks: tuple[str, ...]
    out: str
    diameter: float | Mapping[str, float] | None = None  # of all, or by label or name
    species: Names = ""
    kind: Literal["labels", "probability"] | None = None
    threshold: float = 0.5
    min_size: float = 2 / 3
    split: bool = True
    suffix: str = ""
    tomograms: tuple[str, ...] | None = None
    object: str = ""
    voxel_size: float | None = None


def run(options: Options, frame: Frame) -> None:
    """Find the objects and write the pick list."""
    from slabkit.formats.programs.copick.segmentations import project_segmentations
    from slabkit.formats.tomograms.listing import list_tomograms
    from slabkit.formats.tomograms.names import is_project
    from slabkit.formats.tomograms.table import read_tomograms

    names, voxel_size, project = options.species, options.voxel_size, None
    if any(is_project(mask) for mask in options.masks):
        if len(options.masks) > 1 or options.suffix:
            raise InputError("a copick project is given alone and without --suffix.")
        project = project_segmentations(options.masks[0], options.object, voxel_size)
        names = names or project.names
        voxel_size = None
    elif options.object:
        raise InputError("--object is for copick projects, given as copick:CONFIG.json.")
    sizes: Sizes = project.diameters if project else {}
    if options.diameter is not None:
        sizes = _sizes(options.diameter, names)
    if not sizes:
        raise InputError("give the particles' largest dimension with --diameter (Å or LABEL=Å).")
    if options.suffix and options.tomograms:
        raise InputError("--suffix and --tomograms both say how masks are named; give one.")
    # Zarr leaves out empty chunks, and masks have many.
    reading = Reading(voxel_size=voxel_size, allow_missing_chunks=True)
    if project:
        found = [mask.but(reading=reading) for mask in project.masks]
    else:
        found = list_tomograms(options.masks, reading=reading, masks=True)
    if not found:
        raise InputError(f"{' '.join(options.masks)}: no volume there.")
    with frame.work(
        "pick segmentation",
        options.out,
        inputs=[mask.path for mask in found if mask.path],
        parameters={
            **parameters(options, "masks", "out", "object"),
            "diameter": sizes,
            "species": names,
            "voxel_size": voxel_size,
        },
    ) as work:
        if not work.finished:
            known = read_tomograms(options.tomograms) if options.tomograms else None
            named = _named(found, options.suffix, known)
            _pick(work, named, known, options, sizes, names)


def _sizes(diameter: float | Mapping[str, float], names: Names) -> Sizes:
    """Give the diameters by label."""
    if not isinstance(diameter, Mapping):
        return diameter
    by_name = {} if isinstance(names, str) else {name: label for label, name in names.items()}
    found: dict[int, float] = {}
    for name, value in diameter.items():
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
    from slabkit.formats.tomograms.masks import is_of

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


def _pick(
    work: Work,
    named: list[tuple[str, TomogramRef]],
    known: pd.DataFrame | None,
    options: Options,
    sizes: Sizes,
    names: Names,
) -> None:
    import pandas as pd

    from slabkit.formats.tables.native import PickList, write_picks
    from slabkit.picking.segmentation import pick_segmentation

    tables, rows, parts = [], [], []
    totals = dict.fromkeys(("objects", "small", "split", "picks"), 0)
    for name, ref in work.track(named, total=len(named), what="pick segmentation"):
        try:
            mask = replace(ref, name=name).open()
            row = _tomogram_row(mask, known)
            picks, counts = pick_segmentation(
                mask,
                diameter=sizes,
                species=names,
                kind=options.kind,
                threshold=options.threshold,
                min_size=options.min_size,
                split=options.split,
            )
        except SlabkitError as error:
            work.fail(name, error)
            continue
        tables.append(row)
        parts.append(picks)
        numbers = {key: asdict(counts)[key] for key in totals}
        rows.append((name, *numbers.values()))
        totals = {key: totals[key] + number for key, number in numbers.items()}
    work.raise_if_all_failed(len(named))
    picks = pd.concat(parts, ignore_index=True)
    if not len(picks):
        warn("no object of a label with a diameter is as large as a particle; the table is empty.")
    write_picks(options.out, PickList(picks, pd.concat(tables, ignore_index=True)))
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
