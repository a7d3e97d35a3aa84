"""The tables of a folder, read as the project that its page shows."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slabkit.errors import SlabkitError
from slabkit.steps.shared.project_files import ProjectFile, ProjectFiles
from slabkit.steps.shared.project_truth import compare

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.formats.tables.native import PickList
    from slabkit.pictures.project import ClassSet, GallerySet, Project
    from slabkit.tomogram import Tomogram

_SETS = 3  # of galleries, and of classes, that are shown
_OPENED = 5  # tomograms that are tried for the charts of depth


def read_project(
    found: ProjectFiles, truth: str | None, radii: Mapping[str, float], *, must: bool
) -> Project:
    """Read everything; what cannot be read is said on the page, the truth excepted if it must."""
    import pandas as pd

    from slabkit.curation import pick_statistics
    from slabkit.formats.volumes.mrc import read_image
    from slabkit.pictures.project import Project
    from slabkit.steps.shared.slabs import slab_image

    notes = list(found.problems)
    lists = _read_lists(found, truth, notes)
    labels = _read_all(found.of("labels"), "labels", notes)
    picks, merged, final = _pooled(found, lists, labels)
    shown = final[0].path if len(final) == 1 else None
    tables = [one.tomograms for one in lists.values()]
    tomograms = (
        pd.concat(tables, ignore_index=True).drop_duplicates("slabkitTomogram", ignore_index=True)
        if tables
        else None
    )
    slabs = _slabs(found, notes)
    names = [] if slabs is None else slabs["rlnTomoName"].unique().tolist()
    if tomograms is not None:
        names += tomograms["slabkitTomogram"].tolist()
    measured = None
    if picks is not None:
        from slabkit.tables import recorded_labels

        recorded = [recorded_labels(one.picks) for one in lists.values()]
        measured = pick_statistics(picks, tomograms, [*labels, *recorded])
    against = None
    if truth is not None and picks is not None:
        if not final:
            shown = next(iter(lists)).path
        try:
            against = compare(truth, radii, picks, names, bool(final), shown)
        except SlabkitError as error:
            if must:
                raise
            notes.append(f"The picks are not compared with the truth: {error}")
    return Project(
        title=found.folder.resolve().name or "project",
        slabs=slabs,
        hits=_hits(found, notes),
        picks=picks,
        merged=merged,
        curated=bool(final),
        tomograms=list(dict.fromkeys(names)),
        tomogram=_tomogram(picks, tomograms, notes),
        read_slab=lambda row: slab_image(Path(row.rlnMicrographName), row),
        read_gallery=lambda path: read_image(path)[0],
        galleries=_galleries(found, notes),
        classes=_classes(found, notes),
        counts=None if measured is None else measured.counts,
        measured=None if measured is None else measured.picks,
        labelling=None if measured is None else measured.labelling,
        truth=against,
        missing=_missing(found, final, truth),
        notes=notes,
        commands=_commands(found),
        files=[(found.name(file), _taken_for(file)) for file in found.files],
    )


def _taken_for(file: ProjectFile) -> str:
    kind = "minislabs with their classes" if file.kind == "classified" else file.kind
    return f"{kind}, of slabkit {file.step}" if file.step else kind


def _commands(found: ProjectFiles) -> list[str]:
    lines = [shlex.join(["slabkit", *record.command]) for record, _ in found.records]
    return list(dict.fromkeys(line for line in lines if line != "slabkit"))


def _read_all(files: Sequence[ProjectFile], kind: str, notes: list[str]) -> list[Any]:
    """Read tables of a kind; what cannot be read is said on the page."""
    from slabkit.formats.tables import native

    read = {"labels": native.read_labels, "picks2d": native.read_picks2d}[kind]
    tables = []
    for file in files:
        try:
            tables.append(read(file.path))
        except SlabkitError as error:
            notes.append(str(error))
    return tables


def _hits(found: ProjectFiles, notes: list[str]) -> int | None:
    """Count the 2D picks that were mapped; all of them, where that is not known."""
    files = found.of("picks2d")
    mapped = [source for file in found.files if file.step == "map" for source in found.inputs(file)]
    used = [file for file in files if file in mapped]
    tables = _read_all(used or files, "picks2d", notes)
    return sum(len(table) for table in tables) if tables else None


def _read_lists(
    found: ProjectFiles, truth: str | None, notes: list[str]
) -> dict[ProjectFile, PickList]:
    """Read the pick lists that are no truth, in the order in which they were made."""
    from slabkit.formats.tables.native import read_native_picks
    from slabkit.formats.tables.paths import with_paths_from_here

    lists = {}
    for file in found.of("pick list"):
        if file.step == "simulate" or (
            truth and Path(truth).exists() and file.path.samefile(truth)
        ):
            continue
        try:
            lists[file] = read_native_picks(file.path)
            with_paths_from_here(lists[file].tomograms, file.path)
        except SlabkitError as error:
            notes.append(str(error))
    return lists


def _pooled(
    found: ProjectFiles, lists: Mapping[ProjectFile, PickList], labels: Sequence[pd.DataFrame]
) -> tuple[pd.DataFrame | None, int | None, list[ProjectFile]]:
    """Give every pick once, with what holds of it; how many were merged away; curated lists."""
    import pandas as pd

    from slabkit.tables import PICKS, recorded_labels

    if not lists:
        return None, None, []
    final = _final(found, lists)
    dropped = [file for file in lists if "slabkitReason" in file.columns]
    later = [file for file in reversed(list(lists)) if file not in final and file not in dropped]
    everything = pd.concat(
        [lists[file].picks[PICKS.names] for file in [*final, *dropped[::-1], *later]]
    ).drop_duplicates("slabkitPickId")
    order = pd.concat([one.picks["slabkitPickId"] for one in lists.values()]).drop_duplicates()
    table = everything.set_index("slabkitPickId", drop=False).loc[order]
    votes: dict[str, str] = {}
    for one in [*(recorded_labels(one.picks) for one in lists.values()), *labels]:
        votes |= _decided(one)
    decisions = dict(votes)
    for file in dropped:
        decisions |= _decided(lists[file].picks)
    if final:  # what no curated list holds is not accepted
        decisions = {name: word for name, word in decisions.items() if word != "accepted"}
        for file in final:
            decisions |= _decided(lists[file].picks)
    names = table["slabkitPickId"].tolist()
    table = table.assign(
        slabkitDecision=[decisions.get(name, "undecided") for name in names],
        labelled=[name in votes for name in names],
    ).reset_index(drop=True)
    gone = _merged_away(found, lists)
    for file in final:
        gone -= set(lists[file].picks["slabkitPickId"])
    if gone:
        table = table[~table["slabkitPickId"].isin(gone)].reset_index(drop=True)
    return table, len(gone) or None, final


def _decided(table: pd.DataFrame) -> dict[str, str]:
    """Give what a table decides by id of the pick; later rows win."""
    said = zip(table["slabkitPickId"], table["slabkitDecision"], strict=True)
    return {name: word for name, word in said if word != "undecided"}


def _final(found: ProjectFiles, lists: Mapping[ProjectFile, PickList]) -> list[ProjectFile]:
    """Choose the lists that say what is accepted: decided, and not curated again later."""
    ids = {
        file: set(lists[file].picks["slabkitPickId"])
        for file in found.decided_lists()
        if file in lists
        and (
            "slabkitVotesAccepted" in file.columns  # of slabkit curate, even if nothing is kept
            or (lists[file].picks["slabkitDecision"] != "undecided").any()
        )
    }
    unrecorded = [file for file in ids if file.record is None]
    return [
        file
        for file in ids
        # Without records the list of fewer of the same picks is the later one.
        if not (file.record is None and any(ids[one] < ids[file] for one in unrecorded))
    ]


def _merged_away(found: ProjectFiles, lists: Mapping[ProjectFile, PickList]) -> set[str]:
    gone: set[str] = set()
    for file, one in lists.items():
        if file.step == "merge":
            before = [lists[source] for source in found.inputs(file) if source in lists]
            gone |= set().union(*(other.picks["slabkitPickId"] for other in before))
            gone -= set(one.picks["slabkitPickId"])
    return gone


def _beside(table: pd.DataFrame, column: str, source: Path) -> pd.DataFrame:
    """Name files that are not where the table says, and lie beside it, as they are found."""
    from slabkit.formats.tables.paths import with_paths_from_here

    table = with_paths_from_here(table, source)
    names = table[column].unique().tolist()
    moved = {
        name: str(source.parent / Path(name).name)
        for name in names
        if not Path(name).exists() and (source.parent / Path(name).name).exists()
    }
    return table.assign(**{column: table[column].replace(moved)}) if moved else table


def _slabs(found: ProjectFiles, notes: list[str]) -> pd.DataFrame | None:
    import pandas as pd

    from slabkit.formats.tables.native import read_slabs

    tables = []
    for file in found.of("slab table"):
        try:
            tables.append(_beside(read_slabs(file.path), "rlnMicrographName", file.path))
        except SlabkitError as error:
            notes.append(str(error))
    if not tables:
        return None
    return pd.concat(tables).drop_duplicates("rlnMicrographName", ignore_index=True)


def _galleries(found: ProjectFiles, notes: list[str]) -> list[GallerySet]:
    from slabkit.arrays.tiling import GalleryLayout
    from slabkit.formats.tables.native import read_minislabs
    from slabkit.pictures.project import GallerySet

    sets = []
    for file in _newest(found.of("minislab table"), "sets of minislabs", notes):
        try:
            table, geometry = read_minislabs(file.path)
            layout = GalleryLayout.from_table(geometry.iloc[0].to_dict(), str(file.path))
        except SlabkitError as error:
            notes.append(str(error))
            continue
        if len(table):
            table = _beside(table, "rlnMicrographName", file.path)
            sets.append(GallerySet(found.name(file), table, layout))
    return sets


def _newest(files: list[ProjectFile], what: str, notes: list[str]) -> list[ProjectFile]:
    if len(files) > _SETS:
        notes.append(f"The last {_SETS} of {len(files)} {what} are shown.")
    return files[-_SETS:]


def _classes(found: ProjectFiles, notes: list[str]) -> list[ClassSet]:
    sets = []
    for file in _newest(found.of("table of classes"), "classifications", notes):
        try:
            sets.append(_class_set(found, file))
        except SlabkitError as error:
            notes.append(f"Classes cannot be shown: {error}")
    return sets


def _class_set(found: ProjectFiles, file: ProjectFile) -> ClassSet:
    import numpy as np

    from slabkit.formats.tables.classification import read_class_table
    from slabkit.formats.tables.native import read_minislabs
    from slabkit.formats.tables.paths import resolve_path
    from slabkit.formats.volumes.mrc import open_stack
    from slabkit.pictures.project import ClassSet

    table = read_class_table(file.path)
    named = str(table["rlnReferenceImage"].iloc[0]).partition("@")[2] if len(table) else ""
    path = resolve_path(named, file.path)
    if not path.exists():
        path = file.path.parent / path.name
    stack = open_stack(path)
    members: dict[int, list[str]] = {}
    for other in found.of("classified"):
        same = other.record is file.record if file.record else other.path.parent == file.path.parent
        if same:
            rows = read_minislabs(other.path)[0]
            numbers = rows["rlnClassNumber"].astype(float).astype(int)
            for number, name in zip(numbers, rows["slabkitPickId"], strict=True):
                members.setdefault(int(number), []).append(name)
    return ClassSet(
        found.name(file),
        np.stack([np.asarray(stack[n], dtype=np.float32) for n in range(len(table))]),
        [int(float(text)) for text in table["slabkitClassSize"]],
        [float(text) for text in table["rlnEstimatedResolution"]],
        [float(text) for text in table["slabkitQuality"]],
        ["" if name == "none" else name for name in table.get("slabkitSpecies", [""] * len(table))],
        members,
    )


def _tomogram(
    picks: pd.DataFrame | None, tomograms: pd.DataFrame | None, notes: list[str]
) -> Tomogram | None:
    """Open a tomogram with picks; say of how many the volume is gone."""
    from slabkit.formats.tables.native import PickList
    from slabkit.formats.tables.paths import is_there
    from slabkit.formats.tomograms.listing import pick_tomograms

    if picks is None or tomograms is None:
        return None
    order = picks["slabkitDecision"].eq("accepted").sort_values(ascending=False, kind="stable")
    volumes = pick_tomograms(PickList(picks.loc[order.index], tomograms), "-")
    there = {n: one for n, one in volumes.items() if one.path is not None and is_there(one.path)}
    gone = [name for name in volumes if name not in there]
    if gone:
        listed = ", ".join(gone[:3]) + (", ..." if len(gone) > 3 else "")
        notes.append(
            f"The volume of {len(gone)} of {len(volumes)} tomograms is not where the pick list "
            f"says ({listed}); what needs it, the charts of depth, is left out."
        )
    for name in list(there)[:_OPENED]:
        try:
            return there[name].open()
        except SlabkitError as error:
            notes.append(f"{name} cannot be opened: {error}")
    return None


def _missing(
    found: ProjectFiles, final: list[ProjectFile], truth: str | None
) -> list[tuple[str, str]]:
    """Name what is not there, and the command that makes it."""

    def path(kind: str, usual: str, step: str = "") -> str:
        files = [file for file in found.of(kind) if not step or file.step == step]
        return shlex.quote(str(files[-1].path if files else found.folder / usual))

    def new(name: str) -> str:
        return shlex.quote(str(found.folder / name))

    slabs, picks2d = path("slab table", "slabs/slabs.star"), path("picks2d", "picks2d.star")
    picks = path("pick list", "picks.star", "map")
    minislabs = path("minislab table", "minislabs/minislabs.star")
    classified, labels = (
        path("classified", "classes/classified.star"),
        path("labels", "labels.star"),
    )
    picked = bool(found.of("pick list"))
    stages = [
        ("slab table", "slabs, to draw picks on", f"slab TOMOGRAM... -o {new('slabs')} --step 150"),
        *(
            []
            if picked
            else [
                ("picks2d", "2D picks", f"pick blob {slabs} -o {picks2d} --diameter MIN:MAX"),
                ("pick list", "picks in 3D", f"map {picks2d} --slabs {slabs} -o {picks}"),
            ]
        ),
        ("minislab table", "minislabs", f"minislab {picks} -o {new('minislabs')} --stack"),
        ("classified", "classes", f"classify {minislabs} -o {new('classes')}"),
        (
            "labels",
            "labels",
            f"label {classified} --minislabs {minislabs} --classes 1-7,12 -o {labels}",
        ),
    ]
    lines = [(what, f"slabkit {line}") for kind, what, line in stages if not found.of(kind)]
    if not final:
        out = new("curated.star")
        lines.append(("a curated list", f"slabkit curate {picks} {labels} -o {out}"))
    if not truth:
        line = f"slabkit report {shlex.quote(str(found.folder))} --truth TRUTH.csv"
        lines.append(("the score and missed particles, where true ones are known", line))
    return lines
