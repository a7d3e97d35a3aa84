"""The files that are read: their bytes, their text, and what their first lines say of them.

Formats are told apart by the head of a `Source` (magic bytes, STAR labels, header line, JSON keys),
and what readers take of it is parsed once and kept. A long file is not held as a whole: readers of
STAR may take it in pieces.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slabkit.errors import FormatError, InputError
from slabkit.formats.programs.shared.csv_columns import delimiter_of
from slabkit.formats.programs.shared.json_values import load_json
from slabkit.formats.tables.paths import check_given_once, is_pipe, no_text, read_bytes
from slabkit.formats.tables.star import cut, labels_of_blocks, parse_star, pieces_of
from slabkit.formats.tomograms.names import is_project

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.tables import Schema

PathLike = str | os.PathLike[str]

_PICKLES = tuple(bytes((0x80, protocol)) for protocol in (2, 3, 4, 5))
_HEAD_BYTES = 65536
_LONG = 16_000_000  # bytes from which a file is not read before somebody asks for it
_FILLED_LINE = re.compile(rb"(?:\A|[\r\n])[^\S\r\n]*(?!data_|#)\S")
_KEY = re.compile(r'"([^"\\]+)"\s*:')


@dataclass(frozen=True)
class Source:
    """The content of one file."""

    where: str  # what messages begin with: the path as given, or ``-``
    held: bytes | None = None  # None: what is in the file, to be read when it is asked for
    # The tomogram by the file's place in a project, which counts more than what the file says
    tomogram: str = ""
    memo: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def load(cls, source: PathLike, tomogram: str = "") -> Source:
        """Read a file, or standard input for ``-``; its place in a project may say the tomogram."""
        if is_project(source):
            raise InputError(
                f"{source}: is a copick project; make a list of its picks first: slabkit convert "
                f"{source} picks.star"
            )
        long = not is_pipe(source) and os.path.isfile(source) and os.path.getsize(source) > _LONG
        return cls(str(source), None if long else read_bytes(source), tomogram)

    @cached_property
    def data(self) -> bytes:
        """The content as a whole."""
        return read_bytes(self.where) if self.held is None else self.held

    @property
    def pieces(self) -> Iterator[bytes]:
        """The content a few megabytes at a time, of a long file without holding it."""
        whole = self.held is not None or "data" in self.__dict__
        return cut(self.data) if whole else pieces_of(self.where)

    @cached_property
    def beginning(self) -> bytes:
        """The first bytes, which say what a file is."""
        return next(self.pieces, b"")[:_HEAD_BYTES]

    @cached_property
    def _first_lines(self) -> bytes:
        if len(self.beginning) < _HEAD_BYTES:
            return self.beginning
        end = max(self.beginning.rfind(mark) for mark in (b"\n", b"\r")) + 1
        return self.beginning[:end] if end else self.data

    @property
    def suffix(self) -> str:
        """The ending of the file's name, in small letters."""
        return Path(self.where).suffix.lower()

    @cached_property
    def text(self) -> str:
        r"""The text, without byte-order mark, lines ending in ``\n``.

        Raises `FormatError`: it is not UTF-8 text.
        """
        self.refuse_binary()
        return self._decoded(self.data)

    @cached_property
    def head(self) -> str:
        """The first lines of `text`."""
        self.refuse_binary()
        return self._decoded(self._first_lines)

    def _decoded(self, data: bytes) -> str:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise no_text(self.data, self.where) from error
        return text.replace("\r\n", "\n").replace("\r", "\n")

    @property
    def content(self) -> str:
        """The text, or the bytes of a binary file as text: what records tell contents apart by."""
        return self.data.hex() if b"\0" in self.data[:512] else self.text

    def _first(self, pattern: str) -> str:
        """Find the first line that fits."""
        found = re.search(pattern, self.head, re.MULTILINE)
        if not found and len(self._first_lines) < len(self.data):
            found = re.search(pattern, self.text, re.MULTILINE)
        return found[1] if found else ""

    def refuse_binary(self) -> None:
        """Refuse known binary files, and say what to do with them."""
        data = self.beginning
        if data.startswith(b"IMOD"):
            raise FormatError(
                f"{self.where}: is a binary IMOD model; give --from imod-model, or none."
            )
        if data.startswith(_PICKLES):
            raise FormatError(
                f"{self.where}: is a Python pickle (TomoTwin's .tloc and .temb are), which can run "
                "any program when it is opened, so slabkit does not; write .coords with "
                "tomotwin_pick.py and give those with --from tomotwin."
            )
        if data.startswith(b"PK\x03\x04"):
            raise FormatError(
                f"{self.where}: is a zip archive or spreadsheet; save it as CSV or, in DeepFinder, "
                "as XML."
            )

    @cached_property
    def empty(self) -> bool:
        """Whether there is nothing but white space, comments, and names of STAR blocks."""
        first = self._first_lines.removeprefix(b"\xef\xbb\xbf")
        return not (
            _FILLED_LINE.search(first) or _FILLED_LINE.search(self.data, max(len(first) - 1, 0))
        )

    @cached_property
    def first_line(self) -> str:
        """The first line that is neither blank nor a comment."""
        return self._first(r"^[^\S\n]*([^\s#].*)")

    @cached_property
    def header(self) -> tuple[str, ...]:
        """The names in the first line of a table with separators."""
        return tuple(name.strip() for name in self.first_line.split(delimiter_of(self.first_line)))

    @cached_property
    def is_star(self) -> bool:
        """Whether the text begins with the name of a STAR block."""
        # A binary file need not be made text.
        if b"data_" not in self.beginning and b"data_" not in self.data:
            return False
        return self._first(r"^[^\S\n]*([^\s#;].*)").startswith("data_")

    @cached_property
    def block_labels(self) -> dict[str, tuple[str, ...]]:
        """Labels, without underscore, of each block of a STAR file; the rows are not looked at."""
        return labels_of_blocks(self.pieces, self.where) if self.is_star else {}

    @cached_property
    def labels(self) -> frozenset[str]:
        """Labels of all blocks of a STAR file; none for other files."""
        return frozenset(label for labels in self.block_labels.values() for label in labels)

    @property
    def blocks(self) -> dict[str, pd.DataFrame]:
        """Every block of a STAR file as a table of strings, to be changed freely.

        Raises `FormatError`: as `slabkit.formats.tables.star.parse_star`.
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

        Raises `FormatError`: as `slabkit.formats.programs.shared.json_values.load_json`.
        """
        return load_json(self.text, self.where)

    @cached_property
    def keys(self) -> frozenset[str]:
        """Keys of the JSON object that the file holds, also where it is damaged further on."""
        if not self.beginning.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
            return frozenset()
        try:
            return frozenset(self.json)
        except FormatError:
            return frozenset(_KEY.findall(self.text[:_HEAD_BYTES]))


def load_sources(
    sources: Sequence[PathLike | Source], folder_globs: Mapping[str, str]
) -> list[Source]:
    """Load files, and those of a format in folders by its glob; what was loaded before stays.

    Refused is a file given twice, and a folder without files of just one format.
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
