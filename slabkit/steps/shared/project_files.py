"""What a folder holds of a project, told by the files themselves and the records beside them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from slabkit.errors import SlabkitError

if TYPE_CHECKING:
    from slabkit.execution.records import Record

CHAIN = ("simulate", "slab", "pick blob", "pick template", "pick segmentation", "map", "convert",
         "merge", "minislab", "classify", "label", "curate", "rescue", "conflicts")  # fmt: skip

_PAGES = ("report", "inspect", "view")
# Their lists are choices of picks for another look, and no decision.
_CHOICES = ("rescue", "suggest", "conflicts", "split")


@dataclass(frozen=True, eq=False)
class ProjectFile:
    """A table in the folder."""

    path: Path
    kind: str  # as ``slabkit info`` calls it, and ``classified``: minislabs with their classes
    columns: frozenset[str]
    record: Record | None  # of the run that wrote it
    main: bool  # whether it is that run's main file

    @property
    def step(self) -> str:
        """The command that wrote it, as far as is known."""
        return "" if self.record is None else self.record.step

    @property
    def order(self) -> tuple[str, int, str]:
        """What sorts files as they were made."""
        finished = "" if self.record is None else self.record.finished
        rank = CHAIN.index(self.step) if self.step in CHAIN else len(CHAIN)
        return finished, rank, self.path.as_posix()

    @cached_property
    def hash(self) -> str:
        """What records know its content by."""
        from slabkit.execution.records import describe_input

        return str(describe_input(self.path)["hash"])


@dataclass(frozen=True)
class ProjectFiles:
    """The tables of a folder, in the order in which they were made."""

    folder: Path
    files: list[ProjectFile]
    records: list[tuple[Record, Path]]  # of every run and its main file, in that order
    problems: list[str] = field(default_factory=list)  # files that cannot be read

    def of(self, *kinds: str) -> list[ProjectFile]:
        """Give the tables of some kinds."""
        return [file for file in self.files if file.kind in kinds]

    def name(self, file: ProjectFile) -> str:
        """Give a table's name as it is seen from the folder."""
        return file.path.relative_to(self.folder).as_posix()

    def inputs(self, file: ProjectFile) -> list[ProjectFile]:
        """Give the tables that a table was made of."""
        if file.record is None:
            return []
        known = {str(one["hash"]) for one in file.record.inputs}
        return [other for other in self.files if other.hash in known and other is not file]

    def decided_lists(self) -> list[ProjectFile]:
        """Give the pick lists that may say what is accepted: no list was made of them later."""
        lists = [
            file
            for file in self.of("pick list")
            if file.step not in (*_CHOICES, "simulate") and "slabkitReason" not in file.columns
        ]
        used = {
            source
            for file in lists
            if file.step in ("curate", "merge") and file.main
            for source in self.inputs(file)
        }
        return [file for file in lists if file not in used]


def find_files(folder: Path) -> ProjectFiles:
    """Look at every STAR file and record below a folder; links to folders are not followed."""
    from slabkit.execution.records import load_record
    from slabkit.formats.describe_tables import kind_of_star
    from slabkit.formats.source import Source

    names = sorted(_files(folder))
    written: dict[str, tuple[Record, bool]] = {}
    records = []
    there = set(names)
    for path in names:
        result = path.with_name(path.name.removesuffix(".json"))
        if path.suffix != ".json" or result not in there:
            continue
        record = load_record(result)
        if record is None or record.step in _PAGES:
            continue
        records.append(ProjectFile(result, "", frozenset(), record, True))
        for output in record.output_paths(result):
            written.setdefault(os.path.abspath(output), (record, False))
        written[os.path.abspath(result)] = record, True
    files, problems = [], []
    for path in names:
        known = os.path.abspath(path) in written  # tables may be written without a suffix
        if path.suffix.lower() != ".star" and not (known and not path.suffix):
            continue
        if not path.is_file():  # a pipe, or a link to nothing
            continue
        try:
            labels = Source.load(path).block_labels
        except SlabkitError as error:
            problems.append(str(error))
            continue
        told = kind_of_star(labels)
        if told is None:
            continue
        kind, block = told
        columns = frozenset(labels[block])
        if kind == "minislab table" and "rlnClassNumber" in columns:
            kind = "classified"
        record, main = written.get(os.path.abspath(path), (None, False))
        files.append(ProjectFile(path, kind, columns, record, main))
    files.sort(key=lambda file: file.order)
    records.sort(key=lambda one: one.order)
    runs = [(one.record, one.path) for one in records if one.record is not None]
    return ProjectFiles(folder, files, runs, problems)


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [
            name for name in folders if not name.startswith(".") and not name.endswith(".zarr")
        ]
        yield from (Path(parent, name) for name in names if not name.startswith("."))
