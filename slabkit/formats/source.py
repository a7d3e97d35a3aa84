"""The files that are read: their bytes, their text, and what their first lines say of them.

A `Source` is read once and parsed once: formats are told apart by its head (magic bytes, STAR
labels, header line, JSON keys), and the tables and the JSON that readers take are kept.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slabkit.errors import FormatError, InputError
from slabkit.formats.programs.shared.csv_columns import delimiter_of
from slabkit.formats.programs.shared.json_values import load_json
from slabkit.formats.tables.paths import check_given_once, no_text, read_bytes
from slabkit.formats.tables.star import parse_star

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.tables import Schema

PathLike = str | os.PathLike[str]

_PICKLES = tuple(bytes((0x80, protocol)) for protocol in (2, 3, 4, 5))
_HEAD_CHARACTERS = 65536
_FILLED_LINE = re.compile(rb"(?:\A|[\r\n])[^\S\r\n]*(?!data_|#)\S")
_KEY = re.compile(r'"([^"\\]+)"\s*:')


@dataclass(frozen=True)
class Source:
    """The content of one file.

    Parameters
    ----------
    where : str
        What messages begin with: the path as given, or ``-``.
    data : bytes
    tomogram : str, optional
        The tomogram by the file's place in a project, which counts more than what the file says.
    """

    where: str
    data: bytes
    tomogram: str = ""
    memo: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def load(cls, source: PathLike, tomogram: str = "") -> Source:
        """Read a file, or standard input for ``-``.

        Parameters
        ----------
        source : path-like or "-"
        tomogram : str, optional
            Where its place in a project says it.

        Raises
        ------
        InputError
            It cannot be read.
        """
        return cls(str(source), read_bytes(source), tomogram)

    @property
    def suffix(self) -> str:
        """The ending of the file's name, in small letters."""
        return Path(self.where).suffix.lower()

    @cached_property
    def text(self) -> str:
        r"""The text, without byte-order mark, lines ending in ``\n``.

        Raises
        ------
        FormatError
            It is not UTF-8 text.
        """
        self.refuse_binary()
        try:
            text = self.data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise no_text(self.data, self.where) from error
        return text.replace("\r\n", "\n").replace("\r", "\n")

    @property
    def content(self) -> str:
        """The text, or the bytes of a binary file as text: what records tell contents apart by."""
        return self.data.hex() if b"\0" in self.data[:512] else self.text

    def refuse_binary(self) -> None:
        """Say of known binary files what to do with them.

        Raises
        ------
        FormatError
        """
        if self.data.startswith(b"IMOD"):
            raise FormatError(
                f"{self.where}: is a binary IMOD model; give --from imod-model, or none."
            )
        if self.data.startswith(_PICKLES):
            raise FormatError(
                f"{self.where}: is a Python pickle (TomoTwin's .tloc and .temb are), which can run "
                "any program when it is opened, so slabkit does not; write .coords with "
                "tomotwin_pick.py and give those with --from tomotwin."
            )
        if self.data.startswith(b"PK\x03\x04"):
            raise FormatError(
                f"{self.where}: is a zip archive or spreadsheet; save it as CSV or, in DeepFinder, "
                "as XML."
            )

    @cached_property
    def empty(self) -> bool:
        """Whether there is nothing but white space, comments, and names of STAR blocks."""
        return _FILLED_LINE.search(self.data.removeprefix(b"\xef\xbb\xbf")) is None

    @cached_property
    def first_line(self) -> str:
        """The first line that is neither blank nor a comment."""
        found = re.search(r"^[^\S\n]*([^\s#].*)", self.text, re.MULTILINE)
        return found[1] if found else ""

    @cached_property
    def header(self) -> tuple[str, ...]:
        """The names in the first line of a table with separators."""
        return tuple(name.strip() for name in self.first_line.split(delimiter_of(self.first_line)))

    @cached_property
    def is_star(self) -> bool:
        """Whether the text begins with the name of a STAR block."""
        # A binary file need not be made text.
        if b"data_" not in self.data:
            return False
        first = re.search(r"^[^\S\n]*([^\s#;].*)", self.text, re.MULTILINE)
        return first is not None and first[1].startswith("data_")

    @cached_property
    def block_labels(self) -> dict[str, tuple[str, ...]]:
        """Labels, without underscore, of each block of a STAR file; the rows are not looked at."""
        return _block_labels(self.text) if self.is_star else {}

    @cached_property
    def labels(self) -> frozenset[str]:
        """Labels of all blocks of a STAR file; none for other files."""
        return frozenset(label for labels in self.block_labels.values() for label in labels)

    @property
    def blocks(self) -> dict[str, pd.DataFrame]:
        """Every block of a STAR file as a table of strings, to be changed freely.

        Raises
        ------
        FormatError
            As `slabkit.formats.tables.star.parse_star`.
        """
        return {name: block.copy(deep=False) for name, block in self._parsed_blocks.items()}

    @cached_property
    def _parsed_blocks(self) -> dict[str, pd.DataFrame]:
        return parse_star(self.data, self.where)

    def typed_blocks(self, schema: Schema) -> dict[str, pd.DataFrame]:
        """As `blocks`, but numbers where a column of the schema has them; see `parse_star`."""
        kinds = {column.name: column.kind for column in schema.columns}
        return parse_star(self.data, self.where, kinds)

    @cached_property
    def json(self) -> Any:
        """The content of a JSON file.

        Raises
        ------
        FormatError
            As `slabkit.formats.programs.shared.json_values.load_json`.
        """
        return load_json(self.text, self.where)

    @cached_property
    def keys(self) -> frozenset[str]:
        """Keys of the JSON object that the file holds, also where it is damaged further on."""
        if not self.data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
            return frozenset()
        try:
            return frozenset(self.json)
        except FormatError:
            return frozenset(_KEY.findall(self.text[:_HEAD_CHARACTERS]))


def _block_labels(text: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    labels = list[str]()
    position = 0
    while 0 <= position < len(text):
        end = text.find("\n", position) % (len(text) + 1)
        line = text[position:end].strip()
        if line.startswith("data_"):
            labels = found[line.split()[0].removeprefix("data_")] = []
        elif line.startswith("_"):
            labels.append(line.split()[0][1:])
        elif line and line[0] not in "#;" and line != "loop_":
            end = _next_block(text, end)  # past the rows
        position = end + 1
    return {name: tuple(labels) for name, labels in found.items()}


def _next_block(text: str, position: int) -> int:
    """Give the end of the line before the next name of a block."""
    while (position := text.find("data_", position)) >= 0:
        start = text.rfind("\n", 0, position)
        if not text[start + 1 : position].strip():
            return start
        position += 1
    return len(text)


def load_sources(
    sources: Sequence[PathLike | Source], folder_globs: Mapping[str, str]
) -> list[Source]:
    """Load files, and those of a format in folders.

    Parameters
    ----------
    sources : sequence of path-like or Source
        Files, folders, ``-``, or what was loaded before.
    folder_globs : mapping of str to str
        Name of a format to the glob of its files in a folder.

    Raises
    ------
    InputError
        A file cannot be read or is given twice, or a folder has no files of just one format.
    """
    paths: list[PathLike | Source] = []
    for source in sources:
        if not isinstance(source, Source) and os.path.isdir(source):
            paths += _in_folder(Path(source), folder_globs)
        else:
            paths.append(source)
    names = [path.where if isinstance(path, Source) else str(path) for path in paths]
    check_given_once(names, "file of picks")
    return [path if isinstance(path, Source) else Source.load(path) for path in paths]


def _in_folder(folder: Path, folder_globs: Mapping[str, str]) -> list[Path]:
    found = {
        name: sorted(path for path in folder.glob(pattern) if not _is_record(path))
        for name, pattern in folder_globs.items()
    }
    found = {name: paths for name, paths in found.items() if paths}
    if len(found) != 1:
        many = f"holds files of {', '.join(found)}" if found else "is a folder without pick files"
        raise InputError(f"{folder}: {many}; give the files, or say which with --from.")
    return next(iter(found.values()))


def _is_record(path: Path) -> bool:
    # The record of a run is next to picks.star.
    return path.name.startswith(".") or ".star." in path.name
