"""What stands below a root of a copick project: the layout, and a root on this machine's disks."""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from slabkit.errors import InputError, SlabkitWarning
from slabkit.formats.source import Source
from slabkit.formats.tomograms.names import RUNS

_SPACING = re.compile(r"VoxelSpacing(\d+(?:\.\d*)?)")


@dataclass(frozen=True)
class ProjectTomogram:
    """One tomogram of a project.

    Parameters
    ----------
    run : str
        copick's word for what slabkit calls the tomogram's name.
    spacing : float
        Å per voxel as the folder's name says, perhaps rounded.
    kind : str
        What was done to it: ``wbp``, ``denoised``...
    path : Path
        On this machine, or a reference (`slabkit.formats.tomograms.names`).
    """

    run: str
    spacing: float
    kind: str
    path: Path


class Part(Protocol):
    """One root of a project, wherever it is."""

    def runs(self) -> set[str]:
        """Give the names of its runs."""

    def tomograms(self, run: str) -> list[ProjectTomogram]:
        """Give the tomograms of a run."""

    def picks(self, run: str) -> list[Path]:
        """Give the picks files of a run."""

    def load(self, path: Path, run: str) -> Source:
        """Read a picks file."""

    def picks_path(self, run: str, file_name: str) -> Path:
        """Say where a picks file stands, or would."""

    def standing(self, run: str, file_name: str) -> bool:
        """Tell whether there is such a picks file."""


class LocalPart:
    """A root on this machine's disks, for which the copick package is not needed.

    Parameters
    ----------
    root : Path
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def runs(self) -> set[str]:
        """Give the names of the runs."""
        return {path.name for path in _entries(self.root / RUNS) if path.is_dir()}

    def tomograms(self, run: str) -> list[ProjectTomogram]:
        """Give the tomograms of a run, by spacing and kind."""
        found = []
        for folder in _entries(self.root / RUNS / run):
            match = _SPACING.fullmatch(folder.name)
            if match is None:
                continue
            for path in _entries(folder):
                kind = path.name.removesuffix(".zarr")
                # copick keeps features of a tomogram beside it.
                if kind != path.name and "features" not in kind and path.is_dir():
                    found.append(ProjectTomogram(run, float(match[1]), kind, path))
        return found

    def picks(self, run: str) -> list[Path]:
        """Give the picks files of a run, by name."""
        found = _entries(self.root / RUNS / run / "Picks")
        return [path for path in found if path.suffix == ".json"]

    def load(self, path: Path, run: str) -> Source:
        """Read a picks file."""
        return Source.load(path, run)

    def picks_path(self, run: str, file_name: str) -> Path:
        """Say where a picks file stands, or would."""
        return self.root / RUNS / run / "Picks" / file_name

    def standing(self, run: str, file_name: str) -> bool:
        """Tell whether there is such a picks file."""
        return os.path.lexists(self.picks_path(run, file_name))


def first_of_each(found: list[ProjectTomogram]) -> list[ProjectTomogram]:
    """Leave one tomogram of a run, spacing and kind: the first, as copick does.

    Parameters
    ----------
    found : list of ProjectTomogram
        The static root's first.

    Returns
    -------
    list of ProjectTomogram

    Warns
    -----
    SlabkitWarning
        For each that is left out.
    """
    first: dict[tuple[str, float, str], ProjectTomogram] = {}
    for tomogram in found:
        key = (tomogram.run, tomogram.spacing, tomogram.kind)
        other = first.setdefault(key, tomogram)
        if other is not tomogram:
            warnings.warn(
                f"{tomogram.path}: {other.path} is of the same run and used instead.",
                SlabkitWarning,
                stacklevel=5,
            )
    return list(first.values())


def picks_parts(path: Path) -> tuple[str, str, str]:
    """Give user, session and object, as the name of a picks file has them.

    Parameters
    ----------
    path : Path

    Returns
    -------
    user, session, object : str

    Raises
    ------
    InputError
        The name is not of copick's form.
    """
    parts = path.stem.split("_")
    if len(parts) != 3:
        raise InputError(
            f"{path}: is not named USER_SESSION_OBJECT.json, as copick names its picks files; "
            "rename or remove it."
        )
    return parts[0], parts[1], parts[2]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror}).") from error
