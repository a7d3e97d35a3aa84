"""What a classification leaves: averages, the classified particles and the table of classes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError
from slabkit.formats.programs.shared.values import coordinates
from slabkit.formats.tables.blocks import read_text, write_blocks
from slabkit.formats.tables.paths import path_for_table
from slabkit.formats.tables.star import parse_star
from slabkit.formats.volumes.mrc import write_mrc

if TYPE_CHECKING:
    import pandas as pd

_CLASS_COLUMNS = ("rlnClassNumber", "slabkitQuality")


def write_averages(
    path: str | os.PathLike[str], averages: npt.NDArray[np.float32], pixel_size: float
) -> None:
    """Write class averages, shape (classes, y, x), as a stack; the name should end in ``.mrcs``."""
    write_mrc(path, averages, pixel_size, label="slabkit class averages", stack=True)


def write_classes(
    path: str | os.PathLike[str],
    averages: str | os.PathLike[str],
    columns: Mapping[str, Sequence[Any] | npt.NDArray[Any]],
) -> None:
    """Write the table of classes: the stack of averages, and further columns, one value a class."""
    count = len(next(iter(columns.values())))
    name = path_for_table(averages)
    numbers = range(1, count + 1)
    table = {
        "rlnReferenceImage": [f"{number:06d}@{name}" for number in numbers],
        "rlnClassNumber": np.arange(1, count + 1),
        **columns,
    }
    write_blocks(path, {"classes": table})


def read_class_table(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read the table of classes, all columns as text; raises as `read_classes`."""
    where = str(path)
    table = parse_star(read_text(path), where).get("classes")
    if table is None or not set(_CLASS_COLUMNS) <= set(table.columns):
        raise InputError(
            f"{where}: is no table of classes; `slabkit classify` writes classes.star."
        )
    return table


def read_classes(path: str | os.PathLike[str]) -> dict[str, float]:
    """Read the quality of each class, by its number as text, of ``classes.star``."""
    table = read_class_table(path)
    quality = coordinates(table["slabkitQuality"].tolist(), "slabkitQuality", str(path))
    return dict(zip(table["rlnClassNumber"].tolist(), quality.tolist(), strict=True))


def read_class_names(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read the species of each class, empty for none; raises too if classes were not named."""
    table = read_class_table(path)
    if "slabkitSpecies" not in table.columns:
        raise InputError(
            f"{path}: its classes have no names; give them by slabkit name, or classify --map."
        )
    species = table["slabkitSpecies"].mask(table["slabkitSpecies"] == "none", "")
    return dict(zip(table["rlnClassNumber"].tolist(), species.tolist(), strict=True))


def write_classified(
    path: str | os.PathLike[str],
    blocks: Mapping[str, pd.DataFrame],
    name: str,
    columns: Mapping[str, Sequence[Any] | npt.NDArray[Any]],
) -> None:
    """Write a particle table (block ``name``) with what a classification says of each particle.

    The new ``columns`` have one value a particle; they replace columns of the same name.
    """
    particles = blocks[name].assign(**columns)
    named = {("particles" if block == name else block): table for block, table in blocks.items()}
    write_blocks(path, named | {"particles": particles}, lists=("galleries",))
