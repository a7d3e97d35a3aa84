"""What the pickers share: slabs in, 2D picks and pictures out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slabkit.cli import pick_limits
from slabkit.cli.options import common
from slabkit.cli.step import Step
from slabkit.errors import InputError, SlabkitError

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.formats.volumes.masks import MaskFiles


def slab_table(text: str, source: str) -> pd.DataFrame:
    """Read a slab table out of its text."""
    from slabkit.formats.tables.blocks import table_block
    from slabkit.formats.tables.paths import with_paths_from_here
    from slabkit.formats.tables.star import parse_star
    from slabkit.tables import SLABS, require_unique

    blocks = parse_star(text, source)
    table = table_block(blocks, "micrographs", SLABS, source, "`slabkit slab` writes one")
    require_unique(table, "rlnMicrographName", source)
    return with_paths_from_here(table, source)


def slab_paths(table: pd.DataFrame, source: str) -> list[Path]:
    """Give the files of the slabs of a table."""
    from slabkit.formats.tables.paths import resolve_path

    return [resolve_path(str(name), source) for name in table["rlnMicrographName"]]


def pick_and_write(
    work: Step,
    table: pd.DataFrame,
    source: str,
    out: str,
    find: Callable[..., pd.DataFrame],
    choice: pick_limits.ThresholdChoice,
    masks: MaskFiles | None,
    max_per_slab: int | None,
    png: bool,
    jobs: int,
) -> None:
    """Pick tomogram by tomogram, cut the picks as asked, and write them.

    Parameters
    ----------
    work : Step
    table : DataFrame
        Slabs of any number of tomograms.
    source, out : str
        Paths of the slab table and of the result.
    find : callable
        Called with the images and the slabs of a tomogram and with ``max_per_slab`` and ``jobs``;
        gives its 2D picks.
    choice : ThresholdChoice
    masks : MaskFiles or None
    max_per_slab : int or None
    png : bool
        Draw every slab with its picks.
    jobs : int
    """
    import warnings

    import pandas as pd

    from slabkit.errors import SlabkitWarning
    from slabkit.formats.tables.native import write_picks2d
    from slabkit.tables import PICKS2D, empty_table

    pictures = _picture_paths(table, Path(out)) if png else {}
    work.check_free(pictures.values())
    # Masks and fits come before the best of each slab.
    later = masks is not None or choice.value is None
    most = None if later else max_per_slab
    parts: dict[str, pd.DataFrame] = {}
    names = list(dict.fromkeys(table["rlnTomoName"]))
    own = {name: table[table["rlnTomoName"] == name].reset_index(drop=True) for name in names}
    for name in work.track(names, total=len(names), what=work.name):
        try:
            images = _images(own[name], source)
            parts[name] = find(images, own[name], max_per_slab=most, jobs=jobs)
        except SlabkitError as error:
            work.fail(name, error)
    failed = common.all_failed(work.failures, len(names))
    if failed:
        raise failed
    parts = pick_limits.limit_picks(work, parts, table, choice, masks, max_per_slab)
    if png:
        for name, picks in parts.items():
            _write_pictures(work, own[name], source, picks, pictures)
    found = pd.concat(parts.values(), ignore_index=True) if parts else empty_table(PICKS2D)
    empty = [name for name, picks in parts.items() if not len(picks)]
    noun = work.name.split()[-1]
    if not len(found):
        lowest = work.summary.get("threshold", choice.to_find)
        warnings.warn(
            f"no {noun} reaches the score {lowest:g}; the table is empty.",
            SlabkitWarning,
            stacklevel=2,
        )
    elif empty:
        warnings.warn(
            f"no {noun} on any slab of {', '.join(empty)}; is the contrast right (--contrast)?",
            SlabkitWarning,
            stacklevel=2,
        )
    write_picks2d(out, found)
    further, values = pick_limits.expected_columns(work)
    score = "rlnAutopickFigureOfMerit"
    rows = [
        (n, len(own[n]), len(p), p[score].max() if len(p) else None, *values(n))
        for n, p in parts.items()
    ]
    work.table("", ("tomogram", "slabs", "picks", "best score", *further), rows)
    work.summary.update(tomograms=len(parts), slabs=sum(len(own[name]) for name in parts))
    work.summary.update(picks=len(found))


def _images(slabs: pd.DataFrame, source: str) -> Iterator[Any]:
    for row, path in zip(slabs.itertuples(index=False), slab_paths(slabs, source), strict=True):
        yield slab_image(path, row)


def slab_image(path: Path, row: Any) -> Any:
    """Read a slab, and check that it is as its row of the table says."""
    from slabkit.formats.volumes.mrc import read_image
    from slabkit.units import voxel_sizes_equal

    image, pixel_size = read_image(path)
    size = (row.slabkitTomogramSizeY, row.slabkitTomogramSizeX)
    if image.shape != size:
        raise InputError(
            f"{path}: has {image.shape[1]} × {image.shape[0]} pixels, its table says "
            f"{size[1]} × {size[0]}; picks would be misplaced."
        )
    if pixel_size > 0 and not voxel_sizes_equal(pixel_size, row.slabkitVoxelSize):
        raise InputError(
            f"{path}: has pixels of {pixel_size:g} Å, its table says {row.slabkitVoxelSize:g} Å; "
            "make the slabs again."
        )
    return image


def _picture_paths(table: pd.DataFrame, out: Path) -> dict[str, Path]:
    folder = out.with_name(f"{out.stem}_png")
    paths: dict[str, Path] = {}
    for name in table["rlnMicrographName"]:
        stem = Path(name).stem
        path = folder / f"{stem}.png"
        number = 2
        while path in paths.values():
            path = folder / f"{stem}-{number}.png"
            number += 1
        paths[name] = path
    return paths


def _write_pictures(
    work: Step, slabs: pd.DataFrame, source: str, picks: pd.DataFrame, paths: dict[str, Path]
) -> None:
    from slabkit.formats.tables.atomic import atomic_path
    from slabkit.pictures.images import draw_picks, png_bytes

    for row, image in zip(slabs.itertuples(index=False), _images(slabs, source), strict=True):
        path = paths[str(row.rlnMicrographName)]
        own = picks[picks["rlnMicrographName"] == row.rlnMicrographName]
        radii = own["slabkitDiameter"] / (2 * float(str(row.slabkitVoxelSize)))
        picture = draw_picks(image, own["rlnCoordinateX"], own["rlnCoordinateY"], radii)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_bytes(png_bytes(picture))
        work.outputs.append(path)
