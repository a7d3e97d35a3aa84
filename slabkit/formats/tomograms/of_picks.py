"""The volumes that a pick list speaks of: where each is, and whether it is the right one."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slabkit.errors import InputError
from slabkit.formats.tables.native import PickList
from slabkit.formats.tables.paths import resolve_path
from slabkit.formats.volumes.opening import list_tomograms, open_tomogram
from slabkit.tomogram import Reading, Tomogram
from slabkit.units import Contrast

# Binning drops what does not fill a voxel, so another binning may be this much smaller.
_MOST_VOXELS_CROPPED = 2
_MOST_PART_CROPPED = 0.02


@dataclass(frozen=True)
class PickVolume:
    """The volume of one tomogram of a pick list, not opened.

    Parameters
    ----------
    name : str
        Of the tomogram.
    path : Path or None
        None where it is not known.
    voxel_size : float or None
        In Å, as a table says.
    contrast : {"dark", "bright"}
    size : (float, float, float) or None
        In Å along x, y, z, as the pick list has it.
    problem : str, optional
        Why there is no path.
    reading : str, optional
        How the volume is read, where not in the usual way; see `slabkit.tomogram.Reading`.
    expected_voxel_size : float, optional
        In Å; the file may say it more precisely.
    """

    name: str
    path: Path | None
    voxel_size: float | None
    contrast: Contrast
    size: tuple[float, float, float] | None = None
    problem: str = ""
    reading: str = ""
    expected_voxel_size: float | None = None

    def open(self, fill_nonfinite: str | None = None) -> Tomogram:
        """Open the tomogram and check that it is as large as the pick list says.

        Parameters
        ----------
        fill_nonfinite : {"median"}, optional
            As for `slabkit.formats.volumes.opening.open_tomogram`.

        Returns
        -------
        Tomogram

        Raises
        ------
        InputError
            There is no path, the volume has another size, or as `open_tomogram`.
        """
        if self.path is None:
            raise InputError(self.problem)
        reading = Reading.parse(self.reading).keywords()
        reading["voxel_size"] = self.voxel_size
        if fill_nonfinite is not None:
            reading["fill_nonfinite"] = fill_nonfinite
        tomogram = open_tomogram(
            self.path,
            name=self.name,
            contrast=self.contrast,
            expected_voxel_size=self.expected_voxel_size,
            **reading,
        )
        if self.size is not None:
            found = [count * tomogram.voxel_size for count in reversed(tomogram.shape)]
            slack = _MOST_VOXELS_CROPPED * tomogram.voxel_size
            for there, listed in zip(found, self.size, strict=True):
                if abs(there - listed) > slack + _MOST_PART_CROPPED * listed:
                    raise InputError(
                        f"{self.path}: is {_sides(found)} Å large (x, y, z), the pick list says "
                        f"{_sides(self.size)} Å; give the volume of {self.name} with --tomograms, "
                        "or correct its voxel size."
                    )
        return tomogram


def pick_volumes(
    picks: PickList,
    source: str | os.PathLike[str],
    arguments: Sequence[str] | None = None,
    *,
    contrast: Contrast | None = None,
    voxel_size: float | None = None,
    tomo_type: str | None = None,
) -> dict[str, PickVolume]:
    """Find the volumes of the tomograms that have picks.

    Parameters
    ----------
    picks : PickList
    source : path-like or "-"
        Where the list was read; paths in it may be relative to that.
    arguments : sequence of str, optional
        Volumes, folders, patterns or tables to take tomograms from instead, by name. They may
        have another voxel size than those in which the picks were made.
    contrast : {"dark", "bright"}, optional
        Of all; by default as the tables say.
    voxel_size : float, optional
        Of all, in Å; by default as the tables or else the files say. Of a copick project, it says
        which tomograms are meant.
    tomo_type : str, optional
        Which tomograms of a copick project.

    Returns
    -------
    dict of str to PickVolume
        By name, in the order of the pick list.

    Raises
    ------
    InputError
        As `slabkit.formats.volumes.opening.list_tomograms`.
    """
    given = None
    if arguments is not None:
        found = list_tomograms(arguments, voxel_size=voxel_size, tomo_type=tomo_type)
        given = {tomogram.name: tomogram for tomogram in found}
    rows = picks.tomograms.set_index("slabkitTomogram")
    volumes = {}
    for name in dict.fromkeys(picks.picks["slabkitTomogram"].tolist()):
        row = rows.loc[name]
        stated = float(row["slabkitVoxelSize"])
        edge = stated if math.isfinite(stated) and stated > 0 else None
        counts = [int(row[f"slabkitTomogramSize{axis}"]) for axis in "XYZ"]
        size = None
        if edge is not None and min(counts) > 0:
            size = (counts[0] * edge, counts[1] * edge, counts[2] * edge)
        listed: Contrast = row["slabkitTomogramContrast"]
        path, problem, reading, expected = None, "", "", None
        if given is None:
            reading = str(row["slabkitTomogramReading"])
            if row["slabkitTomogramFile"]:
                path = resolve_path(str(row["slabkitTomogramFile"]), source)
            else:
                problem = (
                    f"{source}: names no file for the tomogram {name}; give it with --tomograms."
                )
        elif name in given:
            path = given[name].path
            edge, listed = given[name].voxel_size, given[name].contrast or listed
            if given[name].in_project:
                edge, expected = None, edge
        else:
            close = difflib.get_close_matches(name, given, 3, 0) or ["none"]
            problem = (
                f"{source}: has picks in {name}, and --tomograms has no tomogram of that name; "
                f"the closest: {', '.join(close)}."
            )
        volumes[name] = PickVolume(
            name,
            path,
            edge if expected else voxel_size or edge,
            contrast or listed,
            size,
            problem,
            reading,
            expected,
        )
    return volumes


def _sides(size: Sequence[float]) -> str:
    return " × ".join(f"{side:g}" for side in size)
