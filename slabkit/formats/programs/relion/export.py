"""STAR files that RELION starts from: galleries or slabs as micrographs, a place for every tile."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slabkit.errors import InputError
from slabkit.formats.programs.shared.export import Export, exported_kind
from slabkit.formats.tables.native import optics_columns, read_minislabs, read_slabs
from slabkit.formats.tables.paths import path_for_table, resolve_path
from slabkit.formats.tables.star_writing import format_star
from slabkit.units import voxel_sizes_equal

if TYPE_CHECKING:
    import pandas as pd

_JOB = re.compile(r"^.*?/job\d{3}[^/]*/")
_KEPT = ("rlnParticleName", "slabkitPickId", "slabkitTilt", "slabkitGallerySet")


def export_relion(
    table: str | os.PathLike[str], folder: str | os.PathLike[str], suffix: str = "slabkit"
) -> Export:
    """Make the STAR files for RELION of a minislab table or a slab table.

    Images stay where they are and must be in the working directory, RELION's project, or below.
    ``suffix`` ends the names of the coordinate files.
    """
    if not re.fullmatch(r"[A-Za-z0-9.-]+", suffix):
        raise InputError(f"--suffix must be of letters, digits, dots and hyphens, not {suffix!r}.")
    if exported_kind(table) == "galleries":
        return _galleries(table, Path(folder), suffix)
    return _slabs(table, Path(folder))


def _galleries(table: str | os.PathLike[str], folder: Path, suffix: str) -> Export:
    import pandas as pd

    minislabs, geometry = read_minislabs(table)
    if not len(minislabs):
        raise InputError(f"{table}: has no minislabs, so there is nothing to export.")
    row = geometry.iloc[0]
    tile, pixel_size = int(row["slabkitTileSize"]), float(row["slabkitPixelSize"])
    names = _project_paths(minislabs["rlnMicrographName"].tolist(), table)
    minislabs = minislabs.assign(rlnMicrographName=minislabs["rlnMicrographName"].map(names))
    galleries = list(dict.fromkeys(minislabs["rlnMicrographName"]))
    files: dict[Path, str | bytes] = {
        folder / "galleries.star": _micrographs(galleries, pixel_size)
    }
    listed = []
    for name in galleries:
        own = minislabs[minislabs["rlnMicrographName"] == name]
        # RELION leaves out the path up to the number of a job, and the image's suffix.
        short = _JOB.sub("", name).rsplit(".", 1)[0]
        path = folder / f"{short}_{suffix}.star"
        files[path] = format_star({"": _coordinates(own)})
        listed.append(path_for_table(path))
    files[folder / "coordinates.star"] = format_star(
        {
            "coordinate_files": pd.DataFrame(
                {"rlnMicrographName": galleries, "rlnMicrographCoordinates": listed}
            )
        }
    )
    at = path_for_table(folder)
    invert = " --invert_contrast" if row["slabkitContrast"] == "dark" else ""
    return Export(
        table,
        files,
        counts={"galleries": len(galleries), "coordinates": len(minislabs)},
        next_step=f"relion_preprocess --i {at}/galleries.star --coord_dir {at}/ "
        f"--coord_suffix _{suffix}.star --part_star Extract/particles.star --part_dir Extract/ "
        f"--extract --extract_size {tile} --norm --bg_radius {max(1, tile // 2 - 1)}{invert}",
    )


def _coordinates(rows: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    columns: dict[str, Any] = {
        "rlnCoordinateX": rows["rlnCoordinateX"].to_numpy(),
        "rlnCoordinateY": rows["rlnCoordinateY"].to_numpy(),
        "rlnClassNumber": 0,
        "rlnAnglePsi": 0.0,
    }
    columns |= {name: rows[name].to_numpy() for name in _KEPT}
    return pd.DataFrame(columns)


def _slabs(table: str | os.PathLike[str], folder: Path) -> Export:
    slabs = read_slabs(table)
    if not len(slabs):
        raise InputError(f"{table}: has no slabs, so there is nothing to export.")
    names = _project_paths(slabs["rlnMicrographName"].tolist(), table)
    slabs = slabs.assign(rlnMicrographName=slabs["rlnMicrographName"].map(names))
    shapes = slabs[["slabkitTomogramSizeX", "slabkitTomogramSizeY"]].to_numpy().tolist()
    groups: list[tuple[float, list[int], list[int]]] = []
    for position, size in enumerate(slabs["slabkitVoxelSize"].tolist()):
        for edge, shape, rows in groups:
            if shape == shapes[position] and voxel_sizes_equal(edge, size):
                rows.append(position)
                break
        else:
            groups.append((size, shapes[position], [position]))
    files: dict[Path, str | bytes] = {}
    for edge, (width, height), rows in groups:
        file = f"micrographs_{width}x{height}_{edge:g}A.star"
        path = folder / ("micrographs.star" if len(groups) == 1 else file)
        files[path] = _micrographs(slabs["rlnMicrographName"].iloc[rows].tolist(), edge)
    invert = " --Log_invert" if slabs["slabkitContrast"].iloc[0] == "bright" else ""
    return Export(
        table,
        files,
        counts={"slabs": len(slabs), "files": len(groups)},
        next_step=f"relion_autopick --i {path_for_table(next(iter(files)))} --odir AutoPick/ "
        f"--pickname autopick --LoG --LoG_diam_min MIN --LoG_diam_max MAX --shrink 0 --lowpass 20"
        f"{invert}",
    )


def _micrographs(names: list[str], pixel_size: float) -> str:
    import pandas as pd

    optics = optics_columns([pixel_size], "rlnMicrographPixelSize")
    micrographs = pd.DataFrame({"rlnMicrographName": names, "rlnOpticsGroup": 1})
    return format_star({"optics": optics, "micrographs": micrographs})


def _project_paths(written: list[str], table: str | os.PathLike[str]) -> dict[str, str]:
    """Give the path of each image as RELION will look for it, from the working directory."""
    paths: dict[str, str] = {}
    for name in dict.fromkeys(written):
        found = resolve_path(name, table)
        if not os.path.exists(found):
            raise InputError(f"{table}: names {name}, which is not there.")
        path = path_for_table(found)
        if path.startswith("../"):
            raise InputError(
                f"{found}: lies outside the working directory, which RELION takes for its project; "
                "call slabkit from a folder above the images, or link them into the project."
            )
        paths[name] = path
    return paths
