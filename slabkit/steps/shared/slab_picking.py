"""What the pickers on slabs share: their options, and slabs in, 2D picks and pictures out."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from slabkit.errors import InputError, SlabkitError, warn
from slabkit.execution.frame import Frame, Work, parameters
from slabkit.steps.shared.masks import find_masks
from slabkit.steps.shared.slabs import parse_slab_table, slab_images, slab_paths
from slabkit.steps.shared.thresholds import ThresholdChoice, expected_columns, limit_picks
from slabkit.units import Contrast

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.formats.tomograms.masks import MaskFiles

Find: TypeAlias = Callable[[Iterable[Any], "pd.DataFrame", int | None], "pd.DataFrame"]
"""Images and slabs of a tomogram, and the most picks of a slab, to its 2D picks."""

_SCORE = "rlnAutopickFigureOfMerit"


@dataclass(frozen=True, kw_only=True)
class SlabPicking:
    """The options that all pickers on slabs have; lengths in Å."""

    slabs: str
    out: str
    threshold: float | Literal["auto"] | None = None
    target_precision: float | None = None
    labelled: str | None = None
    max_per_slab: int | None = None
    min_distance: float | None = None
    max_ridge: float
    mask: tuple[str, ...] = ()
    species: str = ""
    contrast: Contrast | None = None
    png: bool = False


def pick_on_slabs(
    name: str,
    options: SlabPicking,
    choice: ThresholdChoice,
    frame: Frame,
    prepare: Callable[[Work], Find],
    inputs: Iterable[str] = (),
    *,
    with_volumes: bool = False,
) -> None:
    """Pick tomogram by tomogram with what ``prepare`` gives, and write the table.

    ``inputs``: further files; ``with_volumes``: and the slabs' tomograms. ``prepare`` is not called
    for finished work.
    """
    from slabkit.formats.tables.blocks import read_text
    from slabkit.formats.tomograms.listing import slab_tomograms
    from slabkit.formats.tomograms.names import files_read

    if options.png and options.out == "-":
        raise InputError("--png writes pictures beside the table; give a file to -o.")
    text = read_text(options.slabs)
    table = parse_slab_table(text, options.slabs)
    masks = find_masks(options.mask, table["rlnTomoName"], table["rlnMicrographName"])
    volumes = slab_tomograms(table).values() if with_volumes else ()
    with frame.work(
        name,
        options.out,
        inputs=[
            options.slabs,
            *(path for path in slab_paths(table, options.slabs) if os.path.exists(path)),
            *(path for ref in volumes if not ref.problem for path in files_read(ref)),
            *inputs,
            *(masks.paths if masks else []),
            *([options.labelled] if options.labelled else []),
        ],
        text_inputs={"-": text} if options.slabs == "-" else None,
        parameters={
            **parameters(options, "slabs", "out", "labelled", "mask", "device_memory"),
            "threshold": "auto" if choice.value is None else choice.value,
        },
    ) as work:
        if not work.finished:
            _pick(work, table, options, choice, masks, prepare(work))


def _pick(
    work: Work,
    table: pd.DataFrame,
    options: SlabPicking,
    choice: ThresholdChoice,
    masks: MaskFiles | None,
    find: Find,
) -> None:
    import pandas as pd

    from slabkit.formats.tables.native import write_picks2d
    from slabkit.tables import PICKS2D, empty_table

    pictures = _picture_paths(table, Path(options.out)) if options.png else {}
    work.check_free(pictures.values(), begin=False)
    # Masks and fits come before the best of each slab.
    later = masks is not None or choice.value is None
    most = None if later else options.max_per_slab
    parts: dict[str, pd.DataFrame] = {}
    names = list(dict.fromkeys(table["rlnTomoName"]))
    own = {name: table[table["rlnTomoName"] == name].reset_index(drop=True) for name in names}

    def of_one(name: str) -> tuple[pd.DataFrame, dict[str, Any]]:
        return find(slab_images(own[name], options.slabs), own[name], most), {}

    for name in work.track(names, total=len(names), what=work.name):
        try:
            parts[name], _ = work.part(name, functools.partial(of_one, name))
        except SlabkitError as error:
            work.fail(name, error)
    work.raise_if_all_failed(len(names))
    parts = limit_picks(work, parts, table, choice, masks, options.max_per_slab)
    if options.png:
        work.check_free(pictures.values())
        for name, picks in parts.items():
            _write_pictures(work, own[name], options.slabs, picks, pictures)
    found = pd.concat(parts.values(), ignore_index=True) if parts else empty_table(PICKS2D)
    empty = [name for name, picks in parts.items() if not len(picks)]
    noun = work.name.split()[-1]
    if not len(found):
        lowest = work.summary.get("threshold", choice.to_find)
        warn(f"no {noun} reaches the score {lowest:g}; the table is empty.")
    elif empty:
        warn(f"no {noun} on any slab of {', '.join(empty)}; is the contrast right (--contrast)?")
    write_picks2d(options.out, found)
    further, values = expected_columns(work)
    rows = [
        (n, len(own[n]), len(p), p[_SCORE].max() if len(p) else None, *values(n))
        for n, p in parts.items()
    ]
    if len(parts) > 1:
        slabs = sum(len(own[n]) for n in parts)
        best = found[_SCORE].max() if len(found) else None
        rows.append(("all", slabs, len(found), best, *values("")))
    work.table("", ("tomogram", "slabs", "picks", "best score", *further), rows)
    work.summary.update(tomograms=len(parts), slabs=sum(len(own[name]) for name in parts))
    work.summary.update(picks=len(found))


def _picture_paths(table: pd.DataFrame, out: Path) -> dict[str, Path]:
    from slabkit.formats.tables.paths import file_inside

    folder = out.with_name(f"{out.stem}_png")
    paths: dict[str, Path] = {}
    for name in table["rlnMicrographName"]:
        stem = Path(name).stem
        path = file_inside(folder, f"{stem}.png")
        number = 2
        while path in paths.values():
            path = folder / f"{stem}-{number}.png"
            number += 1
        paths[name] = path
    return paths


def _write_pictures(
    work: Work, slabs: pd.DataFrame, source: str, picks: pd.DataFrame, paths: dict[str, Path]
) -> None:
    from slabkit.formats.tables.atomic import atomic_path
    from slabkit.pictures.images import draw_picks, png_bytes

    for row, image in zip(slabs.itertuples(index=False), slab_images(slabs, source), strict=True):
        path = paths[str(row.rlnMicrographName)]
        own = picks[picks["rlnMicrographName"] == row.rlnMicrographName]
        radii = own["slabkitDiameter"] / (2 * float(str(row.slabkitVoxelSize)))
        picture = draw_picks(
            image,
            own["rlnCoordinateX"],
            own["rlnCoordinateY"],
            radii,
            species=own["slabkitSpecies"].tolist(),
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_bytes(png_bytes(picture))
        work.outputs.append(path)
