"""What `template_speed.py` measures, each in a process of its own, on the slabs of one tomogram.

``template_peers.py WAY FOLDER`` reads FOLDER/job.json and writes FOLDER/WAY.json, times being those
of the processor:

- ``ours``: `pick_templates`, its set-up (spectrum, drawing, compression) also apart;
- ``draw``: not timed; keeps what slabkit searches with and in: all turned templates, their masks,
  and the filtered slabs, so that the plain ways do the same search;
- ``plain``: what one writes with SciPy's FFTs: the slab's transform, local means and deviations
  once, then for each turned template its transform, the product, the transform back, and the
  highest so far with whose it is;
- ``all pixels``: the same for some of the templates, on the grid of the slabs instead of the
  coarser one that the low-pass allows and slabkit searches on; only the time counts;
- ``fftconvolve``: on the coarser grid, with one call of `scipy.signal.fftconvolve` a template, for
  some of them.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.signal import fftconvolve

from slabkit import read_slabs
from slabkit.arrays.correlation import MatchedImage
from slabkit.formats.volumes.mrc import read_image
from slabkit.formats.volumes.opening import open_tomogram
from slabkit.picking import template_search
from slabkit.picking.template import Templates, map_templates, pick_templates
from slabkit.picking.template_search import TemplateSearch

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

LOWPASS = 40.0
SOFTENING = template_search._SOFTENING  # of local deviations, in their median
SAMPLED = 200  # of the templates, where not all are taken; the time grows with their number


def inputs(job: dict[str, Any]) -> tuple[pd.DataFrame, list[Singles], list[Templates]]:
    """Read the slabs of the first tomogram of a table, and make the templates of all maps."""
    slabs = read_slabs(job["slabs"])
    slabs = slabs[slabs["rlnTomoName"] == slabs["rlnTomoName"].iloc[0]].reset_index(drop=True)
    images = [read_image(path)[0] for path in slabs["rlnMicrographName"]]
    thickness = float(slabs["slabkitZCount"].median() * slabs["slabkitVoxelSize"].iloc[0])
    sets = []
    for name, path in job["maps"].items():
        volume = open_tomogram(path, contrast="bright")
        depth, height, width = volume.shape
        sets.append(
            map_templates(
                volume.data[0:depth, 0:height, 0:width],
                volume.voxel_size,
                lowpass=LOWPASS,
                thickness=thickness,
                view_step=job["view_step"],
                species=name,
            )
        )
    return slabs, images, sets


def ours(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Time `pick_templates`; keep its maps and picks on the slabs that the others search too."""
    started = time.process_time()
    slabs, images, sets = inputs(job)
    making = time.process_time() - started
    setup, maps = 0.0, []
    highest_of = MatchedImage.highest

    def timed(call: Any) -> Any:
        def run(*arguments: Any) -> Any:
            nonlocal setup
            start = time.process_time()
            result = call(*arguments)
            setup += time.process_time() - start
            return result

        return run

    def kept(matched: MatchedImage, *arguments: Any) -> Any:
        result = highest_of(matched, *arguments)
        if len(maps) < job["searched"] * len(sets):
            maps.append(np.where(result >= arguments[0], result, -2.0))  # right at these peaks
        return result

    with (
        mock.patch.object(TemplateSearch, "prepare", timed(TemplateSearch.prepare)),
        mock.patch.object(TemplateSearch, "whitening", timed(TemplateSearch.whitening)),
        mock.patch.object(MatchedImage, "highest", kept),
    ):
        start = time.process_time()
        picks = pick_templates(images, slabs, templates=sets, angular_step=job["angular_step"])
        seconds = time.process_time() - start
    names = slabs["rlnMicrographName"]
    codes = {name: number for number, name in enumerate(names[: job["searched"]])}
    picks = picks[picks["rlnMicrographName"].isin(list(codes))]
    np.savez(
        folder / "ours.npz",
        maps=np.reshape(maps, (job["searched"], len(sets), *maps[0].shape)),
        slab=picks["rlnMicrographName"].map(codes),
        y=picks["rlnCoordinateY"],
        x=picks["rlnCoordinateX"],
        psi=picks["rlnAnglePsi"],
        template=picks["rlnClassNumber"] - 1,
    )
    result = {"slabs": len(slabs), "seconds": seconds, "setup": setup, "map_templates": making}
    return result | {"shape": images[0].shape, "views": [len(one) for one in sets]}


def draw(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Keep the templates, masks and filtered slabs as they pass through `pick_templates`."""
    slabs, images, sets = inputs(job)
    drawn: list[tuple[Any, Any]] = []
    filtered: list[Any] = []
    compress, filter_image = template_search.compress_templates, template_search.filtered_image

    def compressed(templates: Any, mask: Any, *others: Any, **options: Any) -> Any:
        drawn.append((templates.astype(np.float32), mask))
        return compress(templates, mask, *others, **options)

    def kept(*arguments: Any) -> Any:
        filtered.append(filter_image(*arguments))
        return filtered[-1]

    with (
        mock.patch.object(template_search, "compress_templates", compressed),
        mock.patch.object(template_search, "filtered_image", kept),
    ):
        pick_templates(images, slabs, templates=sets, angular_step=job["angular_step"])
    for number, (templates, mask) in enumerate(drawn):
        np.savez(folder / f"drawn_{number}.npz", templates=templates, mask=mask)
    np.save(folder / "filtered.npy", np.stack(filtered[: job["searched"]]))
    return {"templates": sum(len(templates) for templates, _ in drawn)}


def zero_mean_kernels(templates: Singles, mask: Floats) -> tuple[Singles, Floats]:
    """Give what an image is correlated with for covariances with unit templates; and the weights.

    Parameters
    ----------
    templates : ndarray, shape (templates, side, side)
    mask : ndarray, shape (side, side)

    Returns
    -------
    kernels : ndarray of float32, shape (templates, side, side)
    weights : ndarray of float64, shape (side, side)
        Sum 1.
    """
    weights = mask / mask.sum()
    mean = np.einsum("nyx,yx->n", templates, weights)
    kernels = templates - mean[:, None, None]
    deviation = np.sqrt(np.einsum("nyx,nyx,yx->n", kernels, kernels, weights))
    kernels *= weights / np.maximum(deviation, 1e-30)[:, None, None]
    return kernels.astype(np.float32), weights


def local_deviation(padded: Singles, weights: Floats) -> Singles:
    """Give the local standard deviation under weights, softened as slabkit's."""
    sides = [next_fast_len(n, real=True) for n in padded.shape]
    reach = len(weights) // 2
    height, width = (n - 2 * reach for n in padded.shape)
    conjugate = np.conj(rfft2(weights, s=sides))
    mean, square = (
        irfft2(rfft2(part, s=sides) * conjugate, s=sides)[:height, :width]
        for part in (padded.astype(np.float64), padded.astype(np.float64) ** 2)
    )
    variance = square - mean**2
    smallest = max(1e-6 * float(variance.max()), 1e-30)
    softened = variance + SOFTENING**2 * float(np.median(variance))
    return np.sqrt(np.maximum(softened, smallest)).astype(np.float32)


def keep_highest(values: Singles, number: int, highest: Singles, best: npt.NDArray[Any]) -> None:
    """Put one template's values where they are the highest so far."""
    higher = values > highest
    highest[higher] = values[higher]
    best[higher] = number


def correlate(image: Singles, kernels: Singles, weights: Floats) -> tuple[Singles, Any, float]:
    """Correlate an image with turned templates by `scipy.fft`.

    Returns
    -------
    highest : ndarray of float32, shape (y, x)
        The highest coefficient at each place.
    best : ndarray of int32, shape (y, x)
        Whose it is.
    transforms : float
        Seconds that the templates' transforms took.
    """
    transforms = 0.0
    height, width = image.shape
    padded = np.pad(image, len(weights) // 2, mode="symmetric")
    sides = [next_fast_len(n, real=True) for n in padded.shape]
    spectrum = rfft2(padded, s=sides)
    highest = np.full(image.shape, -np.inf, dtype=np.float32)
    best = np.zeros(image.shape, dtype=np.int32)
    for index, kernel in enumerate(kernels):
        before = time.process_time()
        transform = np.conj(rfft2(kernel, s=sides))
        transforms += time.process_time() - before
        values = irfft2(spectrum * transform, s=sides)[:height, :width]
        keep_highest(values, index, highest, best)
    highest /= local_deviation(padded, weights)
    return highest, best, transforms


def plain(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Correlate some slabs with every turned template."""
    filtered = np.load(folder / "filtered.npy")
    transforms = seconds = 0.0
    for number, (kernels, weights) in enumerate(drawn_kernels(job, folder)):
        start = time.process_time()
        found = [correlate(image, kernels, weights) for image in filtered]
        seconds += time.process_time() - start
        transforms += sum(each for _, _, each in found)
        highest, best = (np.stack(part) for part in list(zip(*found, strict=True))[:2])
        np.savez(folder / f"plain_{number}.npz", highest=highest, best=best)
    each = {"seconds": seconds, "transforms": transforms}
    return {key: value / len(filtered) for key, value in each.items()}


def all_pixels(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Correlate one slab with some templates on a grid as fine as the slab's; seconds for all.

    Image and templates are interpolated to that grid: the time is all that is wanted.
    """
    filtered = np.load(folder / "filtered.npy")[0]
    whole = read_slabs(job["slabs"]).iloc[0]
    finer = whole[["slabkitTomogramSizeY", "slabkitTomogramSizeX"]].to_numpy(float)
    factor = finer / filtered.shape
    image = ndimage.zoom(filtered, factor, order=1)
    seconds = 0.0
    for kernels, weights in drawn_kernels(job, folder):
        side = 2 * math.ceil(len(weights) * factor.max() / 2) + 1
        some, count = sampled(kernels, job)
        some = ndimage.zoom(some, (1, side / len(weights), side / len(weights)), order=1)
        fine_weights = ndimage.zoom(weights, side / len(weights), order=1)
        start = time.process_time()
        correlate(image, some, fine_weights / fine_weights.sum())
        seconds += (time.process_time() - start) * count
    return {"seconds": seconds}


def convolved(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Correlate one slab with some templates by `fftconvolve`; seconds for all."""
    image = np.load(folder / "filtered.npy")[0]
    seconds = 0.0
    for kernels, weights in drawn_kernels(job, folder):
        padded = np.pad(image, len(weights) // 2, mode="symmetric")
        some, count = sampled(kernels, job)
        highest = np.full(image.shape, -np.inf, dtype=np.float32)
        best = np.zeros(image.shape, dtype=np.int32)
        start = time.process_time()
        for index, kernel in enumerate(some):
            values = fftconvolve(padded, kernel[::-1, ::-1], mode="valid")
            keep_highest(values, index, highest, best)
        seconds += (time.process_time() - start) * count
    return {"seconds": seconds}


def drawn_kernels(job: dict[str, Any], folder: Path) -> Iterator[tuple[Singles, Floats]]:
    """Read what `draw` kept, set by set, as `zero_mean_kernels`."""
    for number in range(len(job["maps"])):
        with np.load(folder / f"drawn_{number}.npz") as file:
            yield zero_mean_kernels(file["templates"], file["mask"])


def sampled(kernels: Singles, job: dict[str, Any]) -> tuple[Singles, float]:
    """Give every so many of the templates of a set, and how many each stands for."""
    some = kernels[:: max(1, math.ceil(len(kernels) * len(job["maps"]) / SAMPLED))]
    return some, len(kernels) / len(some)


WAYS = {"ours": ours, "draw": draw, "plain": plain}
WAYS |= {"all pixels": all_pixels, "fftconvolve": convolved}


def main() -> None:
    way, folder = sys.argv[1], Path(sys.argv[2])
    job = json.loads((folder / "job.json").read_text())
    (folder / f"{way}.json").write_text(json.dumps(WAYS[way](job, folder)))


if __name__ == "__main__":
    main()
