"""What is said of a file: what `describe_file` gives, and formats that describe themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

_SHOWN = 3


@dataclass(frozen=True)
class ValueRange:
    """The values of a volume or of images."""

    # Of the finite values; None where there is none
    least: float | None
    greatest: float | None
    mean: float | None
    deviation: float | None
    nonfinite: int  # NaN and infinite values found
    # How many planes (or images) were read, of how many
    planes: int
    of: int

    @property
    def sampled(self) -> bool:
        """Whether not every plane was read."""
        return self.planes < self.of


@dataclass(frozen=True)
class FileDescription:
    """One file, as far as it is understood."""

    path: str
    # ``tomogram``, ``micrograph``, ``stack``, ``slab table``, ``picks2d``, ``pick list``,
    # ``minislab table``, ``labels``, ``conflicts between species``, ``contradictions between
    # raters``, ``data-set split``, ``statistics of picks``, ``tomogram table``, ``other STAR``,
    # ``table``, ``coordinates``, ``record of a run of slabkit`` or what CryoSPARC has: ``CryoSPARC
    # particles``, ``CryoSPARC micrographs``, ``CryoSPARC dataset``, ``CryoSPARC result group``
    kind: str
    stored_as: str  # format and type
    size: tuple[int, ...] | None = None  # voxels or pixels along x, y (and z, or images)
    voxel_size: float | None = None  # in Å; None where the file does not settle it
    values: ValueRange | None = None
    rows: int | None = None  # of the main table
    columns: tuple[str, ...] | None = None  # of the main table
    blocks: dict[str, int] = field(default_factory=dict)  # rows of every block of a STAR file
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Give everything that is known as plain values, for JSON."""
        return {key: value for key, value in asdict(self).items() if value not in (None, {})}


def named(what: str, names: Sequence[str]) -> str:
    """Say how many different names there are, and the first of them."""
    different = list(dict.fromkeys(names))
    shown = ", ".join(different[:_SHOWN]) + ", ..." * (len(different) > _SHOWN)
    return f"{what} ({len(different)}): {shown or 'none'}"
