"""What a user imports into CryoSPARC: micrographs, one place a tile, and stacks, each in two ways.

Each is written as what an import job takes (images with STAR files) and as a result group (``.csg``
with its ``.cs``). Nothing of CryoSPARC's own is changed. Images are linked, not copied, under
``>``, which means the group's folder.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from slabkit.arrays.tiling import GalleryLayout
from slabkit.errors import InputError
from slabkit.formats.programs.cryosparc.dataset import plain_name, write_dataset
from slabkit.formats.programs.cryosparc.export_text import gallery_steps, slab_steps
from slabkit.formats.programs.cryosparc.group import write_group
from slabkit.formats.programs.cryosparc.micrographs import (
    Micrographs,
    imported_micrographs,
    new_micrographs,
)
from slabkit.formats.programs.cryosparc.results import minislab_uids
from slabkit.formats.programs.cryosparc.slots import (
    AMPLITUDE_CONTRAST,
    VOLTAGE,
    fractions,
    microscope,
    signatures,
    transfer_function,
)
from slabkit.formats.tables.native import read_minislabs, read_slabs, read_text
from slabkit.formats.tables.paths import resolve_path
from slabkit.formats.tables.star import format_star, parse_star

if TYPE_CHECKING:
    import pandas as pd

YAxis = Literal["up", "down"]


@dataclass
class Export:
    """Files to be written, in a folder.

    Parameters
    ----------
    folder : Path
    table : str
        Where the images are named.
    links : dict of Path to Path
        Link to image.
    datasets : dict of str to columns
        Name of the ``.cs`` to its fields.
    groups : dict of str to dict
        Name of the ``.csg`` to the options of `write_group`.
    texts : dict of str to str
        Name of a text file to its text.
    """

    folder: Path
    table: str
    links: dict[Path, Path] = field(default_factory=dict)
    datasets: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def paths(self) -> list[Path]:
        """All files and links."""
        names = (*self.datasets, *self.groups, *self.texts)
        return [*self.links, *(self.folder / name for name in names)]

    def write(self) -> None:
        """Write everything, each file whole or not at all."""
        from slabkit.formats.tables.atomic import write_text

        for link, image in self.links.items():
            link.parent.mkdir(parents=True, exist_ok=True)
            temporary = link.with_name(f".{link.name}.link")
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(os.path.relpath(image.resolve(), link.parent.resolve()))
            os.replace(temporary, link)
        for name, columns in self.datasets.items():
            write_dataset(self.folder / name, columns)
        for name, options in self.groups.items():
            write_group(self.folder / name, **options)
        for name, text in self.texts.items():
            write_text(self.folder / name, text)

    def add_micrographs(self, micrographs: Micrographs) -> None:
        """Add a group of exposures, and links to their images."""
        for folder in dict.fromkeys(path[1:].partition("/")[0] for path in micrographs.paths):
            own = [
                image
                for image, path in zip(micrographs.written, micrographs.paths, strict=True)
                if path.startswith(f">{folder}/")
            ]
            self.link(folder, own)
        self.datasets["micrographs.cs"] = {
            "uid": micrographs.uids,
            **micrographs.blob,
            **microscope(len(micrographs.names)),
            **transfer_function(len(micrographs.names)),
        }
        slots = ("micrograph_blob", "mscope_params", "ctf")
        self._add_group("micrographs", "exposure", "Micrographs", slots, len(micrographs.names))

    def add_tiles(self, minislabs: pd.DataFrame, micrographs: Micrographs, y_axis: YAxis) -> None:
        """Add one place a tile, as a group and as a STAR file."""
        import pandas as pd

        at = micrographs.rows(minislabs["rlnMicrographName"].tolist())
        heights, widths = micrographs.shapes[at].T
        x, y = (minislabs[f"rlnCoordinate{axis}"].to_numpy(dtype=float) for axis in "XY")
        if y_axis == "up":
            y = heights - 1 - y
        self.datasets["tiles.cs"] = {
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
        self._add_group("tiles", "particle", "Tiles of galleries", ("location",), len(at))
        places = pd.DataFrame(
            {
                "rlnMicrographName": [micrographs.names[row] for row in at.tolist()],
                "rlnCoordinateX": x,
                "rlnCoordinateY": y,
                "rlnAutopickFigureOfMerit": 1.0,
            }
        )
        self.texts["tiles.star"] = format_star({"": places})

    def add_stacks(self, minislabs: pd.DataFrame, layout: GalleryLayout, pixel_size: float) -> None:
        """Add the images of stacks, as a group and as a STAR file."""
        images = minislabs["rlnImageName"].tolist()
        written = [name.partition("@")[2] for name in images]
        indices = [int(name.partition("@")[0]) - 1 for name in images]
        stacks = self.link("stacks", written)
        count = len(minislabs)
        self.datasets["particles.cs"] = {
            "uid": minislab_uids(minislabs),
            "blob/path": np.array([f">stacks/{stacks[one]}" for one in written], dtype=object),
            "blob/idx": np.array(indices, dtype=np.uint32),
            "blob/shape": np.full((count, 2), layout.tile_px, dtype=np.uint32),
            "blob/psize_A": np.full(count, pixel_size, dtype=np.float32),
            "blob/sign": np.ones(count, dtype=np.float32),  # stacks are light on dark
            "blob/import_sig": signatures(written),
            **transfer_function(count),
        }
        self._add_group("particles", "particle", "Minislabs", ("blob", "ctf"), count)
        names = [f"{i + 1:06d}@{stacks[one]}" for i, one in zip(indices, written, strict=True)]
        self.texts["particles.star"] = format_star(_particle_star(names, layout, pixel_size))

    def link(self, name: str, images: Sequence[str]) -> dict[str, str]:
        """Link images into a folder of the export.

        Returns
        -------
        dict of str to str
            Path in the table to the link's own name.

        Raises
        ------
        InputError
            An image is not there, or two are called the same.
        """
        taken: dict[str, str] = {}
        for image in dict.fromkeys(images):
            path, own = resolve_path(image, self.table), plain_name(image)
            if own in taken:
                raise InputError(
                    f"{self.table}: {taken[own]} and {image} have the same name, and CryoSPARC "
                    "tells images by it; rename one."
                )
            if not path.is_file():
                raise InputError(f"{self.table}: names the image {image}, which is not there.")
            taken[own] = image
            self.links[self.folder / name / own] = path
        return {image: own for own, image in taken.items()}

    def _add_group(self, name: str, kind: str, title: str, slots: Sequence[str], rows: int) -> None:
        self.groups[f"{name}.csg"] = {
            "kind": kind,
            "name": name,
            "title": title,
            "description": f"{title} written by slabkit export cryosparc.",
            "slots": {slot: slot for slot in slots},
            "metafile": f"{name}.cs",
            "rows": rows,
        }


def export_cryosparc(
    table: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    exposures: str | os.PathLike[str] | None = None,
    y_axis: YAxis = "down",
) -> Export:
    """Make what a user imports into CryoSPARC of a minislab table or a slab table.

    Parameters
    ----------
    table : path-like
    folder : path-like
        Where the files shall stand; nothing is written yet, see `Export.write`.
    exposures : path-like, optional
        Dataset of galleries that the project has imported already; the places are then linked to
        those, and no micrographs are written.
    y_axis : {"down", "up"}, optional
        How y shall count in the places of tiles: down from the first row of the file, or up from
        the last one.

    Returns
    -------
    Export

    Raises
    ------
    InputError
        The table is neither or empty, an image is missing, or the exposures are others.
    """
    if y_axis not in ("down", "up"):
        raise InputError(f"--y-axis must be up or down, not {y_axis!r}.")
    where = str(table)
    blocks = parse_star(read_text(table), where)
    export = Export(Path(folder), where)
    if "galleries" in blocks:
        _add_galleries(export, exposures, y_axis)
    elif "micrographs" in blocks:
        if exposures is not None or y_axis != "down":
            raise InputError("--exposures and --y-axis are for the tiles of galleries, not slabs.")
        _add_slabs(export)
    else:
        raise InputError(
            f"{where}: has neither a block data_galleries nor data_micrographs (it has "
            f"{', '.join(blocks)}), so it is neither a minislab nor a slab table."
        )
    return export


def _add_galleries(export: Export, exposures: str | os.PathLike[str] | None, y_axis: YAxis) -> None:
    minislabs, geometry = read_minislabs(export.table)
    if not len(minislabs):
        raise InputError(f"{export.table}: has no minislabs, so there is nothing to export.")
    row = geometry.iloc[0]
    layout, pixel_size = _layout(row, export.table)
    galleries = list(dict.fromkeys(minislabs["rlnMicrographName"]))
    if exposures is None:
        count = len(galleries)
        micrographs = new_micrographs(
            galleries,
            [layout.shape] * count,
            [pixel_size] * count,
            str(row["slabkitGallerySet"]),
        )
        export.add_micrographs(micrographs)
    else:
        micrographs = imported_micrographs(exposures, galleries, layout.shape, pixel_size)
    export.add_tiles(minislabs, micrographs, y_axis)
    stacks = minislabs["rlnImageName"] != ""
    if stacks.any():
        if not stacks.all():
            raise InputError(
                f"{export.table}: {int((~stacks).sum())} minislabs have no rlnImageName and others "
                "do; write them anew with slabkit minislab --stack."
            )
        export.add_stacks(minislabs, layout, pixel_size)
    export.texts["import.txt"] = gallery_steps(
        export.folder,
        layout,
        pixel_size,
        bright=str(row["slabkitContrast"]) == "bright",
        stacks=bool(stacks.any()),
        exposures=None if exposures is None else str(exposures),
    )


def _layout(row: pd.Series, where: str) -> tuple[GalleryLayout, float]:
    names = ("TileSize", "GalleryRows", "GalleryColumns", "GalleryBorder", "PixelSize")
    try:
        *sizes, pixel_size = (float(row[f"slabkit{name}"]) for name in names)
        return GalleryLayout(*(int(size) for size in sizes)), pixel_size
    except (KeyError, ValueError) as error:
        raise InputError(f"{where}: the galleries block is damaged ({error}).") from error


def _add_slabs(export: Export) -> None:
    slabs = read_slabs(export.table)
    if not len(slabs):
        raise InputError(f"{export.table}: has no slabs, so there is nothing to export.")
    sizes = slabs[["slabkitTomogramSizeY", "slabkitTomogramSizeX"]].to_numpy().tolist()
    pixel_sizes = slabs["slabkitVoxelSize"].tolist()
    micrographs = new_micrographs(
        slabs["rlnMicrographName"].tolist(), [(y, x) for y, x in sizes], pixel_sizes
    )
    export.add_micrographs(micrographs)
    folders = [path[1:].partition("/")[0] for path in micrographs.paths]
    export.texts["import.txt"] = slab_steps(
        export.folder,
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
