"""Segmentations to picks: labelled or probability volumes, objects of a particle's size.

Connected components of each label shorter than two thirds of the particle's largest dimension are
taken for noise. What is longer than one particle is split where particles touch
(`slabkit.arrays.components`). A pick is the centre of mass of its part, weighted by the probability
where there is one.

The volume streams past once, some tens of planes at a time; then each object is read in its own
box. Boxes larger than four million voxels are read at a coarser grid.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from slabkit.arrays.components import Component, ComponentFinder, longest_extent, split_object
from slabkit.arrays.neighbours import group_neighbours
from slabkit.errors import InputError, warn
from slabkit.tables import PICKS, empty_table, make_table, new_pick_ids
from slabkit.tomogram import Tomogram
from slabkit.units import positive_length

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["labels", "probability"]

MOST_LABELS = 64

_BLOCK_VOXELS = 8 * 2**20  # read and labelled at a time: 32 MB of labels
_LARGEST_OBJECT = 4 * 2**20  # voxels of a box that is worked on at full size
_SAMPLED_PLANES = 8

Booleans = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


def segmentation_kind(mask: Tomogram) -> Kind:
    """Tell labels from probabilities by the values of some planes, or refuse to."""
    depth, height, width = mask.shape
    real = np.dtype(mask.data.dtype).kind == "f"
    # Real numbers are labels only if all are whole, so all may have to be seen.
    count = depth if real else _SAMPLED_PLANES
    values: set[float] = set()
    for z in np.unique(np.linspace(0, depth - 1, count).round().astype(int)).tolist():
        plane = mask.read((z, 0, 0), (z + 1, height, width))
        plane = mask.check_finite(plane, (z, 0, 0))
        different = np.unique(plane).astype(np.float64)
        values.update([*different[: 10 * MOST_LABELS].tolist(), float(different[-1])])
        if real and (different != np.floor(different)).any():
            break
    whole = all(value == int(value) for value in values)
    low, high = min(values), max(values)
    if whole and len(values) <= MOST_LABELS and low >= 0:
        return "labels"
    if not whole and low >= 0 and high <= 1:
        return "probability"
    raise InputError(
        f"{mask.label}: has values from {low:g} to {high:g}, {len(values)} or more of them, which "
        "tell neither labels nor probabilities; say which with --kind labels or --kind "
        "probability."
    )


class SegmentationVolume:
    """Reads a segmentation as masks of labels and as weights, from the lowest probability on."""

    def __init__(self, mask: Tomogram, kind: Kind, threshold: float) -> None:
        if kind not in ("labels", "probability"):
            raise InputError(f"--kind must be labels or probability, not {kind!r}.")
        self.mask, self.kind, self.threshold = mask, kind, threshold
        dtype = np.dtype(mask.data.dtype)
        self.scale = float(np.iinfo(dtype).max) if dtype.kind in "iu" else 1.0

    def blocks(self) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """Read all planes, some at a time, with the number of the first."""
        depth, height, width = self.mask.shape
        planes = max(1, _BLOCK_VOXELS // (height * width))
        for z in range(0, depth, planes):
            start = (z, 0, 0)
            block = self.mask.read(start, (min(z + planes, depth), height, width))
            yield z, self.mask.check_finite(block, start)

    def labels_in(self, block: npt.NDArray[Any]) -> list[int]:
        """List the labels in a block, ascending; a probability volume has the label 1."""
        if self.kind == "probability":
            return [1]
        if block.dtype in (np.int8, np.uint8):  # counting is faster than sorting
            values = np.flatnonzero(np.bincount(block.clip(0).astype(np.uint8).ravel()))
        else:
            values = np.unique(block)
        if block.dtype.kind == "f" and (values != np.floor(values)).any():
            wrong = float(values[values != np.floor(values)][0])
            raise InputError(
                f"{self.mask.label}: has the value {wrong:g}, and labels are whole numbers; give "
                "--kind probability if it holds probabilities."
            )
        return [int(value) for value in values if value > 0]

    def chosen(self, block: npt.NDArray[Any], label: int) -> Booleans:
        """Tell which voxels of a block are of a label."""
        if self.kind == "labels":
            return np.asarray(block == label)
        return np.asarray(block >= self.threshold * self.scale)

    def box(self, label: int, one: Component) -> tuple[Booleans, Floats, int]:
        """Read an object: mask, weights, and the edge of their voxels in the volume's."""
        factor = 1
        while math.prod(-(-side // factor) for side in one.shape) > _LARGEST_OBJECT:
            factor += 1
        if factor == 1:
            block = self.mask.read(one.start, one.stop)
            block = self.mask.check_finite(block, one.start)
            chosen = self.chosen(block, label)
            weights = block / self.scale if self.kind == "probability" else chosen
            weights = weights.astype(np.float64)
        else:
            chosen, weights = self._coarse_box(label, one, factor)
        return _connected_to(chosen, one, factor), weights, factor

    def _coarse_box(self, label: int, one: Component, factor: int) -> tuple[Booleans, Floats]:
        sides = tuple(-(-side // factor) for side in one.shape)
        share, weights = np.zeros(sides, dtype=np.float32), np.zeros(sides)
        for row in range(sides[0]):
            z = one.start[0] + row * factor
            stop = (min(z + factor, one.stop[0]), *one.stop[1:])
            block = self.mask.read((z, *one.start[1:]), stop)
            block = self.mask.check_finite(block, (z, *one.start[1:]))
            chosen = self.chosen(block, label)
            value = np.where(chosen, block / self.scale if self.kind == "probability" else 1.0, 0.0)
            share[row] = _summed(chosen.sum(axis=0, dtype=np.float64), factor)
            weights[row] = _summed(value.sum(axis=0), factor)
        return share > 0, weights / factor**3


def _connected_to(chosen: Booleans, one: Component, factor: int) -> Booleans:
    from scipy.ndimage import label

    numbers, _ = label(chosen)
    place = tuple((a - b) // factor for a, b in zip(one.inside, one.start, strict=True))
    return np.asarray(numbers == numbers[place])


def _summed(plane: Floats, factor: int) -> Floats:
    height, width = (-(-side // factor) for side in plane.shape)
    padded = np.zeros((height * factor, width * factor))
    padded[: plane.shape[0], : plane.shape[1]] = plane
    return np.asarray(padded.reshape(height, factor, width, factor).sum(axis=(1, 3)))


DEFAULT_THRESHOLD = 0.5
DEFAULT_MIN_SIZE = 2 / 3

_SAME = 0.5  # of the diameter: parts of one label closer than this are one particle


@dataclass(frozen=True)
class SegmentationCounts:
    """What became of the objects of one volume."""

    objects: int  # connected components of the labels for which a diameter is given
    small: int  # objects, or parts of them, below the size cut-off
    split: int  # objects that gave more than one pick
    picks: int
    ignored: tuple[int, ...]  # labels that are in the volume and were not asked for


def pick_segmentation(
    mask: Tomogram,
    *,
    diameter: Mapping[int, float] | float,
    species: Mapping[int, str] | str = "",
    kind: Kind | None = None,
    threshold: float = DEFAULT_THRESHOLD,
    min_size: float = DEFAULT_MIN_SIZE,
    split: bool = True,
) -> tuple[pd.DataFrame, SegmentationCounts]:
    """Turn a segmentation into picks.

    Parameters
    ----------
    mask : Tomogram
        The segmentation, under its tomogram's name. Labels: whole numbers, 0 is background.
        Probabilities: 0 to 1, or whole numbers up to the largest of their type.
    diameter : mapping of int to float, or float
        Largest dimension of the particle in Å, by label; labels without one are left out. One
        number holds for all labels. A probability volume has the label 1.
    species : mapping of int to str, or str, optional
        Names by label, or of all.
    kind : {"labels", "probability"}, optional
        Default: as the values say.
    threshold : float, optional
        Lowest probability of a particle's voxels.
    min_size : float, optional
        Objects shorter than this share of the diameter are dropped. Two thirds by default.
    split : bool, optional
        Whether to split objects of touching particles.

    Returns
    -------
    picks : DataFrame
        Columns of `slabkit.tables.PICKS`, best score first. The score is the mean probability
        (kind ``segmentation-probability``), or the volume as a share of a ball's of that diameter,
        1 at most (``segmentation-size``). Flag ``near-face``: the particle reaches out of the
        volume.
    counts : SegmentationCounts

    Raises
    ------
    InputError
        A diameter or limit makes no sense, the values are neither labels nor probabilities, or are
        not finite.

    Warns
    -----
    SlabkitWarning
        Labels are left out, or an object is so large that it is split at a coarser grid.
    """
    diameters = _checked_diameters(diameter)
    for name, value in (("threshold", threshold), ("smallest size", min_size)):
        if not (math.isfinite(value) and value >= 0):
            raise InputError(f"the {name} must be a number from 0, not {value:g}.")
    reader = SegmentationVolume(mask, kind or segmentation_kind(mask), threshold)
    found, ignored = _objects(reader, diameters)
    if ignored:
        warn(f"{mask.label}: no diameter is given for {_listed(ignored)}, left out.")
    parts: list[_Part] = []
    small = several = 0
    for label, objects in found.items():
        size = diameters[label] if isinstance(diameters, dict) else diameters
        own: list[_Part] = []
        for one in objects:
            diagonal = mask.voxel_size * math.hypot(*one.shape)
            if diagonal < min_size * size:
                small += 1
                continue
            made, dropped = _particles(reader, label, one, size, min_size, split)
            small += dropped
            several += len(made) > 1
            own += made
        parts += _without_doubles(own, size)
    picks = _table(mask, parts, species, reader.kind)
    total = sum(len(objects) for objects in found.values())
    return picks, SegmentationCounts(total, small, several, len(picks), tuple(ignored))


@dataclass(frozen=True)
class _Part:
    label: int
    diameter: float
    centre: Floats  # z, y, x in Å
    score: float


def _checked_diameters(diameter: Mapping[int, float] | float) -> dict[int, float] | float:
    given = dict(diameter) if isinstance(diameter, Mapping) else {0: float(diameter)}
    if not given:
        raise InputError("give the particles' diameter in Å, by label or one for all.")
    for label, value in given.items():
        of = f" of label {label}" if isinstance(diameter, Mapping) else ""
        positive_length(value, f"the diameter{of}")
    return given if isinstance(diameter, Mapping) else given[0]


def _objects(
    reader: SegmentationVolume, diameters: dict[int, float] | float
) -> tuple[dict[int, list[Component]], list[int]]:
    finders: dict[int, ComponentFinder] = {}
    ignored: set[int] = set()
    for z, block in reader.blocks():
        for label in reader.labels_in(block):
            if isinstance(diameters, dict) and label not in diameters:
                ignored.add(label)
                continue
            if label not in finders and len(finders) >= MOST_LABELS:
                raise InputError(
                    f"{reader.mask.label}: has more than {MOST_LABELS} labels, so each object "
                    "seems to have a number of its own; give a mask of 0 and 1 or of classes."
                )
            finders.setdefault(label, ComponentFinder()).add(reader.chosen(block, label), z)
    return {label: finders[label].components() for label in sorted(finders)}, sorted(ignored)


def _particles(
    reader: SegmentationVolume,
    label: int,
    one: Component,
    diameter: float,
    min_size: float,
    split: bool,
) -> tuple[list[_Part], int]:
    """Give the particles of an object, and how many of its parts are too small."""
    from scipy.ndimage import find_objects

    mask, weights, factor = reader.box(label, one)
    if factor > 1:
        warn(
            f"{reader.mask.label}: an object of {one.voxels} voxels is split at voxels "
            f"{factor} times as large."
        )
    edge = reader.mask.voxel_size * factor
    numbers = split_object(mask, diameter / edge) if split else mask.astype(np.int32)
    made: list[_Part] = []
    small = 0
    boxes: list[Any] = find_objects(numbers)
    for number, box in enumerate(boxes, start=1):
        if box is None:
            continue
        part = numbers[box] == number
        if longest_extent(part) * edge < min_size * diameter * (1 - 1e-9):
            small += 1
            continue
        weight = np.where(part, weights[box], 0.0)
        total = float(weight.sum())
        sums = [weight.sum(axis=axes) for axes in ((1, 2), (0, 2), (0, 1))]
        inner = [float((np.arange(len(along)) * along).sum()) / total for along in sums]
        middle = np.array(inner) + [side.start for side in box]
        # The middle of a coarse voxel is that of the voxels it covers.
        centre = (np.array(one.start) + middle * factor + (factor - 1) / 2) * reader.mask.voxel_size
        if reader.kind == "probability":
            score = total / int(part.sum())
        else:
            score = min(1.0, total * edge**3 / (math.pi / 6 * diameter**3))
        made.append(_Part(label, diameter, centre, score))
    return made, small


def _without_doubles(parts: list[_Part], diameter: float) -> list[_Part]:
    """Drop duplicates, where coarse boxes of two objects overlap."""
    if len(parts) < 2:
        return parts
    places = np.stack([part.centre for part in parts])
    scores = np.array([part.score for part in parts])
    stands_for = group_neighbours(places, _SAME * diameter, priority=scores)
    return [parts[i] for i in np.flatnonzero(stands_for == np.arange(len(parts)))]


def _table(
    mask: Tomogram, parts: list[_Part], species: Mapping[int, str] | str, kind: Kind
) -> pd.DataFrame:
    if not parts:
        return empty_table(PICKS)
    order = sorted(range(len(parts)), key=lambda i: (-parts[i].score, *parts[i].centre.tolist()))
    parts = [parts[i] for i in order]
    z, y, x = np.stack([part.centre for part in parts]).T
    names = [species if isinstance(species, str) else species.get(p.label, "") for p in parts]
    size = np.array(mask.shape, dtype=np.float64) * mask.voxel_size
    near = []
    for part in parts:
        half = mask.voxel_size / 2
        reach = np.minimum(part.centre + half, size - half - part.centre)
        near.append("near-face" if float(reach.min()) < part.diameter / 2 else "")
    score_kind = "segmentation-probability" if kind == "probability" else "segmentation-size"
    ids = [""] * len(parts)
    for label in dict.fromkeys(part.label for part in parts):
        rows = [i for i, part in enumerate(parts) if part.label == label]
        salt = f"{names[rows[0]]}\0{score_kind}\0{label}"
        new = new_pick_ids([mask.name] * len(rows), x[rows], y[rows], z[rows], salt, taken=ids)
        for row, pick_id in zip(rows, new, strict=True):
            ids[row] = pick_id
    return make_table(
        PICKS,
        {
            "slabkitPickId": ids,
            "slabkitTomogram": mask.name,
            "slabkitX": x,
            "slabkitY": y,
            "slabkitZ": z,
            "slabkitScore": [part.score for part in parts],
            "slabkitScoreKind": score_kind,
            "slabkitSpecies": names,
            "slabkitDiameter": [part.diameter for part in parts],
            "slabkitFlags": near,
            "slabkitSource": "segmentation",
        },
    )


def _listed(labels: list[int]) -> str:
    some = ", ".join(map(str, labels[:10])) + (" and more" if len(labels) > 10 else "")
    return f"label{'s' if len(labels) > 1 else ''} {some}"
