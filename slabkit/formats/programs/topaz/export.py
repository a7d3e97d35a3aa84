"""What Topaz trains and picks with: images under names it keeps, lists, targets, and the commands.

Topaz (Bepler et al. 2019, doi:10.1038/s41592-019-0575-8) learns from some labelled particles and
the number of particles to expect in an image, which from labelled galleries is simply known.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slabkit.arrays.tiling import GalleryLayout
from slabkit.errors import InputError, warn
from slabkit.formats.programs.shared.export import Export, exported_kind
from slabkit.formats.programs.topaz.names import safe_names
from slabkit.formats.tables.native import read_labels, read_minislabs, read_slabs
from slabkit.formats.tables.paths import path_for_table
from slabkit.tables import require_unique
from slabkit.units import length_to_voxels

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

_USUAL_DOWNSAMPLE = 4
_PRETRAINED_PIXEL_SIZE = 20.0  # Å; on slabs the detectors that Topaz ships find most there
_MIDDLE_OF_BOX = 5  # the region Topaz takes for the particle: a fifth of the box about its middle
_MOST_DRIFT = 0.1  # of a tile


def export_topaz(
    table: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] | None = None,
    downsample: int | None = None,
    radius: float | None = None,
) -> Export:
    """Make a training set of labelled galleries, or what the pretrained detectors need of slabs.

    Parameters
    ----------
    table : path-like
        A minislab table or a slab table.
    folder : path-like
        Where the files are to be.
    labels : path-like, optional
        Label table; for minislabs.
    downsample : int, optional
        Factor by which Topaz shrinks the images; default 4 for galleries, for slabs what comes
        nearest to 20 Å a pixel.
    radius : float, optional
        In Å. For galleries how far about a tile's middle its particle reaches for Topaz, default a
        fifth of the box; for slabs that of the particles.

    Raises
    ------
    InputError
        The table is neither, the labels are of other minislabs or accept none, or a path has a
        space.

    Warns
    -----
    SlabkitWarning
        Places come back moved, or protein is bright.
    """
    if downsample is not None and downsample < 1:
        raise InputError(f"--downsample must be 1 or more, not {downsample}.")
    if radius is not None and not radius > 0:
        raise InputError(f"--radius must be a positive number of Å, not {radius:g}.")
    target = Path(path_for_table(folder))
    if not re.fullmatch(r"[\w./+=@%:,-]+", str(target)):
        raise InputError(
            f"{target}: Topaz splits its lists at spaces, and the script has the name plain; give "
            "a folder of letters, digits, dots, hyphens and underscores."
        )
    if exported_kind(table) == "galleries":
        if labels is None:
            raise InputError(f"{table}: a training set needs --labels; slabkit label makes them.")
        return _training_set(table, labels, target, downsample or _USUAL_DOWNSAMPLE, radius)
    if labels is not None:
        raise InputError(f"{table}: is a slab table; --labels goes with a minislab table.")
    return _slabs(table, target, downsample, radius)


def _training_set(
    table: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    folder: Path,
    downsample: int,
    radius: float | None,
) -> Export:
    minislabs, geometry = read_minislabs(table)
    row = geometry.iloc[0]
    pixel_size, box = float(row["slabkitPixelSize"]), float(row["slabkitBox"])
    layout = GalleryLayout.from_table(row, str(table))
    tile_px, shape = layout.tile_px, layout.shape
    decisions = _decisions(minislabs, labels, str(table))
    galleries = minislabs["rlnMicrographName"]
    names = safe_names(galleries)
    known = decisions.isin(["accepted", "rejected"])
    seen = [name for name in names if known[galleries == name].any()]
    accepted = decisions == "accepted"
    if not accepted.any():
        raise InputError(f"{labels}: accepts none of the minislabs, and Topaz learns from those.")
    # In a gallery where some are without a decision, as many of them are taken to be particles as
    # among the others.
    tiles = np.array([(galleries == name).sum() for name in seen])
    decided = np.array([known[galleries == name].sum() for name in seen])
    good = np.array([accepted[galleries == name].sum() for name in seen])
    expected = float((good / decided * tiles).mean())
    y, x = (
        _shrunk(minislabs[f"rlnCoordinate{axis}"], size, downsample)
        for axis, size in zip("YX", shape, strict=True)
    )
    targets = [
        f"{names[gallery]}\t{column}\t{line}"
        for gallery, column, line, good_one in zip(galleries, x, y, accepted, strict=True)
        if good_one
    ]
    _warn_of_drift(shape, downsample, tile_px)
    _warn_of_contrast({str(row["slabkitContrast"])}, str(table))
    reach = max(1, length_to_voxels(radius or box / _MIDDLE_OF_BOX, pixel_size * downsample))
    # So close, and down to such scores, that every tile has a hit near its middle.
    apart = max(1, tile_px // (4 * downsample))
    label = f"slabkit label {folder / 'extracted.txt'} --minislabs {shlex.quote(str(table))}"
    commands = [
        f"rm -rf {folder}/normalized",
        f"topaz normalize -s {downsample} -o {folder}/normalized/ {folder}/micrographs/*.mrc",
        f"topaz train -n {expected:.6g} --radius {reach} --num-workers 0 --device $device \\\n"
        f"    --train-images {folder}/images.txt --train-targets {folder}/targets.txt \\\n"
        f'    --save-prefix {folder}/model -o {folder}/training.txt "$@"',
        f"model=$(ls -t {folder}/model_epoch*.sav | head -n 1)",
        f'topaz extract -m "$model" -r {apart} -x {downsample} -t -100 -d $device \\\n'
        f"    -o {folder}/extracted.txt {folder}/normalized/*.mrc",
        f"# then: {label} --threshold 0 --y-axis down \\\n#    -o topaz_labels.star",
    ]
    export = _export(
        table,
        folder,
        names,
        seen,
        _script("train, and score every tile of the galleries", commands),
        {folder / "targets.txt": "\n".join(["image_name\tx_coord\ty_coord", *targets]) + "\n"},
    )
    export.counts = {
        "galleries": len(names),
        "training_galleries": len(seen),
        "targets": len(targets),
        "expected_per_gallery": round(expected, 2),
        "radius_px": reach,
        "downsample": downsample,
    }
    return export


def _slabs(
    table: str | os.PathLike[str], folder: Path, downsample: int | None, radius: float | None
) -> Export:
    slabs = read_slabs(table)
    if radius is None:
        raise InputError(f"{table}: give --radius Å, that of the particles; Topaz wants it.")
    if not len(slabs):
        raise InputError(f"{table}: has no slabs.")
    names = safe_names(slabs["rlnMicrographName"])
    _warn_of_contrast(set(slabs["slabkitContrast"]), str(table))
    commands = [f"rm -rf {folder}/normalized"]
    sizes = slabs["slabkitVoxelSize"].to_numpy()
    for number, size in enumerate(sorted(set(sizes.tolist())), 1):
        factor = downsample or max(1, length_to_voxels(_PRETRAINED_PIXEL_SIZE, size))
        own = [names[name] for name in slabs["rlnMicrographName"][sizes == size]]
        own = ["*"] if len(own) == len(names) else own
        files = " ".join(f"{folder}/micrographs/{name}.mrc" for name in own)
        small = " ".join(f"{folder}/normalized/{name}.mrc" for name in own)
        picks = f"{folder}/picks_{number}.txt"
        reach = max(1, length_to_voxels(radius, size * factor))
        commands += [
            f"topaz normalize -s {factor} -o {folder}/normalized/ {files}",
            f'topaz extract -r {reach} -x {factor} -d $device -o {picks} "$@" \\\n    {small}',
        ]
    mapped = f"slabkit map {folder}/picks_*.txt --slabs {shlex.quote(str(table))}"
    commands.append(f"# then: {mapped} --diameter {2 * radius:g} -o picks.star")
    script = _script("pick with the detector that Topaz ships", commands)
    export = _export(table, folder, names, list(names), script, {})
    export.counts = {"slabs": len(names), "pixel_sizes": len(set(sizes.tolist()))}
    return export


def _export(
    table: str | os.PathLike[str],
    folder: Path,
    names: dict[str, str],
    listed: list[str],
    script: str,
    further: dict[Path, str],
) -> Export:
    """Give the files and links to all images; ``listed``: those that Topaz is told of."""
    at = (folder / "normalized").as_posix()
    images = "".join(f"{names[name]}\t{at}/{names[name]}.mrc\n" for name in listed)
    named = "".join(f"{safe}\t{name}\n" for name, safe in names.items())
    commands = folder / "topaz.sh"
    files: dict[Path, str | bytes] = {
        folder / "images.txt": "image_name\tpath\n" + images,
        **further,
        folder / "names.txt": "image_name\tmicrograph\n" + named,
        commands: script,
    }
    export = Export(table, files, next_step=f"bash {commands}", script=commands)
    for name, safe in names.items():
        export.link(folder / "micrographs" / f"{safe}.mrc", name)
    return export


def _decisions(
    minislabs: pd.DataFrame, labels: str | os.PathLike[str], where: str
) -> pd.Series[str]:
    """Give the decision on each tile."""
    table = read_labels(labels)
    require_unique(table, "slabkitPickId", str(labels))
    by_pick = dict(zip(table["slabkitPickId"], table["slabkitDecision"], strict=True))
    unknown = set(by_pick) - set(minislabs["slabkitPickId"])
    if unknown and len(unknown) == len(by_pick):
        raise InputError(
            f"{labels}: has no label of any pick in {where}; are they of its galleries?"
        )
    return minislabs["slabkitPickId"].map(by_pick).fillna("undecided")


def _shrunk(places: pd.Series[float], size: int, factor: int) -> npt.NDArray[np.int64]:
    # Topaz leaves out high frequencies: pixel 0 stays where it is, the size is rounded down.
    scale = (size // factor) / size
    whole = np.floor(np.asarray(places, dtype=float) * scale + 0.5).astype(np.int64)
    return np.minimum(whole, size // factor - 1)


def _warn_of_drift(shape: tuple[int, int], factor: int, tile_px: int) -> None:
    drift = max(size - size // factor * factor for size in shape)
    if drift > _MOST_DRIFT * tile_px:
        warn(
            f"galleries of {shape[1]} × {shape[0]} pixels do not shrink evenly by {factor}: what "
            f"Topaz finds at their far edges comes back up to {drift} pixels off, in tiles of "
            f"{tile_px}; take another --downsample or --border."
        )


def _warn_of_contrast(contrasts: set[str], where: str) -> None:
    if contrasts == {"dark"}:
        return
    warn(
        f"{where}: protein is bright in these images, and the detectors that Topaz ships and "
        "starts its training from know dark particles."
    )


def _script(purpose: str, commands: list[str]) -> str:
    return (
        "#!/usr/bin/env bash\n"
        f"# Made by slabkit export topaz: {purpose}.\n"
        "# Call it from the folder where that was called.\n"
        "# TOPAZ_DEVICE is the graphics card's number; -1, the processor, if not set.\n"
        "set -euo pipefail\n"
        "device=${TOPAZ_DEVICE:--1}\n" + "\n".join(commands) + "\n"
    )
