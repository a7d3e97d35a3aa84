"""What a graphics card gives: agreement with the processor, speed, and memory.

    python benchmarks/device.py [--device cuda] [--small] [--images 1000000] [--memory 4]

Needs PyTorch (`pip install '.[gpu]'`) and, unless `--device torch`, a card; where there is none it
says so and ends. In under ten minutes on a card, in this order:

- classification and templates on the device and with NumPy: equal classes, poses and picks; the
  largest differences of what is not counted;
- classification of 100,000 images (40 x 40 pixels) into 100 classes;
- templates: about 60 views of a map at 36 angles over 100 slabs of 1260 x 1260 pixels;
- classification of `--images`, if what the first took says that it fits in the time;
- the card's memory that PyTorch held at most, which has to be below `--memory` (GB).

Images and slabs are made by seed while they are read: references turned, in noise from a pool.
The table, with card and commit, goes to docs/benchmarks.md if a card ran the full sizes.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from common import commit, option_parser, report, write_page
from scipy.ndimage import gaussian_filter, rotate

import slabkit
from slabkit.arrays.backends import Backend, backend_for
from slabkit.arrays.parallel import available_cores
from slabkit.classification import ClassificationSettings, classify_images
from slabkit.errors import SlabkitError
from slabkit.picking.template import map_templates, pick_templates
from slabkit.tables import SLABS, make_table

SIDE, PIXEL = 40, 10.0
SLAB, SLAB_PIXEL, THICKNESS = 1260, 10.0, 300.0
VIEW_STEP, ANGULAR_STEP = 26.5, 10.0  # about 60 views, 36 angles
SECONDS = 580.0  # for all of it
FIRST = 100_000  # images


SECTION = """`benchmarks/device.py` compares `classify` and `pick template` on a card with the
processor, and measures how long they take there and the most memory of the card that PyTorch held:
images of 40 × 40 pixels, at 60 angles and 29 shifts, 25 iterations; slabs of 1260 × 1260 pixels.
Reading, preparing and averaging of images on the processor is included.
"""


class Images:
    """References, turned, in noise: made while they are read, the same every time."""

    def __init__(self, count: int, references: int, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        shapes = gaussian_filter(random.normal(size=(references, SIDE, SIDE)), (0, 2, 2))
        y, x = np.indices((SIDE, SIDE)) - SIDE // 2
        shapes *= np.hypot(y, x) < 0.3 * SIDE
        shapes /= shapes.std((1, 2), keepdims=True)
        turns = random.uniform(0, 360, 16)
        turned = [[rotate(one, a, reshape=False, order=1) for a in turns] for one in shapes]
        self._shapes = np.array(turned, dtype=np.float32).reshape(-1, SIDE, SIDE)
        self._noise = random.normal(0, 1.5, (4096, SIDE, SIDE)).astype(np.float32)
        self._shape = random.integers(0, len(self._shapes), count)
        self._pair = random.integers(0, len(self._noise), (count, 2))
        self.box_px = SIDE

    def __len__(self) -> int:
        return len(self._shape)

    def read(self, numbers: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        """Give some of the images, (n, y, x)."""
        one, other = self._pair[numbers].T
        # Sums of two from a pool: as many different ones as there are images.
        noise = (self._noise[one] + self._noise[other][:, ::-1]) * np.float32(np.sqrt(0.5))
        return np.asarray(self._shapes[self._shape[numbers]] + noise)


def slabs_of(count: int, side: int, density: npt.NDArray[Any]) -> tuple[list[Any], pd.DataFrame]:
    """Slabs in which views of a density lie, and their table."""
    random = np.random.default_rng(1)
    views = [density.sum(axis).astype(np.float32) for axis in range(3)]
    half = len(density) // 2
    images = []
    for _ in range(min(count, 10)):
        image = gaussian_filter(random.normal(0, 3, (side, side)), 1).astype(np.float32)
        for number in range(40):
            y, x = random.integers(half, side - half, 2)
            image[y - half : y + half, x - half : x + half] -= views[number % 3]
        images.append(image)
    table = make_table(
        SLABS,
        {
            "rlnMicrographName": [f"slab_{number}.mrc" for number in range(count)],
            "rlnTomoName": "T1",
            "slabkitVoxelSize": SLAB_PIXEL,
            "slabkitContrast": "dark",
            "slabkitTomogramContrast": "dark",
            "slabkitZStart": 0,
            "slabkitZCount": round(THICKNESS / SLAB_PIXEL),
            "slabkitTomogramSizeX": side,
            "slabkitTomogramSizeY": side,
            "slabkitTomogramSizeZ": 2 * round(THICKNESS / SLAB_PIXEL),
        },
    )
    return [images[number % len(images)] for number in range(count)], table


def settled(backend: Backend) -> float:
    """Wait for the device, and give the time."""
    if backend.torch is not None and backend.name.startswith("cuda"):
        backend.torch.cuda.synchronize()
    return time.perf_counter()


def peak_gb(backend: Backend) -> str:
    """Say what memory PyTorch held at most since the last call."""
    if not backend.name.startswith("cuda"):
        return "no card"
    peak = backend.torch.cuda.max_memory_allocated() / 1e9
    backend.torch.cuda.reset_peak_memory_stats()
    return f"{peak:.2f} GB"


def main() -> int:
    parser = option_parser(__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--memory", type=float, default=4.0)
    options = parser.parse_args()
    begin = time.perf_counter()
    try:
        backend = backend_for(options.device, options.memory)
    except SlabkitError as error:
        print(f"left out: {error}")
        return 0
    small, device, memory = options.small, options.device, options.memory
    rows: list[tuple[str, str, str]] = []
    values: dict[str, object] = {}

    def add(what: str, found: str, goal: str, **numbers: object) -> None:
        rows.append((what, found, goal))
        values.update(numbers)
        print(f"{what}: {found} (goal {goal})", flush=True)

    settings = ClassificationSettings(classes=8, iterations=10, seed=1)
    images = Images(200 if small else 2000, 8)
    one, other = (
        classify_images(images, PIXEL, settings, device=name, device_memory=memory)
        for name in ("cpu", device)
    )
    same = float((one.class_number == other.class_number).mean())
    apart = float(np.abs(one.probability - other.probability).max())
    add("images in the same class", f"{same:.4f}", "0.99", same_class=same)
    add("largest difference of probabilities", f"{apart:.1e}", "0.002", apart=apart)
    density = gaussian_filter(np.random.default_rng(2).normal(size=(24, 24, 24)), 1.5) * 20
    grid = np.indices(density.shape) - 12
    density *= (grid**2).sum(0) < 100
    templates = map_templates(
        density,
        SLAB_PIXEL,
        thickness=THICKNESS,
        lowpass=40.0,
        species="simulated",
        view_step=VIEW_STEP,
    )
    side = 315 if small else SLAB
    picked = []
    for name in ("cpu", device):
        few, table = slabs_of(2, side, density)
        picked.append(
            pick_templates(
                few,
                table,
                templates=templates,
                angular_step=ANGULAR_STEP,
                device=name,
                device_memory=memory,
                jobs=4,
            )
        )
    keys = ["rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY"]
    both = [set(map(tuple, table[keys].round(1).astype(str).to_numpy())) for table in picked]
    common = len(both[0] & both[1]) / max(len(both[0] | both[1]), 1)
    add(
        "picks of templates in common",
        f"{common:.4f} of {len(both[0])}",
        "0.99",
        picks_common=common,
    )
    peak_gb(backend)

    classes = 10 if small else 100

    def classified(count: int) -> float:
        start = settled(backend)
        classify_images(
            Images(count, classes),
            PIXEL,
            ClassificationSettings(classes=classes),
            device=device,
            device_memory=memory,
            jobs=available_cores(),
        )
        return settled(backend) - start

    first = 200 if small else FIRST
    seconds = classified(first)
    add(
        f"{first:,} images into {classes} classes",
        f"{seconds:.0f} s",
        "none",
        first_seconds=seconds,
    )
    per_image = seconds / first
    add("memory of classification", peak_gb(backend), f"{memory:g} GB")
    count = 4 if small else 100
    many, table = slabs_of(count, side, density)
    start = settled(backend)
    found = pick_templates(
        many,
        table,
        templates=templates,
        angular_step=ANGULAR_STEP,
        device=device,
        device_memory=memory,
        jobs=available_cores(),
    )
    seconds = settled(backend) - start
    what = f"{len(templates)} views x 36 angles, {count} slabs of {side} x {side}"
    add(what, f"{seconds:.0f} s, {len(found)} picks", "60 s", template_seconds=seconds)
    add("memory of templates", peak_gb(backend), f"{memory:g} GB")
    forecast = per_image * options.images
    left = SECONDS - (time.perf_counter() - begin) - 30
    if small or forecast > left:
        add(
            f"{options.images:,} images into {classes} classes",
            f"not run: {forecast:.0f} s by the line above",
            "600 s",
        )
    else:
        seconds = classified(options.images)
        add(
            f"{options.images:,} images into {classes} classes",
            f"{seconds:.0f} s",
            "600 s",
            most=seconds,
        )
    add("memory of that", peak_gb(backend), f"{memory:g} GB")
    name = device
    if backend.name.startswith("cuda"):
        name = backend.torch.cuda.get_device_name()
    versions = f"PyTorch {backend.torch.__version__}, slabkit {slabkit.__version__} {commit()}"
    lines = [
        f"{name}, {available_cores()} cores, {versions}.",
        "",
        "| | found | goal |",
        "|---|---|---|",
        *(f"| {a} | {b} | {c} |" for a, b, c in rows),
    ]
    report("device", lines, values)
    if backend.name.startswith("cuda") and not small:
        write_page([], [*SECTION.split("\n"), *lines])
    return 0


if __name__ == "__main__":
    sys.exit(main())
