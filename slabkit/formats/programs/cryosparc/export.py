"""What a user imports into CryoSPARC: micrographs, one place a tile, and stacks, each in two ways.

Each is written as what an import job takes (images with STAR files) and as a result group (``.csg``
with its ``.cs``). Nothing of CryoSPARC's own is changed. Images are linked, not copied, under
``>``, which means the group's folder.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from slabkit.arrays.tiling import GalleryLayout
from slabkit.errors import InputError
from slabkit.formats.programs.cryosparc.dataset import dataset_bytes, group_text, plain_name
from slabkit.formats.programs.cryosparc.export_text import gallery_steps, slab_steps
from slabkit.formats.programs.cryosparc.results import minislab_uids
from slabkit.formats.programs.cryosparc.slots import (
    AMPLITUDE_CONTRAST,
    VOLTAGE,
    Micrographs,
    fractions,
    imported_micrographs,
    microscope,
    new_micrographs,
    signatures,
    transfer_function,
)
from slabkit.formats.programs.shared.export import Export, exported_kind
from slabkit.formats.tables.native import read_minislabs, read_slabs
from slabkit.formats.tables.star_writing import format_star

if TYPE_CHECKING:
    import pandas as pd

YAxis = Literal["up", "down"]


def export_cryosparc(
    table: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    exposures: str | os.PathLike[str] | None = None,
    y_axis: YAxis = "down",
) -> Export:
    """Make what a user imports into CryoSPARC of a minislab table or a slab table.

    ``exposures`` is a dataset of galleries that the project has imported already: the places are
    then linked to those, and no micrographs are written. ``y_axis`` says how y counts in the places
    of tiles: down from the first row of the file, or up from the last one.
    """
    main = Path(folder) / "import.txt"
    made = _Import(Path(folder), Export(table, {main: ""}, next_step=f"do what {main} says"))
    if exported_kind(table) == "galleries":
        made.export.files[main] = _add_galleries(made, exposures, y_axis)
    elif exposures is not None or y_axis != "down":
        raise InputError("--exposures and --y-axis are for the tiles of galleries, not slabs.")
    else:
        made.export.files[main] = _add_slabs(made)
    return made.export


@dataclass(frozen=True)
class _Import:
    """What is added to an export, one result group after the other."""

    folder: Path
    export: Export

    def add_group(
        self, name: str, kind: str, title: str, columns: dict[str, Any], slots: Sequence[str]
    ) -> None:
        count = len(columns["uid"])
        self.export.files[self.folder / f"{name}.cs"] = dataset_bytes(columns)
        self.export.files[self.folder / f"{name}.csg"] = group_text(
            kind=kind,
            name=name,
            title=title,
            description=f"{title} written by slabkit export cryosparc.",
            slots=slots,
            metafile=f"{name}.cs",
            rows=count,
        )
        self.export.counts[name] = count

    def add_micrographs(self, micrographs: Micrographs) -> None:
        """Add a group of exposures, and links to their images."""
        for folder in dict.fromkeys(path[1:].partition("/")[0] for path in micrographs.paths):
            own = [
                image
                for image, path in zip(micrographs.written, micrographs.paths, strict=True)
                if path.startswith(f">{folder}/")
            ]
            self.link(folder, own)
        count = len(micrographs.names)
        slots = {**micrographs.blob, **microscope(count), **transfer_function(count)}
        names = ("micrograph_blob", "mscope_params", "ctf")
        columns = {"uid": micrographs.uids, **slots}
        self.add_group("micrographs", "exposure", "Micrographs", columns, names)

    def add_tiles(self, minislabs: pd.DataFrame, micrographs: Micrographs, y_axis: YAxis) -> None:
        """Add one place a tile, as a group and as a STAR file."""
        import pandas as pd

        at = micrographs.rows(minislabs["rlnMicrographName"].tolist())
        heights, widths = micrographs.shapes[at].T
        x, y = (minislabs[f"rlnCoordinate{axis}"].to_numpy(dtype=float) for axis in "XY")
        if y_axis == "up":
            y = heights - 1 - y
        columns = {
            "uid": minislab_uids(minislabs),
            "location/micrograph_uid": micrographs.uids[at],
            "location/exp_group_id": micrographs.groups[at],
            "location/micrograph_path": np.array(micrographs.paths, dtype=object)[at],
            "location/micrograph_shape": micrographs.shapes[at].astype(np.uint32),
            "location/center_x_frac": fractions(x, widths),
            "location/center_y_frac": fractions(y, heights),
            "location/micrograph_psize_A": micrographs.pixel_sizes[at].astype(np.float32),
            "location/min_dist_A": np.zeros(len(at), dtype=np.float32),
        }
        self.add_group("tiles", "particle", "Tiles of galleries", columns, ("location",))
        places = pd.DataFrame(
            {
                "rlnMicrographName": [micrographs.names[row] for row in at.tolist()],
                "rlnCoordinateX": x,
                "rlnCoordinateY": y,
                "rlnAutopickFigureOfMerit": 1.0,
            }
        )
        self.export.files[self.folder / "tiles.star"] = format_star({"": places})

    def add_stacks(self, minislabs: pd.DataFrame, layout: GalleryLayout, pixel_size: float) -> None:
        """Add the images of stacks, as a group and as a STAR file."""
        images = minislabs["rlnImageName"].tolist()
        written = [name.partition("@")[2] for name in images]
        indices = [int(name.partition("@")[0]) - 1 for name in images]
        stacks = self.link("stacks", written)
        count = len(minislabs)
        columns = {
            "uid": minislab_uids(minislabs),
            "blob/path": np.array([f">stacks/{stacks[one]}" for one in written], dtype=object),
            "blob/idx": np.array(indices, dtype=np.uint32),
            "blob/shape": np.full((count, 2), layout.tile_px, dtype=np.uint32),
            "blob/psize_A": np.full(count, pixel_size, dtype=np.float32),
            "blob/sign": np.ones(count, dtype=np.float32),  # stacks are light on dark
            "blob/import_sig": signatures(written),
            **transfer_function(count),
        }
        self.add_group("particles", "particle", "Minislabs", columns, ("blob", "ctf"))
        names = [f"{i + 1:06d}@{stacks[one]}" for i, one in zip(indices, written, strict=True)]
        text = format_star(_particle_star(names, layout, pixel_size))
        self.export.files[self.folder / "particles.star"] = text

    def link(self, name: str, images: Sequence[str]) -> dict[str, str]:
        """Link images into a folder; gives the link's own name for each path in the table."""
        taken: dict[str, str] = {}
        for image in dict.fromkeys(images):
            own = plain_name(image)
            if own in taken:
                raise InputError(
                    f"{self.export.table}: {taken[own]} and {image} have the same name, and "
                    "CryoSPARC tells images by it; rename one."
                )
            self.export.link(self.folder / name / own, image)
            taken[own] = image
        return {image: own for own, image in taken.items()}


def _add_galleries(made: _Import, exposures: str | os.PathLike[str] | None, y_axis: YAxis) -> str:
    """Add tiles, stacks and, without exposures, galleries; gives the text for the user."""
    table = str(made.export.table)
    minislabs, geometry = read_minislabs(table)
    if not len(minislabs):
        raise InputError(f"{table}: has no minislabs, so there is nothing to export.")
    row = geometry.iloc[0]
    layout, pixel_size = GalleryLayout.from_table(row, table), float(row["slabkitPixelSize"])
    galleries = list(dict.fromkeys(minislabs["rlnMicrographName"]))
    if exposures is None:
        count = len(galleries)
        set_id = str(row["slabkitGallerySet"])
        shapes, sizes = [layout.shape] * count, [pixel_size] * count
        micrographs = new_micrographs(galleries, shapes, sizes, set_id)
        made.add_micrographs(micrographs)
    else:
        micrographs = imported_micrographs(exposures, galleries, layout.shape, pixel_size)
    made.add_tiles(minislabs, micrographs, y_axis)
    stacks = minislabs["rlnImageName"] != ""
    if stacks.any():
        if not stacks.all():
            raise InputError(
                f"{table}: {int((~stacks).sum())} minislabs have no rlnImageName and others "
                "do; write them anew with slabkit minislab --stack."
            )
        made.add_stacks(minislabs, layout, pixel_size)
    return gallery_steps(
        made.folder,
        layout,
        pixel_size,
        bright=str(row["slabkitContrast"]) == "bright",
        stacks=bool(stacks.any()),
        exposures=None if exposures is None else str(exposures),
    )


def _add_slabs(made: _Import) -> str:
    """Add slabs as micrographs; gives the text for the user."""
    slabs = read_slabs(made.export.table)
    if not len(slabs):
        raise InputError(f"{made.export.table}: has no slabs, so there is nothing to export.")
    sizes = slabs[["slabkitTomogramSizeY", "slabkitTomogramSizeX"]].to_numpy().tolist()
    pixel_sizes = slabs["slabkitVoxelSize"].tolist()
    micrographs = new_micrographs(
        slabs["rlnMicrographName"].tolist(), [(y, x) for y, x in sizes], pixel_sizes
    )
    made.add_micrographs(micrographs)
    folders = [path[1:].partition("/")[0] for path in micrographs.paths]
    return slab_steps(
        made.folder,
        dict(zip(reversed(folders), reversed(pixel_sizes), strict=True)),
        bright=bool((slabs["slabkitContrast"] == "bright").any()),
    )


def _particle_star(
    images: Sequence[str], layout: GalleryLayout, pixel_size: float
) -> dict[str, pd.DataFrame]:
    import pandas as pd

    optics = {
        "rlnOpticsGroupName": "opticsGroup1",
        "rlnOpticsGroup": 1,
        "rlnVoltage": VOLTAGE,
        "rlnSphericalAberration": 0.0,
        "rlnAmplitudeContrast": AMPLITUDE_CONTRAST,
        "rlnImagePixelSize": pixel_size,
        "rlnImageSize": layout.tile_px,
        "rlnImageDimensionality": 2,
    }
    flat = ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnPhaseShift")
    particles = {"rlnImageName": list(images), "rlnOpticsGroup": 1, **dict.fromkeys(flat, 0.0)}
    return {"optics": pd.DataFrame([optics]), "particles": pd.DataFrame(particles)}
