"""Files as CryoSPARC writes them: outputs split over two datasets, rows in no order of meaning."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from slabkit.arrays.tiling import GalleryLayout
from slabkit.formats.programs.cryosparc.dataset import dataset_bytes
from slabkit.formats.tables.native import write_minislabs
from slabkit.formats.volumes.mrc import write_mrc
from slabkit.minislabs.galleries import gallery_set_id, geometry_table, minislab_table
from slabkit.tables import SLABS, make_table

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


def place_fields(table, rows, layout=LAYOUT, up=False, off=(1.3, -0.8)):
    """``location`` of picks near the centres of tiles of galleries."""
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


def write_dataset(path, columns):
    """Write a dataset of these fields."""
    Path(path).write_bytes(dataset_bytes(columns))


def write(path, uids, *slots):
    """Write a dataset of slots."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_dataset(path, {"uid": uids, **{k: v for slot in slots for k, v in slot.items()}})
    return path


def write_set(folder, count, *, layout=LAYOUT, stacks=True, contrast="dark", **options):
    """A set of galleries on disk: the table, and files that stand for the images."""
    table = minislabs(count, layout=layout, stacks=stacks, **options)
    for column in ("rlnMicrographName", "rlnImageName"):
        table[column] = table[column].str.replace("minislabs/", f"{folder.name}/", n=1)
    geometry = geometry_table(
        layout,
        tiles=len(table),
        pixel_size=7.3,
        box=layout.tile_px * 7.3,
        depth=200,
        contrast=contrast,
        set_id=table["slabkitGallerySet"].iloc[0],
    )
    folder.mkdir(exist_ok=True)
    for gallery in table["rlnMicrographName"].unique():
        image = np.zeros(layout.shape, np.float32)
        write_mrc(folder / os.path.basename(gallery), image, 7.3, label="gallery")
        if stacks:
            (folder / os.path.basename(gallery)).with_suffix(".mrcs").write_bytes(b"stack")
    write_minislabs(folder / "minislabs.star", table, geometry)
    return table


def slab_rows():
    """Slabs of two tomograms: sizes and voxel sizes differ, and none is square."""
    rows = []
    for name, size, (y, x) in (("a.1", 7.3, (61, 83)), ("00255", 10.012, (40, 70))):
        for number in range(2):
            rows.append(
                {
                    "rlnMicrographName": f"slabs/{name}_slab{number:03d}.mrc",
                    "rlnTomoName": name,
                    "slabkitZStart": 20 * number,
                    "slabkitZCount": 20,
                    "slabkitVoxelSize": size,
                    "slabkitContrast": "dark",
                    "slabkitTomogramContrast": "dark",
                    "slabkitTomogramSizeX": x,
                    "slabkitTomogramSizeY": y,
                    "slabkitTomogramSizeZ": 40,
                }
            )
    return make_table(SLABS, pd.DataFrame(rows).to_dict("list"))


def picks_on_slabs(folder, rng, up=False, **extra):
    """Picks of CryoSPARC on the slabs, in no order: the truth, and the file."""
    slabs = slab_rows()
    row = rng.integers(0, 4, 20)
    height = slabs["slabkitTomogramSizeY"].to_numpy()[row]
    width = slabs["slabkitTomogramSizeX"].to_numpy()[row]
    x, y = rng.integers(0, width), rng.integers(0, height)
    names = slabs["rlnMicrographName"].to_numpy()[row]
    written = height - 1 - y if up else y
    path = write(
        folder / "topaz_picked_particles.cs",
        random_uids(20),
        {
            "location/micrograph_path": np.array([imported(n) for n in names], dtype=object),
            "location/micrograph_shape": np.stack([height, width], axis=1).astype(np.uint32),
            "location/center_x_frac": (x / width).astype(np.float32),
            "location/center_y_frac": (written / height).astype(np.float32),
            "pick_stats/ncc_score": np.arange(20, dtype=np.float32),
        },
        extra,
    )
    return slabs, path, names, x, y
