"""The files that picks are read from: their bytes, their text, and which stand in a folder."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from slabkit.errors import FormatError, InputError

PathLike = str | os.PathLike[str]

_PICKLES = tuple(bytes((0x80, protocol)) for protocol in (2, 3, 4, 5))


@dataclass(frozen=True)
class Source:
    """The content of one file.

    Parameters
    ----------
    where : str
        What messages begin with: the path as given, or ``-``.
    data : bytes
    tomogram : str, optional
        The tomogram that the file's place in a project says, whatever stands in it.
    """

    where: str
    data: bytes
    tomogram: str = ""

    @classmethod
    def load(cls, source: str | os.PathLike[str], tomogram: str = "") -> Source:
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
        try:
            if str(source) == "-" and sys.stdin is None:
                raise InputError("standard input: is closed; give a file instead of -.")
            data = sys.stdin.buffer.read() if str(source) == "-" else Path(source).read_bytes()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"{source}: cannot be read ({reason}).") from error
        return cls(str(source), data, tomogram)

    @cached_property
    def text(self) -> str:
        r"""The text, without byte-order mark, lines ending in ``\n``.

        Raises
        ------
        FormatError
            It is not UTF-8 text.
        """
        if self.data.startswith(b"IMOD"):
            raise FormatError(
                f"{self.where}: is a binary IMOD model; make text of it with IMOD's model2point "
                "and give that with --from imod."
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
        try:
            text = self.data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise FormatError(f"{self.where}: is not a text file.") from error
        return text.replace("\r\n", "\n").replace("\r", "\n")

    @cached_property
    def empty(self) -> bool:
        """Whether there is nothing but white space, comments, and names of STAR blocks."""
        lines = (line.strip() for line in io.BytesIO(self.data.removeprefix(b"\xef\xbb\xbf")))
        return all(not line or line.startswith((b"#", b"data_")) for line in lines)


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

    Returns
    -------
    list of Source

    Raises
    ------
    InputError
        A file cannot be read or is given twice, or a folder has no files of just one format.
    """
    paths: list[PathLike | Source] = []
    for source in sources:
        if not isinstance(source, Source) and Path(source).is_dir():
            paths += _in_folder(Path(source), folder_globs)
        else:
            paths.append(source)
    by_path: dict[str, str] = {}
    for path in paths:
        name = path.where if isinstance(path, Source) else str(path)
        same = name if name == "-" else os.path.realpath(name)
        if same in by_path:
            raise InputError(f"{name}: is given twice (also as {by_path[same]}).")
        by_path[same] = name
    loaded = [path if isinstance(path, Source) else Source.load(path) for path in paths]
    by_content: dict[tuple[str, bytes], str] = {}
    for item in loaded:
        key = (item.tomogram, item.data)
        if not item.empty and key in by_content:
            raise InputError(f"{item.where}: is the same file as {by_content[key]}.")
        by_content[key] = item.where
    return loaded


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
    # The record of a run stands beside picks.star.
    return path.name.startswith(".") or ".star." in path.name
