"""Segmentations in copick projects.

They are ``Segmentations/<Å>_<user>_<session>_<name>[-multilabel].zarr`` in each run's folder.
Only roots on this machine's disks are looked through.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slabkit.errors import InputError
from slabkit.formats.programs.shared.json_values import load_json
from slabkit.formats.source import Source
from slabkit.formats.tomograms.copick_project import LocalPart, open_project
from slabkit.formats.tomograms.names import PREFIX, RUNS
from slabkit.formats.volumes.opening import open_reference
from slabkit.tomogram import TomogramRef

_MULTILABEL = "-multilabel"


@dataclass(frozen=True)
class ProjectSegmentations:
    """The segmentations that were asked for, and what the project says of their labels."""

    masks: list[TomogramRef]  # one a run, under the run's name
    names: dict[int, str]  # label to object; a segmentation of one object has the label 1
    diameters: dict[int, float]  # in Å, of the labels whose objects have a radius


def project_segmentations(
    argument: str | os.PathLike[str], wanted: str = "", voxel_size: float | None = None
) -> ProjectSegmentations:
    """Find one segmentation a run in a copick project, ``copick:CONFIG.json``.

    ``wanted`` is its name, perhaps with user and session before it (``USER_SESSION_NAME``);
    ``voxel_size``, in Å, says which where there are several. Where none or several fit, the message
    lists what there is.
    """
    project = open_project(argument)
    where = f"{PREFIX}{project.config}"
    found: list[tuple[str, Path, float, str, bool]] = []
    known: set[str] = set()
    for run in project.runs():
        for part in project.parts:
            if not isinstance(part, LocalPart):
                continue
            for path in sorted((part.root / RUNS / run / "Segmentations").glob("*_*_*_*.zarr")):
                stem = path.name.removesuffix(".zarr")
                multilabel = stem.endswith(_MULTILABEL)
                spacing, user, session, name = stem.removesuffix(_MULTILABEL).split("_", 3)
                try:
                    edge = float(spacing)
                except ValueError:
                    continue
                known.add(f"{user}_{session}_{name} at {edge:g} Å")
                if wanted and wanted not in (name, f"{user}_{session}_{name}"):
                    continue
                if voxel_size is not None and abs(edge - voxel_size) > 2e-3 * voxel_size:
                    continue
                found.append((run, path, edge, name, multilabel))
    kinds = {path.name for _, path, *_ in found}
    listed = ", ".join(sorted(known)[:10]) or "none on this machine's disks"
    if not found:
        raise InputError(f"{where}: has no such segmentation; there are {listed}.")
    if len(kinds) > 1:
        raise InputError(
            f"{where}: has several segmentations a run ({listed}); say which with --object "
            "(NAME or USER_SESSION_NAME) and --voxel-size."
        )
    first = {run: path for run, path, *_ in reversed(found)}  # the static root's, as copick does
    edge, name, multilabel = found[0][2:]
    names, diameters = _labels(project.config, where, name, multilabel)
    masks = [TomogramRef(run, first[run], edge, opener=open_reference) for run in sorted(first)]
    return ProjectSegmentations(masks, names, diameters)


def _labels(
    config: Path, where: str, name: str, multilabel: bool
) -> tuple[dict[int, str], dict[int, float]]:
    content: Any = load_json(Source.load(config).text, where)
    names: dict[int, str] = {} if multilabel else {1: name}
    diameters: dict[int, float] = {}
    for entry in content.get("pickable_objects", []):
        label, radius = entry.get("label"), entry.get("radius")
        if not multilabel and entry["name"] != name:
            continue
        number = label if multilabel else 1
        if not isinstance(number, int):
            continue
        names[number] = entry["name"]
        particle = entry.get("is_particle", True)
        if particle and isinstance(radius, (int, float)) and radius > 0:
            diameters[number] = 2.0 * radius
    return names, diameters
