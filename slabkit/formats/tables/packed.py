"""Text in Arrow's layout, where pandas has it so: one buffer and offsets instead of objects."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

PADDING = bytes(64)  # behind bytes of which columns of texts up to this length are made
Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]


def is_packed(column: Any) -> bool:
    """Tell pandas' text in Arrow's layout from objects and numbers."""
    return getattr(column.dtype, "storage", "") == "pyarrow"


def packed_text(data: Bytes, starts: Places, ends: Places) -> Any:
    """Make a column of the text, without NUL, between places in bytes with `PADDING` behind."""
    import pandas as pd
    import pyarrow as pa  # type: ignore[import-untyped]

    lengths = ends - starts
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    width = int(lengths.max())
    if width <= len(PADDING):
        text = in_columns(data, starts, lengths, width).tobytes().translate(None, b"\0")
    else:
        places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        text = data[places].tobytes()
    buffers = (pa.py_buffer(offsets), pa.py_buffer(text))
    return pd.array(pa.LargeStringArray.from_buffers(len(lengths), *buffers), dtype="str")


def in_columns(data: Bytes, starts: Places, lengths: Places, width: int) -> npt.NDArray[np.bytes_]:
    """Lay texts out in one width, with NUL behind them, from bytes with `PADDING` behind."""
    texts = np.ndarray((len(data) - width + 1,), f"S{width}", data, strides=(1,))[starts]
    if lengths.min(initial=width) < width:
        letters = texts.view(np.uint8).reshape(-1, width)
        letters *= np.arange(width, dtype=np.uint8) < lengths.astype(np.uint8)[:, None]
    return texts


def unpacked(column: Any) -> tuple[Bytes, Places] | None:
    """Give the bytes of a packed column and where its texts end; None if one is missing."""
    import pyarrow as pa

    array = pa.array(column)
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    if array.null_count or not pa.types.is_large_string(array.type):
        return None
    _, places, data = array.buffers()
    offsets = np.frombuffer(places, np.int64, len(array) + 1, 8 * array.offset)
    if data is None or not len(array):
        return np.empty(0, dtype=np.uint8), np.zeros(len(array) + 1, dtype=np.int64)
    first, last = int(offsets[0]), int(offsets[-1])
    return np.frombuffer(data, np.uint8, last - first, first), offsets - first
