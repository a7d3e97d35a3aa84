"""Folders of learned models: ``model.json`` and ``arrays.npz``, nothing that could run code."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import FormatError, InputError
from slabkit.formats.tables.atomic import write_bytes, write_text
from slabkit.formats.tables.paths import read_bytes

_FORMAT = "slabkit model 3"
_LARGEST = 1 << 30  # bytes
_REAL = ("f2", "f4", "f8", "i1", "i2", "i4", "i8")

Arrays = Mapping[str, npt.NDArray[Any]]


def model_files(folder: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Name the files of a model: its description, and its arrays."""
    return Path(folder) / "model.json", Path(folder) / "arrays.npz"


def write_model(
    folder: str | os.PathLike[str], description: Mapping[str, Any], arrays: Arrays
) -> None:
    """Write a model, the arrays first.

    Parameters
    ----------
    folder : path-like
    description : mapping
        Plain values.
    arrays : mapping of str to ndarray
        Numbers.

    Raises
    ------
    SlabkitError
        The folder cannot be written to.
    """
    path, beside = model_files(folder)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:  # np.savez of numpy 2.0 may pickle
        for name, array in arrays.items():
            with packed.open(f"{name}.npy", "w", force_zip64=True) as part:  # without times
                np.lib.format.write_array(part, np.asanyarray(array), allow_pickle=False)
    write_bytes(beside, content.getvalue())
    text = json.dumps({"format": _FORMAT, **description}, indent=1, ensure_ascii=False)
    write_text(path, text + "\n")


def read_model(
    folder: str | os.PathLike[str],
) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Read a model.

    Parameters
    ----------
    folder : path-like

    Returns
    -------
    description : dict
    arrays : dict of str to ndarray
        Of numbers only, all finite.

    Raises
    ------
    InputError
        There is no model in the folder.
    FormatError
        A file is damaged, or holds something else than numbers.
    """
    path, beside = model_files(folder)
    for file in (path, beside):
        if not file.is_file():
            raise InputError(
                f"{folder}: is no model, it has no {file.name}; `slabkit learn` writes one."
            )
    try:
        description = json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: is not well-formed JSON; learn the model again.") from error
    if not isinstance(description, dict) or description.get("format") != _FORMAT:
        raise FormatError(
            f"{path}: is not a model of this version of slabkit ({_FORMAT}); learn it again."
        )
    arrays: dict[str, npt.NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(beside) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > _LARGEST:
            raise FormatError(f"{beside}: holds {size:,} bytes, more than any model.")
        with np.load(beside, allow_pickle=False) as loaded:
            for name in loaded.files:
                arrays[name] = loaded[name]
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise FormatError(
            f"{beside}: is not a file of arrays of numbers ({error}); learn the model again."
        ) from error
    for name, array in arrays.items():
        if array.dtype.str[1:] not in _REAL or not np.isfinite(array).all():
            raise FormatError(f"{beside}: {name} does not hold finite numbers.")
    return description, arrays
