"""The napari plug-in: pick lists, slabs and tomograms as layers in Å, read where they are shown.

``napari.yaml`` beside this file tells napari of it; napari itself is not imported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from slabkit.errors import InputError, SlabkitError, warn

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from slabkit.tomogram import Tomogram

LayerData = tuple[Any, dict[str, Any], str]
Reader = Callable[[str | list[str]], list[LayerData]]

_UNITS = ("angstrom",) * 3
_FALLBACK_DIAMETER = 100.0  # Å, of picks without one
_SYMBOLS = {"accepted": "o", "undecided": "o", "rejected": "x"}
_BORDERS = {"accepted": 0.12, "undecided": 0.04, "rejected": 0.04}  # of the diameter


def get_reader(path: str | list[str]) -> Reader | None:
    """Give what reads a path as layers, or None where slabkit reads no such file.

    Parameters
    ----------
    path : str or list of str
        A pick list of any format, a slab table, a tomogram; or several.

    Returns
    -------
    callable, optional
        Takes the path and gives ``(data, keywords, kind)`` of each layer. Images are lazy; axes
        are z, y, x in Å, zero the centre of the first voxel.
    """
    paths = [path] if isinstance(path, str) else path
    return _read if paths and all(_kind(one) for one in paths) else None


def _read(path: str | list[str]) -> list[LayerData]:
    read = {"volume": _tomogram, "slabs": _slabs, "picks": _picks}
    paths = [path] if isinstance(path, str) else path
    return [layer for one in paths for layer in read[_kind(one)](one)]


def _kind(path: str) -> str:
    """Tell a volume, slabs and picks apart; empty: none of them."""
    from slabkit.formats.registry import fitting_formats
    from slabkit.formats.source import Source
    from slabkit.formats.tomograms.names import split_suffix
    from slabkit.formats.volumes.em import is_em_volume

    suffix = split_suffix(path)[1]
    try:
        if suffix and (suffix != ".em" or is_em_volume(path)):
            return "volume"
        source = Source.load(path)
        if "slabkitZStart" in source.labels:
            return "slabs"
        return "picks" if fitting_formats(source, "picks") else ""
    except (SlabkitError, OSError):
        return ""


class LazyVolume:
    """A tomogram, or the slabs of one, as napari reads arrays: shape, type and what is indexed."""

    def __init__(
        self,
        read: Callable[[tuple[int, ...], tuple[int, ...]], npt.NDArray[Any]],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
    ) -> None:
        self._read = read  # of a box from its first voxel to the one after its last
        self.shape = shape
        self.dtype = dtype
        self.ndim = len(shape)
        self.size = math.prod(shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        """Read what NumPy would give for the key, and little more of the file."""
        import numpy as np

        keys = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis in keys:
            at = keys.index(Ellipsis)
            keys[at : at + 1] = [slice(None)] * (self.ndim - len(keys) + 1)
        keys += [slice(None)] * (self.ndim - len(keys))
        start, stop, inside = [], [], []
        for one, size in zip(keys, self.shape, strict=True):
            places = np.arange(size)[one]
            low, high = (int(places.min()), int(places.max()) + 1) if places.size else (0, 0)
            start.append(low)
            stop.append(high)
            inside.append(places - low)
        block = self._read(tuple(start), tuple(stop))
        for axis in reversed(range(self.ndim)):
            block = np.take(block, inside[axis], axis=axis)
        return block

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        import numpy as np

        return np.asarray(self[:], dtype=dtype)


def _image(data: LazyVolume, name: str, middle: npt.NDArray[Any], **more: Any) -> LayerData:
    import numpy as np

    finite = middle[np.isfinite(middle)]
    low, high = np.percentile(finite, [0.5, 99.5]) if finite.size else (0.0, 1.0)
    limits = (float(low), float(high) if high > low else float(low) + 1)
    said = {"name": name, "colormap": "gray", "contrast_limits": limits, "units": _UNITS}
    return data, said | more, "image"


def _tomogram(path: str) -> list[LayerData]:
    from slabkit.formats.volumes.opening import open_tomogram

    try:
        tomogram = open_tomogram(path)
    except InputError as error:
        if "--voxel-size" not in str(error):
            raise
        warn(f"{error} It is shown as if its voxels were 1 Å.")
        tomogram = open_tomogram(path, voxel_size=1.0)
    return [_of_tomogram(tomogram)]


def _of_tomogram(tomogram: Tomogram) -> LayerData:
    import numpy as np

    data = LazyVolume(
        lambda start, stop: tomogram.read(
            (start[0], start[1], start[2]), (stop[0], stop[1], stop[2])
        ),
        tomogram.shape,
        np.dtype(tomogram.data.dtype),
    )
    scale = (tomogram.voxel_size,) * 3
    return _image(data, tomogram.name, data[tomogram.shape[0] // 2], scale=scale)


def _slabs(path: str) -> list[LayerData]:
    """Give the slabs of each tomogram as one volume, each at the depth that it has in it."""
    import numpy as np

    from slabkit.formats.tables.native import read_slabs
    from slabkit.formats.tables.paths import with_paths_from_here
    from slabkit.steps.shared.slabs import slab_image, slab_paths

    table = with_paths_from_here(read_slabs(path), path)
    layers = []
    for name, rows in table.groupby("rlnTomoName", sort=False):
        rows = rows.sort_values("slabkitZStart", kind="stable")
        files, kept = slab_paths(rows, path), list(rows.itertuples(index=False))
        size = float(rows["slabkitVoxelSize"].iloc[0])
        depths = (rows["slabkitZStart"] + (rows["slabkitZCount"] - 1) / 2).to_numpy() * size
        thick = float(rows["slabkitZCount"].iloc[0]) * size
        step = (depths[-1] - depths[0]) / (len(depths) - 1) if len(depths) > 1 else thick

        def read(
            start: tuple[int, ...],
            stop: tuple[int, ...],
            files: Sequence[Any] = files,
            kept: Sequence[Any] = kept,
        ) -> npt.NDArray[Any]:
            (y, x), (last_y, last_x) = start[1:], stop[1:]
            found = [
                slab_image(files[index], kept[index])[y:last_y, x:last_x]
                for index in range(start[0], stop[0])
            ]
            return np.stack(found) if found else np.zeros((0, last_y - y, last_x - x))

        middle = read((len(files) // 2, 0, 0), (len(files) // 2 + 1, *_sides(kept[0])))
        data = LazyVolume(read, (len(files), *_sides(kept[0])), middle.dtype)
        layers.append(
            _image(
                data,
                f"{name} slabs of {thick:.0f} Å",
                middle,
                scale=(float(step) or thick, size, size),
                translate=(float(depths[0]), 0.0, 0.0),
            )
        )
    return layers


def _sides(row: Any) -> tuple[int, int]:
    return int(row.slabkitTomogramSizeY), int(row.slabkitTomogramSizeX)


def _picks(path: str) -> list[LayerData]:
    """Give a layer of points for each tomogram and species; the first tomogram is shown."""
    from slabkit.pictures.colours import css, species_colours
    from slabkit.steps.shared.pick_lists import read_plainly

    picks = read_plainly(path).picks
    colours = species_colours(picks["slabkitSpecies"])
    tomograms = list(dict.fromkeys(picks["slabkitTomogram"]))
    layers = []
    for tomogram in tomograms:
        for species, colour in colours.items():
            own = picks[
                (picks["slabkitTomogram"] == tomogram) & (picks["slabkitSpecies"] == species)
            ]
            if len(own):
                said = {
                    "name": f"{tomogram} {species}".rstrip(),
                    "border_color": css(colour),
                    "visible": tomogram == tomograms[0],
                }
                layers.append(_points(own.reset_index(drop=True), said))
    return layers


def _points(picks: pd.DataFrame, said: dict[str, Any]) -> LayerData:
    import numpy as np

    features = {
        "pick_id": "slabkitPickId",
        "tomogram": "slabkitTomogram",
        "species": "slabkitSpecies",
        "decision": "slabkitDecision",
        "score": "slabkitScore",
        "score_kind": "slabkitScoreKind",
        "diameter": "slabkitDiameter",
    }
    decisions = picks["slabkitDecision"]
    diameter = picks["slabkitDiameter"].fillna(_FALLBACK_DIAMETER).to_numpy()
    # napari shows a point in slices up to half a unit of its data away: the unit is the diameter.
    unit = float(np.median(diameter))
    keywords = {
        "features": picks[list(features.values())].set_axis(list(features), axis=1),
        "size": diameter / unit,
        "scale": (unit,) * 3,
        "symbol": decisions.map(_SYMBOLS).to_numpy(dtype=object),
        "border_width": decisions.map(_BORDERS).to_numpy(),
        "border_width_is_relative": True,
        "face_color": "transparent",
        "units": _UNITS,
    }
    places = picks[["slabkitZ", "slabkitY", "slabkitX"]].to_numpy()
    return places / unit, said | keywords, "points"
