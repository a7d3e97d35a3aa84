"""What `learn`, `predict` and `suggest` share: minislabs as boxes, and models in folders."""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError
from slabkit.tomogram import Tomogram, TomogramVoxels
from slabkit.units import protein_sign, voxel_sizes_equal

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.formats.particle_images import ParticleImages
    from slabkit.learning import Model
    from slabkit.learning.model import Block, Further, KeptMap
    from slabkit.learning.rotated_maps import RotatedMap
    from slabkit.tomogram import TomogramRef

_CENTRE = ("slabkitCentreZ", "slabkitCentreY", "slabkitCentreX")
_PLANES_OF_LEVEL = 12  # whose grey values are those of their tomogram


@dataclass(frozen=True)
class Minislabs:
    """A minislab table, one row a pick, and where its volumes are."""

    name: str  # of the file
    table: pd.DataFrame  # the view that is tilted least of each pick
    geometry: pd.DataFrame
    row: npt.NDArray[np.intp]  # of each in the file
    volumes: Mapping[str, TomogramRef] = field(default_factory=dict)  # empty: not at hand
    files: tuple[str, ...] = ()  # that were read besides the table
    held: _Held = field(default_factory=lambda: _Held(), repr=False, compare=False)

    @classmethod
    def find(
        cls, name: str, picks: str | None, tomograms: tuple[str, ...] | None, *, images: bool
    ) -> Minislabs:
        """Read a table, and look for the volumes unless ``images`` says that they are not used."""
        from slabkit.formats.tables.native import read_minislabs

        table, geometry = read_minislabs(name)
        if not len(table):
            raise InputError(f"{name}: has no minislabs.")
        by_image = _by_image(table)
        upright = by_image.iloc[by_image["slabkitTilt"].abs().argsort(kind="stable")]
        upright = upright.drop_duplicates("slabkitPickId").sort_index()
        row = upright.index.to_numpy(dtype=np.intp)
        found = cls(name, upright.reset_index(drop=True), geometry, row)
        return found if images else found._with_volumes(picks, tomograms)

    def _with_volumes(self, picks: str | None, tomograms: tuple[str, ...] | None) -> Minislabs:
        from slabkit.formats.tables.native import read_native_picks
        from slabkit.formats.tomograms.listing import list_tomograms, pick_tomograms
        from slabkit.formats.tomograms.names import files_read

        asked = picks is not None or tomograms is not None
        source = picks or _recorded_picks(self.name)
        names = list(dict.fromkeys(self.table["slabkitTomogram"]))
        listed = None if source is None else read_native_picks(source)
        if tomograms is not None and picks is None and listed is not None:
            # By the list volumes are read as those were, unless it is another one by now.
            listed = listed if {*names} <= {*listed.picks["slabkitTomogram"]} else None
        if listed is not None:
            volumes = dict(pick_tomograms(listed, str(source), tomograms))
        elif tomograms is not None:
            volumes = {one.name: one for one in list_tomograms(tomograms)}
        else:
            return self
        there = [name for name in names if name in volumes and _is_there(volumes[name])]
        if len(there) < len(names):
            if not there and not asked:
                return self
            missing = next(name for name in names if name not in there)
            if missing in volumes and volumes[missing].problem:
                raise InputError(str(volumes[missing].problem))
            raise InputError(
                f"{self.name}: the volume of {missing} is not at hand ({len(names) - len(there)} "
                f"of {len(names)} are not); give all with --tomograms, or --images-only to do "
                "without."
            )
        used = {name: volumes[name] for name in names}
        files = dict.fromkeys(str(file) for one in used.values() for file in files_read(one))
        given = (picks,) if picks else ()
        return Minislabs(self.name, self.table, self.geometry, self.row, used, (*given, *files))

    def by_image(self) -> Minislabs:
        """Give the same in the order of the galleries, whatever the order of the table is."""
        order = _by_image(self.table).index.to_numpy(dtype=np.intp)
        table = self.table.iloc[order].reset_index(drop=True)
        return replace(self, table=table, row=self.row[order])

    @property
    def pixel_size(self) -> float:
        """In Å."""
        return float(self.geometry.iloc[0]["slabkitPixelSize"])

    @property
    def box_px(self) -> int:
        """Side of the images."""
        return int(self.geometry.iloc[0]["slabkitTileSize"])

    def kind(self) -> dict[str, Any]:
        """Say what a model of these minislabs is for."""
        import slabkit
        from slabkit.learning.harmonics import PLANES, SIDE, STEPS_A_BOX

        kind: dict[str, Any] = {
            "seen": "volumes" if self.volumes else "images",
            "pixel_size": self.pixel_size,
            "box_px": self.box_px,
            "contrast": "bright",
            "normalisation": "tomogram" if self.volumes else "image, outside the inscribed circle",
            "samples": [PLANES if self.volumes else 1, SIDE, SIDE],
            "steps_a_box": STEPS_A_BOX,
            "version": slabkit.__version__,
        }
        if not self.volumes:
            kind["depth"] = float(self.geometry.iloc[0]["slabkitDepth"])
        return kind

    def rotated(
        self,
        maps: Mapping[str, KeptMap],
        tilt_range: Sequence[float] | None,
        jobs: int,
        known: Sequence[RotatedMap] = (),
    ) -> dict[float, Sequence[RotatedMap]]:
        """Turn density maps for each voxel size of the volumes; ``known`` are for one already."""
        from slabkit.arrays.parallel import map_in_order

        tilts = None if tilt_range is None else (float(tilt_range[0]), float(tilt_range[1]))
        found = {known[0].voxel_size: known} if known else {}
        for size in {ref.open().voxel_size for ref in self.volumes.values()} if maps else ():
            if size not in found:
                turn = functools.partial(_rotate, size, tilts)
                found[size] = list(map_in_order(turn, maps.items(), jobs))
        return found

    def further(self, maps: Mapping[float, Sequence[RotatedMap]], jobs: int) -> Further | None:
        """Give what asks how well density maps explain what is at a pick; None without maps."""
        return functools.partial(self._map_block, maps, jobs) if maps else None

    def further_of(self, model: Model, jobs: int) -> Further | None:
        """Give the same for the maps of a model."""
        tilts = model.kind.get("tilt_range")
        return self.further(self.rotated(model.maps, tilts, jobs, model.rotated), jobs)

    def _map_block(
        self,
        maps: Mapping[float, Sequence[RotatedMap]],
        jobs: int,
        wanted: npt.NDArray[np.bool_],
    ) -> dict[str, Block]:
        from slabkit.learning.map_evidence import fit_maps
        from slabkit.learning.map_naming import (
            HIGHEST,
            RANDOM_PLACES,
            random_places,
            relative_fits,
        )

        centres = self.table[list(_CENTRE)].to_numpy(dtype=np.float64)[:, ::-1]
        names = [one.name for one in next(iter(maps.values()))]
        values = np.full((len(self.table), len(names)), np.nan, dtype=np.float32)
        for name, rows in self.table.groupby("slabkitTomogram", sort=False).indices.items():
            rows = rows[wanted[rows]]
            if not len(rows):
                continue
            tomogram = self.volumes[str(name)].open()
            size = tomogram.voxel_size
            side = max(one.side_vox * one.bin_vox for one in maps[size])
            tomogram = self.held.whole(str(name), tomogram, len(rows) * side**2)
            random = random_places(tomogram.shape, size, RANDOM_PLACES)
            chance = fit_maps(tomogram, random, maps[size], jobs)
            found = fit_maps(tomogram, centres[rows], maps[size], jobs, chance).coefficient
            values[rows] = relative_fits(found, chance.coefficient).clip(-1, HIGHEST)
        return {"maps": (values, [f"fit:{name}" for name in names])}

    def boxes(self) -> _VolumeBoxes | _ImageBoxes:
        """Open the volumes, or else the images."""
        from slabkit.formats.particle_images import read_particle_images
        from slabkit.learning.harmonics import STEPS_A_BOX

        if not self.volumes:
            return _ImageBoxes(read_particle_images(self.name), self.row)
        centres = self.table[list(_CENTRE)].to_numpy(dtype=np.float64)
        if not np.isfinite(centres).all():
            raise InputError(
                f"{self.name}: does not say where its minislabs are (slabkitCentreX, Y, Z); make "
                "them again with slabkit minislab, or give --images-only."
            )
        opened = {name: ref.open() for name, ref in self.volumes.items()}
        step = self.box_px * self.pixel_size / STEPS_A_BOX
        names = self.table["slabkitTomogram"].to_numpy(dtype=object)
        return _VolumeBoxes(opened, names, centres, step, self.held)


def _rotate(
    voxel_size: float, tilts: tuple[float, float] | None, item: tuple[str, KeptMap]
) -> RotatedMap:
    from slabkit.learning.rotated_maps import rotate_map

    name, (density, own) = item
    return rotate_map(density, own, voxel_size, name=name, tilt_range=tilts)


def _by_image(table: pd.DataFrame) -> pd.DataFrame:
    """Sort by gallery, row and column, as `slabkit minislab` writes them; 1000 comes after 999."""
    names = table["rlnMicrographName"].to_numpy(dtype=str)
    row, column = (table[f"slabkitTile{name}"].to_numpy() for name in ("Row", "Column"))
    return table.iloc[np.lexsort((column, row, names, np.char.str_len(names)))]


class _Held:
    """The last tomogram that much is read from, in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: tuple[str, Tomogram] | None = None

    def whole(self, name: str, tomogram: Tomogram, rows: float) -> Tomogram:
        """Give a tomogram in memory, if so many rows are worth it; other threads wait for it."""
        with self._lock:
            if self._last is not None and self._last[0] == name:
                return self._last[1]
            if rows >= tomogram.shape[0] * tomogram.shape[1]:
                self._last = None
            held = tomogram.in_memory(rows)
            if held is not tomogram:
                self._last = name, held
            return held


def load_model(folder: str) -> Model:
    """Read a model from its folder."""
    from slabkit.formats.models import read_model
    from slabkit.learning.packing import unpack_model

    return unpack_model(*read_model(folder), folder)


def minislabs_for(
    model: Model, folder: str, name: str, picks: str | None, tomograms: tuple[str, ...] | None
) -> Minislabs:
    """Find what a model looks at; refuse minislabs of another kind."""
    images = model.kind.get("seen") == "images"
    found = Minislabs.find(name, picks, tomograms, images=images)
    if not images and not found.volumes:
        raise InputError(
            f"{folder}: the model looks at volumes, and those of {name} are not known; give "
            "--picks or --tomograms."
        )
    mine, theirs = found.kind(), model.kind
    if not voxel_sizes_equal(mine["pixel_size"], float(theirs["pixel_size"])):
        raise InputError(
            f"{name}: has pixels of {mine['pixel_size']:g} Å, and the model {folder} is of pixels "
            f"of {theirs['pixel_size']:g} Å; make minislabs with --pixel-size, or learn a model."
        )
    for key, what, unit in (("box_px", "boxes", "pixels"), ("depth", "a depth", "Å")):
        if key in mine and mine[key] != theirs.get(key):
            raise InputError(
                f"{name}: has {what} of {mine[key]:g} {unit}, and the model {folder} is of "
                f"{theirs.get(key)} {unit}; make minislabs of that size, or learn a model."
            )
    for key in ("samples", "steps_a_box"):
        if mine[key] != theirs.get(key):
            raise InputError(f"{folder}: is a model of another version of slabkit; learn it again.")
    return found


class _ImageBoxes:
    """Images of minislabs, as boxes of one plane."""

    def __init__(self, images: ParticleImages, rows: npt.NDArray[np.intp]) -> None:
        self._images, self._rows = images, rows

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, numbers: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        """Read boxes by number, shape (n, 1, y, x)."""
        from slabkit.arrays.boxes import cut_images
        from slabkit.learning.harmonics import SIDE, STEPS_A_BOX
        from slabkit.minislabs import normalise_minislabs

        images = normalise_minislabs(self._images.read(self._rows[numbers]))
        return cut_images(images, SIDE, images.shape[-1] / STEPS_A_BOX)[:, np.newaxis]


class _VolumeBoxes:
    """Boxes cut from tomograms, grey values in standard deviations of their tomogram."""

    def __init__(
        self,
        tomograms: Mapping[str, Tomogram],
        names: npt.NDArray[np.object_],
        centres: npt.NDArray[np.float64],
        step: float,
        held: _Held,
    ) -> None:
        self._tomograms, self._names, self._centres, self._step = tomograms, names, centres, step
        self._level = {name: _level(tomogram) for name, tomogram in tomograms.items()}
        self._held = held

    def __len__(self) -> int:
        return len(self._names)

    def read(self, numbers: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        """Read boxes by number, shape (n, planes, y, x)."""
        from slabkit.arrays.boxes import cut_boxes
        from slabkit.learning.harmonics import PLANES, SIDE

        boxes = np.empty((len(numbers), PLANES, SIDE, SIDE), dtype=np.float32)
        for name in dict.fromkeys(self._names[numbers]):
            own = np.flatnonzero(self._names[numbers] == name)
            tomogram, (mean, scale) = self._tomograms[name], self._level[name]
            places = self._centres[numbers[own]] / tomogram.voxel_size
            step = self._step / tomogram.voxel_size
            tomogram = self._held.whole(name, tomogram, len(own) * 2 * PLANES * SIDE * step**2)
            cut = cut_boxes(
                TomogramVoxels(tomogram), places, (PLANES, SIDE, SIDE), (2 * step, step, step)
            )
            boxes[own] = (cut - mean) * scale
        return boxes


def _level(tomogram: Tomogram) -> tuple[np.float32, np.float32]:
    """Give the mean of a tomogram, and what its grey values are to be multiplied by."""
    depth, height, width = tomogram.shape
    total = square = 0.0
    count = 0
    for z in np.unique(np.linspace(0, depth - 1, _PLANES_OF_LEVEL).astype(int)).tolist():
        plane = tomogram.read((z, 0, 0), (z + 1, height, width)).astype(np.float64)
        plane = plane[np.isfinite(plane)]
        total, square, count = total + plane.sum(), square + (plane**2).sum(), count + plane.size
    mean = total / max(1, count)
    spread = max(square / max(1, count) - mean**2, 0.0) ** 0.5
    scale = protein_sign(tomogram.contrast) / spread if spread > 0 else 0.0
    return np.float32(mean), np.float32(scale)


def _recorded_picks(minislabs: str) -> str | None:
    """Find the pick list that minislabs were made from, where their record says it."""
    from slabkit.execution.records import load_record
    from slabkit.formats.tables.paths import resolve_path

    record = None if minislabs == "-" else load_record(minislabs)
    if record is None or record.step != "minislab" or not record.inputs:
        return None
    name = str(record.inputs[0]["name"])
    path = resolve_path(name, minislabs)
    return str(path) if path.is_file() and name.endswith(".star") else None


def _is_there(ref: TomogramRef) -> bool:
    return not ref.problem and ref.path is not None and Path(ref.path).exists()
