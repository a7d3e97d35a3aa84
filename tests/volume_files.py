"""Volume files made by hand, byte by byte, independently of slabkit's own reader and writer."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

MODE_TYPES = {0: "i1", 1: "i2", 2: "f4", 3: "i4", 4: "c8", 6: "u2", 12: "f2"}
FIELDS = {
    "n": (0, "3i"),
    "mode": (12, "i"),
    "start": (16, "3i"),
    "m": (28, "3i"),
    "cell": (40, "3f"),
    "angles": (52, "3f"),
    "axes": (64, "3i"),
    "statistics": (76, "3f"),
    "space_group": (88, "i"),
    "extended": (92, "i"),
    "imod": (152, "2i"),
    "origin": (196, "3f"),
    "rms": (216, "f"),
    "label_count": (220, "i"),
}
STAMPS = {"<": b"\x44\x44\x00\x00", ">": b"\x11\x11\x00\x00"}


def random_volume(shape: tuple[int, int, int], dtype: Any = "f4", seed: int = 7) -> np.ndarray:
    """Random values that every MRC mode holds exactly."""
    low, high = (0, 250) if np.dtype(dtype).kind == "u" else (-120, 120)
    values = np.random.default_rng(seed).integers(low, high, shape)
    return values.astype(dtype)


def mrc_bytes(
    data: np.ndarray,
    voxel_size: Any = 7.3,
    *,
    order: str = "<",
    mode: int | None = None,
    stamp: bytes | None = None,
    map_id: bytes = b"MAP ",
    extended: bytes = b"",
    **fields: Any,
) -> bytes:
    """Make an MRC file; any field of the header can be given a value of its own."""
    if mode is None:
        kind = np.dtype(data.dtype).newbyteorder("=").str[1:]
        mode = {"u1": 0, **{v: k for k, v in MODE_TYPES.items()}}[kind]
    nz, ny, nx = data.shape
    sizes = np.broadcast_to(np.asarray(voxel_size, dtype=float), 3)
    values: dict[str, Any] = {
        "n": (nx, ny, nz),
        "mode": mode,
        "m": (nx, ny, nz),
        "cell": tuple(size * n for size, n in zip(sizes, (nx, ny, nz), strict=True)),
        "angles": (90, 90, 90),
        "axes": (1, 2, 3),
        "statistics": (0, -1, -2),
        "space_group": 1,
        "extended": len(extended),
        "rms": -1,
        **fields,
    }
    raw = bytearray(1024)
    for name, value in values.items():
        offset, form = FIELDS[name]
        struct.pack_into(order + form, raw, offset, *(np.atleast_1d(value).tolist()))
    raw[208:212] = map_id
    raw[212:216] = STAMPS[order] if stamp is None else stamp
    return bytes(raw) + extended + data.astype(data.dtype.newbyteorder(order)).tobytes()


def write_mrc_file(path: Path, data: np.ndarray, voxel_size: Any = 7.3, **how: Any) -> Path:
    """Write `mrc_bytes` to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(mrc_bytes(data, voxel_size, **how))
    return path


def write_ome_zarr(
    path: Path,
    data: np.ndarray,
    voxel_size: Any = 10.0,
    *,
    zarr_format: int = 2,
    axes: Any = None,
    datasets: Any = None,
    chunks: tuple[int, ...] | None = None,
    outer: Any = None,
    shards: tuple[int, ...] | None = None,
    metadata: dict[str, Any] | None = None,
    **options: Any,
) -> Path:
    """Write an OME-Zarr 0.4 (format 2) or 0.5 (format 3) folder, its metadata by hand."""
    import json

    import zarr

    names = "tczyx"[-data.ndim :]
    if axes is None:
        axes = [{"name": n, "type": "space", "unit": "angstrom"} for n in names]
    scale = np.broadcast_to(np.asarray(voxel_size, dtype=float), data.ndim).tolist()
    if datasets is None:
        datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}]
    image: dict[str, Any] = {"axes": axes, "datasets": datasets, "name": "volume"}
    if outer is not None:
        image["coordinateTransformations"] = outer
    group = zarr.open_group(str(path), mode="w", zarr_format=zarr_format)
    options |= {"shards": shards} if shards else {}
    array = group.create_array(
        datasets[0]["path"],
        shape=data.shape,
        dtype=data.dtype,
        chunks=chunks or data.shape,
        config={"write_empty_chunks": True},
        **options,
    )
    array[...] = data
    if metadata is None:
        metadata = {"multiscales": [image]}
    if zarr_format == 2:
        image["version"] = "0.4"
        (path / ".zattrs").write_text(json.dumps(metadata))
    else:
        content = json.loads((path / "zarr.json").read_text())
        content["attributes"] = {"ome": {"version": "0.5", **metadata}}
        (path / "zarr.json").write_text(json.dumps(content))
    return path


def gallery_file(folder: Path, index: int, suffix: str = ".mrc") -> Path:
    """Find a gallery, stack or picture of the one set in a folder."""
    (found,) = folder.glob(f"minislabs_??????_{index:03d}{suffix}")
    return found
