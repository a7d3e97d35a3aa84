"""Files as CryoSPARC writes them: outputs split over two datasets, rows in no order of meaning."""

from __future__ import annotations

import numpy as np

from slabkit.arrays.tiling import GalleryLayout
from slabkit.formats.cryosparc_dataset import write_dataset
from slabkit.galleries import gallery_set_id, minislab_table

LAYOUT = GalleryLayout(20, 3, 4, 7)  # 74 × 94 pixels (y, x): not square


def minislabs(count, layout=LAYOUT, tilts=(0.0,), stacks=True, prefix="p"):
    """A minislab table of picks in three tomograms; the last gallery is partly filled."""
    ids = [f"{prefix}{number:05d}" for number in range(count) for _ in tilts]
    galleries = range(layout.galleries(len(ids)))
    angles = np.tile(tilts, count)
    return minislab_table(
        layout,
        galleries=[f"minislabs/minislabs_{g:03d}.mrc" for g in galleries],
        stacks=[f"minislabs/minislabs_{g:03d}.mrcs" for g in galleries] if stacks else None,
        pick_ids=ids,
        tomograms=[f"tomogram {number % 3}" for number in range(len(ids))],
        tilts=angles,
        inside_fraction=np.ones(len(ids)),
        set_id=gallery_set_id(layout, 10, ids, angles),
    )


def random_uids(count, seed=0):
    """Ids as CryoSPARC gives them: any 64 bits, more than a float or an int64 can hold."""
    return np.random.default_rng(seed).integers(2**63, 2**64 - 1, count, dtype=np.uint64)


def imported(name, seed=1):
    """A file's name in a project: linked under its job, with 21 digits before it."""
    number = np.random.default_rng(seed + len(name) + ord(name[-5])).integers(10**17, 10**18)
    return f"J{seed}/imported/{number:021d}_{name.rsplit('/', 1)[-1]}"


def stack_fields(table, rows):
    """``blob`` of an imported particle stack."""
    images = table["rlnImageName"].to_numpy()[rows]
    paths = {path: imported(path) for path in {image.partition("@")[2] for image in images}}
    return {
        "blob/path": np.array([paths[i.partition("@")[2]] for i in images], dtype=object),
        "blob/idx": np.array([int(i.partition("@")[0]) - 1 for i in images], dtype=np.uint32),
        "blob/shape": np.full((len(rows), 2), 20, dtype=np.uint32),
        "blob/psize_A": np.full(len(rows), 10, dtype=np.float32),
    }


def place_fields(table, rows, layout=LAYOUT, up=False, off=(0.0, 0.0)):
    """``location`` of tiles of galleries."""
    own = table.iloc[rows]
    height, width = layout.shape
    x = own["rlnCoordinateX"].to_numpy() + off[0]
    y = own["rlnCoordinateY"].to_numpy() + off[1]
    y = height - y if up else y
    return {
        "location/micrograph_uid": np.arange(len(rows), dtype=np.uint64),
        "location/exp_group_id": np.ones(len(rows), dtype=np.uint32),
        "location/micrograph_path": np.array(
            [imported(name) for name in own["rlnMicrographName"]], dtype=object
        ),
        "location/micrograph_shape": np.tile(np.array(layout.shape, np.uint32), (len(rows), 1)),
        "location/center_x_frac": (x / width).astype(np.float32),
        "location/center_y_frac": (y / height).astype(np.float32),
    }


def classes2d(numbers):
    """``alignments2D`` of 2D classification."""
    numbers = np.asarray(numbers, dtype=np.uint32)
    return {
        "alignments2D/class": numbers,
        "alignments2D/class_posterior": np.linspace(0.5, 1, len(numbers)).astype(np.float32),
        "alignments2D/shift": np.zeros((len(numbers), 2), dtype=np.float32),
    }


def write(path, uids, *slots):
    """Write a dataset of slots."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_dataset(path, {"uid": uids, **{k: v for slot in slots for k, v in slot.items()}})
    return path
