"""What CryoSPARC found: 2D picks on slabs, results on minislabs (selections, picks, classes).

A minislab is told by the ``uid`` of a particle where slabkit gave it one (`slabkit export
cryosparc`), else by the stack and the number of its image, else by its place on the gallery.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slabkit.errors import InputError, warn
from slabkit.formats.file_format import FileFormat, Minislabs, Slabs, checked, pooled
from slabkit.formats.programs.cryosparc.dataset import (
    NUMPY_MAGIC,
    STREAM_MAGIC,
    is_group,
    plain_name,
    unique_ids,
)
from slabkit.formats.programs.cryosparc.describing import describe
from slabkit.formats.programs.cryosparc.particles import (
    Particles,
    read_particles,
    referenced_files,
)
from slabkit.formats.source import Source

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.arrays.tiling import GalleryLayout

_AT_CENTRE_PX = 0.01
_LEFT_OUT = re.compile(r"(?<![A-Za-z])(excluded|rejected)(?![A-Za-z])", re.IGNORECASE)


def read_picks2d(sources: Sequence[Source], slabs: Slabs) -> pd.DataFrame:
    """Read 2D picks on slabs, of any picker or extraction; y as in the file."""
    return pooled([_picks2d(part, slabs) for part in read_particles(sources)])


def _picks2d(part: Particles, slabs: Slabs) -> pd.DataFrame:
    import pandas as pd

    part.require(["location/micrograph_path"], "it is not known where the particles are")
    paths = [path.lstrip(">") for path in part.texts("location/micrograph_path")]
    known = slabs.names.match(paths, part.where)
    names = [known[path] for path in paths]
    sizes = [slabs.values(f"slabkitTomogramSize{axis}", names) for axis in "YX"]
    x, y = part.places([(int(h), int(w)) for h, w in zip(*sizes, strict=True)], "slabs")
    found = {"rlnMicrographName": names, "rlnCoordinateX": x, "rlnCoordinateY": y}
    table = pd.DataFrame(found, index=range(len(part)))
    score, classes = part.scores(), part.classes()
    if score is not None:
        table["rlnAutopickFigureOfMerit"], table["slabkitScoreKind"] = score
    if classes is not None:
        table["rlnClassNumber"] = [int(number) for number in classes]
    return checked(table, part.where)


def minislab_uids(minislabs: pd.DataFrame) -> Any:
    """Give the ``uid`` of each minislab: the same for the same pick, tilt and set of galleries."""
    return unique_ids(
        [
            f"minislab\0{set_id}\0{pick}\0{tilt:.3f}"
            for set_id, pick, tilt in zip(
                minislabs["slabkitGallerySet"],
                minislabs["slabkitPickId"],
                minislabs["slabkitTilt"].to_numpy(dtype=float) + 0.0,
                strict=True,
            )
        ]
    )


def read_cryosparc(sources: Sequence[Source], known: Minislabs) -> pd.DataFrame:
    """Read what CryoSPARC says of minislabs, by ids, images or places (y as in the file).

    A file whose name says ``passthrough``, or that has all particles of another and more, adds
    fields to the others by ``uid``; so do the files that a group beside a dataset names. One whose
    name says ``excluded`` or ``rejected`` lists what was rejected.
    """
    import pandas as pd

    minislabs, layout, y_axis = known.table, known.layout, known.y_axis
    parts = read_particles(sources)
    left_out = [bool(_LEFT_OUT.search(Path(part.where).name)) for part in parts]
    tables = []
    for part, excluded in zip(parts, left_out, strict=True):
        found: dict[str, Any] = {
            "source": Path(part.where).name,
            "line": np.arange(1, len(part) + 1),
            **_identity(part, minislabs, layout),
        }
        if y_axis is None and layout is not None and "rlnImageName" not in found:
            _warn_of_our_places(part, found, layout)
        classes, scores = part.classes(), part.scores()
        if classes is not None:
            found["slabkitClass"] = classes
        if scores is not None:
            found["slabkitScore"], found["slabkitScoreKind"] = scores
        if any(left_out):
            found["slabkitDecision"] = "rejected" if excluded else "accepted"
        tables.append(pd.DataFrame(found, index=range(len(part))))
    common = [c for c in tables[0].columns if all(c in table.columns for table in tables)]
    if not any(name in common for name in ("slabkitPickId", "rlnImageName", "rlnMicrographName")):
        raise InputError(
            f"{', '.join(part.where for part in parts)}: say in different ways which minislab a "
            "particle is; label them one at a time."
        )
    return pd.concat([table[common] for table in tables], ignore_index=True)


def _identity(
    part: Particles, minislabs: pd.DataFrame | None, layout: GalleryLayout | None
) -> dict[str, Any]:
    """Say by columns of the minislab table which minislab each particle is, in all known ways."""
    columns = set(part.columns)
    found: dict[str, Any] = {}
    if "uid" in columns and minislabs is not None:
        found |= _by_uid(part, minislabs)
    if {"blob/path", "blob/idx"} <= columns:
        found |= _by_image(part, minislabs)
    if "location/micrograph_path" in columns and layout is not None:
        x, y = part.places([layout.shape] * len(part), "galleries")
        names = [plain_name(path) for path in part.texts("location/micrograph_path")]
        found |= {"rlnMicrographName": names, "rlnCoordinateX": x, "rlnCoordinateY": y}
    if not found:
        remark = "blob/path with blob/idx would do too"
        if {"blob/path", "blob/idx"} <= columns:
            remark = "its blob/path names no stack of the minislab table; is it of another set?"
        part.require(
            ["location/micrograph_path", "location/center_x_frac", "location/center_y_frac"],
            f"it is not known which minislab a particle is ({remark})",
        )
        raise InputError(f"{part.where}: the layout of the galleries is needed to read places.")
    return found


def _warn_of_our_places(part: Particles, found: dict[str, Any], layout: GalleryLayout) -> None:
    """Say that places which slabkit wrote cannot tell how CryoSPARC counts y when it cuts images.

    Picks that a program found lie near the centres of tiles, not at them.
    """
    if "rlnCoordinateY" not in found or not len(part):
        return
    *_, distance = layout.tile_of(found["rlnCoordinateX"], found["rlnCoordinateY"])
    if (distance < _AT_CENTRE_PX).all():
        warn(
            f"{part.where}: the places are exactly those of tiles, as slabkit wrote them, so they "
            "do not show which way CryoSPARC counted y when it cut the images; it was taken to "
            "count down from the first row (docs/cryosparc.md says how to make sure; --y-axis down "
            "says so)."
        )


def _by_uid(part: Particles, minislabs: pd.DataFrame) -> dict[str, Any]:
    import pandas as pd

    uids = part.columns["uid"]
    if uids.dtype.kind not in "iu" or uids.ndim != 1:
        raise InputError(f"{part.where}: uid does not hold whole numbers.")
    rows = pd.Index(minislab_uids(minislabs)).get_indexer(pd.Index(uids.astype(np.uint64)))
    if not (rows >= 0).any():
        return {}
    ids = minislabs["slabkitPickId"].to_numpy(dtype=object)[rows]
    tilts = minislabs["slabkitTilt"].to_numpy(dtype=float)[rows]
    ids[rows < 0] = ""
    return {"slabkitPickId": ids, "slabkitTilt": np.where(rows >= 0, tilts, 0.0)}


def _by_image(part: Particles, minislabs: pd.DataFrame | None) -> dict[str, Any]:
    paths, indices = part.texts("blob/path"), part.numbers("blob/idx")
    if not (indices >= 0).all() or not np.isfinite(indices).all():
        raise InputError(f"{part.where}: blob/idx does not hold numbers of images, from 0.")
    if minislabs is None:
        stacks = {path: path for path in paths}
    else:
        written = {name.partition("@")[2] for name in minislabs["rlnImageName"] if name}
        by_name: dict[str, list[str]] = {}
        for stack in sorted(written):
            by_name.setdefault(plain_name(stack), []).append(stack)
        stacks = {
            path: by_name[plain_name(path)][0]
            for path in dict.fromkeys(paths)
            if len(by_name.get(plain_name(path), ())) == 1
        }
        if paths and not stacks:
            return {}  # images that CryoSPARC extracted itself
    images = [
        f"{int(index) + 1:06d}@{stacks.get(path, path)}"
        for path, index in zip(paths, indices.tolist(), strict=True)
    ]
    return {"rlnImageName": images}


DATASET = FileFormat(
    name="cryosparc",
    title="CryoSPARC picks or particles (.cs, or .csg of an output)",
    unit="fraction of the slab",
    origin="centre of the first pixel",
    sniff=lambda source: (
        source.beginning.startswith((NUMPY_MAGIC, STREAM_MAGIC)) or is_group(source.where)
    ),
    read_picks2d=read_picks2d,
    read_results=read_cryosparc,
    describe=describe,
    y_settled=False,
    files=referenced_files,
)
