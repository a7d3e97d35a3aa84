"""Candidates for blobs in one image: peaks of three filters over a ladder of diameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from slabkit.arrays.exact import exp
from slabkit.arrays.filters import (
    LadderFrequencies,
    angular_frequencies,
    binned_shape,
    cosine_spectrum,
    cropped_spectrum,
    filtered_image,
    gaussian_transfer,
    laplacian_transfer,
    rim_transfer,
    shell_transfer,
)
from slabkit.arrays.padding import without_padding
from slabkit.arrays.peaks import Peaks, along_scale, find_peaks
from slabkit.errors import InputError
from slabkit.picking.surroundings import (
    RIM_FILTER_DIAMETER,
    GridFilter,
    SearchGrid,
    Smoothed,
    finer_shape,
    line_filter,
)
from slabkit.units import protein_sign

Method: TypeAlias = Literal["rims", "laplacian"]
Floats: TypeAlias = npt.NDArray[np.float64]
Indices: TypeAlias = npt.NDArray[np.int64]
Image: TypeAlias = npt.NDArray[np.float32]

BALL, RIM, SHELL = 0, 1, 2

# The filter's own diameter at which a particle of diameter 1 is answered most strongly; for the
# shell filter it is a shell whose wall is 0.15 diameters thick.
_FILTER_DIAMETER = {BALL: 1.0, RIM: RIM_FILTER_DIAMETER, SHELL: 1 / 1.14}

# A hole in projection is seen only where it is wider than a protein wall (40 to 50 Å) is thick.
_SMALLEST_SHELL = 200.0

_STEP = 1.2  # largest ratio of neighbouring sizes

# A particle's diameter is its longest extent, and what fits its image best is smaller where it is
# elongated or has lobes, somewhat larger where it is hollow. What is under 100 Å wide hardly shows
# unless it is compact, as small particles are. Measured by benchmarks/diameter.py.
_NARROWEST, _COMPACT, _VISIBLE, _WIDEST = 0.3, 0.9, 100.0, 1.2
# Sizes beyond these by up to such ratios are searched too. Of what is too small there is most, so
# its scores fall by the eighth power of the ratio, those of what is too large by its square.
_BELOW, _ABOVE = 1.3, 2.2

_SMALLEST_PX = 5.0  # pixels that the smallest size gets on the coarser grid
_NOISE_SAMPLES = 8192  # an image and size


@dataclass(frozen=True)
class Ladder:
    """The sizes that are searched for particles of some diameters."""

    sizes: Floats  # shape (rungs,); in Å, a geometric series
    smallest: float  # sizes between which scores count in full, Å
    largest: float
    diameters: tuple[float, float]  # smallest and largest of the particles, Å

    def at(self, rung: Floats) -> Floats:
        """Give the size (Å) of a fractional rung."""
        growth = math.log(self.sizes[1] / self.sizes[0])
        return np.asarray(self.sizes[0] * exp(growth * rung), dtype=np.float64)

    def weight(self, size: Floats) -> Floats:
        """Give what scores of blobs of a size (Å) count, 1 inside and falling outside."""
        small = np.minimum(size / self.smallest, 1.0)
        large = np.minimum(self.largest / size, 1.0)
        fourth = np.square(np.square(small))  # products are the same on every processor
        return np.asarray(np.square(fourth) * np.square(large), dtype=np.float64)


@dataclass(frozen=True)
class Candidates:
    """Peaks in one image, and samples of what the filters answer there in general."""

    x_px: Floats  # pixels of the image, 0 = centre of the first
    y_px: Floats
    diameter: Floats  # in Å, at which the filter that gives the score answers most strongly
    # Answer of the filter that gives the score, in the units of the image, protein positive
    response: Floats
    rung: Floats  # fractional rung at which ``response`` was taken
    scored_by: npt.NDArray[np.int64]  # filter that ``response`` is of: `BALL`, `RIM` or `SHELL`
    found_by: npt.NDArray[np.int64]  # filter whose peak it is
    elongation: Floats  # see `slabkit.arrays.peaks`
    weight: Floats  # what their scores count, 0 to 1; see `Ladder`
    # Shape (rungs, samples); for every filter that scores, answers on a regular grid of places that
    # are no padding. Empty for a constant image.
    samples: dict[int, npt.NDArray[np.float32]]
    first_rung: dict[int, int]  # rung of the ladder at which each filter begins
    # The image lightly smoothed, and such that membranes show. None for the Laplacian alone, and
    # for a constant image.
    rims: Smoothed | None = None
    lines: Smoothed | None = None

    def evenness(self, rows: Indices) -> Floats:
        """Give how even the contrast of candidates is all round, 0 to 1; 1 if not measured."""
        if self.rims is None:
            return np.ones(len(rows))
        return self.rims.evenness(self.y_px[rows], self.x_px[rows], self.diameter[rows])

    def ridges(self, rows: Indices) -> Callable[[Indices], Floats] | None:
        """Prepare to tell how high lines run past any of some candidates; None if not asked."""
        if self.lines is None:
            return None
        return self.lines.ridges(self.y_px[rows], self.x_px[rows], self.diameter[rows])


def diameter_ladder(diameter: tuple[float, float] | float) -> Ladder:
    """Lay the ladder of sizes to search for particles of one diameter, or smallest to largest (Å).

    Raises InputError if a diameter is not positive and finite or the smallest is above the largest.
    """
    least, most = (
        (float(diameter), float(diameter))
        if isinstance(diameter, (int, float))
        else (float(diameter[0]), float(diameter[1]))
    )
    if not (0 < least <= most < math.inf):
        raise InputError(
            f"the diameter must be a positive length or MIN:MAX in Å, not {least:g}:{most:g}."
        )
    smallest = max(_NARROWEST * least, min(_COMPACT * least, _VISIBLE))
    largest = _WIDEST * most
    # Several diameters are no rough statement: little above all of them needs to be searched.
    first, last = smallest / _BELOW, largest * (_ABOVE if most < _STEP * least else _STEP)
    steps = math.ceil(math.log(last / first) / math.log(_STEP))
    growth = (last / first) ** (1 / steps)
    sizes = first * np.float_power(growth, np.arange(steps + 1))
    return Ladder(sizes, smallest, largest, (least, most))


class BlobSearch:
    """The filters for images of one size ``(y, x)``, made once and used for all of them.

    Refuses a smallest diameter below three pixels, and a largest one above the image.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        pixel_size: float,
        ladder: Ladder,
        contrast: Any,
        method: Method,
    ) -> None:
        if method not in ("rims", "laplacian"):
            raise InputError(f"the method must be 'rims' or 'laplacian', not {method!r}.")
        smallest, largest = ladder.diameters
        if smallest < 3 * pixel_size:
            raise InputError(
                f"blobs of {smallest:g} Å are under three pixels of {pixel_size:g} Å across; "
                "give a larger --diameter or finer slabs."
            )
        if largest > min(shape) * pixel_size:
            raise InputError(
                f"blobs of {largest:g} Å do not fit in an image of {shape[1]} × {shape[0]} pixels "
                f"of {pixel_size:g} Å; give a smaller --diameter."
            )
        self.shape, self.pixel_size, self.ladder = shape, pixel_size, ladder
        self.sign = protein_sign(contrast)
        self.binned = binned_shape(shape, ladder.smallest / (_SMALLEST_PX * pixel_size))
        self.grid = SearchGrid(shape, self.binned)
        q = angular_frequencies(shape, self.binned, pixel_size)
        on_ladder = LadderFrequencies(q, ladder.sizes)
        self._transfers: dict[int, list[npt.NDArray[np.float32]]] = {
            BALL: on_ladder.transfers(laplacian_transfer, _FILTER_DIAMETER[BALL])
        }
        self._first_rung = {BALL: 0, RIM: 0, SHELL: 0}
        if method == "rims":
            self._transfers[RIM] = on_ladder.transfers(rim_transfer, _FILTER_DIAMETER[RIM])
            first = int(np.searchsorted(ladder.sizes, _SMALLEST_SHELL))
            if first < len(ladder.sizes):
                self._transfers[SHELL] = on_ladder.transfers(
                    shell_transfer, _FILTER_DIAMETER[SHELL], first
                )
                self._first_rung[SHELL] = first
        smooth = gaussian_transfer(shape, self.binned, pixel_size, 0.15 * ladder.smallest)
        self._smooth = GridFilter(shape, pixel_size, smooth)
        self._lines = line_filter(shape, pixel_size)

    def candidates(self, image: npt.NDArray[Any]) -> Candidates:
        """Find the peaks of one finite image, which is left as it is."""
        level = np.float64(np.mean(image, dtype=np.float64))
        if (image[0] == image[0, 0]).all() and not np.ptp(image) > 0:
            return _no_candidates()
        protein = np.empty(self.shape, dtype=np.float32)
        np.subtract(image, level, out=protein, dtype=np.float64, casting="same_kind")
        protein *= np.float32(self.sign)
        protein, padding = without_padding(protein)
        whole = cosine_spectrum(protein, finer_shape(self.binned, self._lines.grid))
        spectrum = cropped_spectrum(whole, self.binned)
        rims = lines = None
        if RIM in self._transfers:
            rims, lines = self._smooth(whole), self._lines(whole)
        sample_y, sample_x = self.grid.sample_places(padding, _NOISE_SAMPLES)
        places = sample_y * self.binned[1] + sample_x
        found: list[tuple[int, int, Peaks, Floats, Floats]] = []
        samples: dict[int, npt.NDArray[np.float32]] = {}
        stacks: dict[int, npt.NDArray[np.float32]] = {}
        for kind, transfers in self._transfers.items():
            # Peaks at the ends of the ladder count; a shell too small to be seen is none.
            stack = np.empty((len(transfers) + 2, *self.binned), dtype=np.float32)
            stack[0], stack[-1] = np.inf if self._first_rung[kind] else -np.inf, -np.inf
            for room, transfer in zip(stack[1:-1], transfers, strict=True):
                filtered_image(spectrum, transfer, room)
            stacks[kind] = stack
            if kind != BALL or RIM not in self._transfers:
                samples[kind] = stack[1:-1].reshape(len(transfers), -1).take(places, axis=1)
        for kind, stack in stacks.items():
            peaks = find_peaks(stack)
            scorer = RIM if kind == BALL and RIM in stacks else kind
            value, rung = peaks.value, peaks.rung
            if scorer != kind:
                value, rung = _highest_beside(stacks[scorer], peaks)
            found.append((kind, scorer, peaks, value, rung - 1 + self._first_rung[kind]))
        return self._collected(found, samples, padding, rims, lines)

    def _collected(
        self,
        found: list[tuple[int, int, Peaks, Floats, Floats]],
        samples: dict[int, npt.NDArray[np.float32]],
        padding: npt.NDArray[np.bool_] | None,
        rims: Smoothed | None,
        lines: Smoothed | None,
    ) -> Candidates:
        def joined(parts: list[Any]) -> Any:
            return np.concatenate(parts)

        y, x = joined([p.y for _, _, p, _, _ in found]), joined([p.x for _, _, p, _, _ in found])
        rung = joined([rung for *_, rung in found])
        diameter = self.ladder.at(rung)
        response = joined([value for *_, value, _ in found])
        columns = {
            "diameter": diameter,
            "response": response,
            "rung": rung,
            "scored_by": joined([np.full(len(p.y), scorer) for _, scorer, p, _, _ in found]),
            "found_by": joined([np.full(len(p.y), kind) for kind, _, p, _, _ in found]),
            "elongation": joined([p.elongation for _, _, p, _, _ in found]),
            "weight": self.ladder.weight(diameter),
        }
        keep = response > 0
        if padding is not None:
            keep &= ~padding[self.grid.nearest_pixels(y, x)]
        y_px, x_px = self.grid.on_image(y[keep], x[keep])
        columns = {name: values[keep] for name, values in columns.items()}
        return Candidates(
            x_px=x_px,
            y_px=y_px,
            samples=samples,
            first_rung=self._first_rung,
            rims=rims,
            lines=lines,
            **columns,
        )


def _highest_beside(stack: npt.NDArray[np.float32], peaks: Peaks) -> tuple[Floats, Floats]:
    """Give the highest value of another stack within one rung of the peaks, and its rung.

    Both stacks have an infinite rung at either end, which counts as a rung.
    """
    rung, y, x = peaks.whole
    near = np.stack([stack[rung + up, y, x] for up in (-1, 0, 1)])
    best = np.clip(rung + near.argmax(axis=0) - 1, 1, len(stack) - 2)
    before, centre, after = (stack[best + up, y, x].astype(np.float64) for up in (-1, 0, 1))
    shift, gain = along_scale(before, centre, after)
    return centre + gain, best + shift


def _no_candidates() -> Candidates:
    empty = np.empty(0, dtype=np.float64)
    kinds = np.empty(0, dtype=np.int64)
    return Candidates(empty, empty, empty, empty, empty, kinds, kinds, empty, empty, {}, {})
