"""Arrays as one binary answer: a JSON header, then each array at a multiple of eight bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt


def pack(header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Pack arrays (little-endian); the header says what they are and where."""
    described, parts, offset = [], [], 0
    for name, array in arrays.items():
        flat = np.ascontiguousarray(array)
        data = flat.astype(flat.dtype.newbyteorder("<"), copy=False).tobytes()
        kind = f"{flat.dtype.kind}{flat.dtype.itemsize}"
        described.append({"name": name, "kind": kind, "offset": offset, "count": flat.size})
        parts.append(data + bytes(-len(data) % 8))
        offset += len(parts[-1])
    text = json.dumps({**header, "arrays": described}, ensure_ascii=False, allow_nan=False).encode()
    text += b" " * (-(len(text) + 4) % 8)
    return len(text).to_bytes(4, "little") + text + b"".join(parts)
