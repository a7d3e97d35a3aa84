"""Paths in tables: written relative to the working directory, found again from elsewhere."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from slabkit.errors import FormatError, InputError, TryAgainError
from slabkit.formats.tomograms.names import is_reference, make_reference, split_reference

if TYPE_CHECKING:
    import pandas as pd

_NAMING_FILES = ("rlnMicrographName", "slabkitTomogramFile")
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_WRITER_COMES = 5.0  # seconds that a pipe may be without anybody who writes to it
_pipes: dict[tuple[int, int], bytes] | None = None


@contextlib.contextmanager
def pipes_read_once() -> Iterator[None]:
    """Keep what comes through pipes while a command runs: it is hashed and read, and comes once."""
    global _pipes
    _pipes = {}
    try:
        yield
    finally:
        _pipes = None


def is_pipe(path: str | os.PathLike[str]) -> bool:
    """Tell standard input, pipes and FIFOs, whose names say nothing, from files."""
    try:
        return str(path) == "-" or not stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def is_star_file(path: str | os.PathLike[str]) -> bool:
    """Tell what can be a table of tomograms: a file of that suffix, or what comes by a pipe."""
    if is_pipe(path):
        return str(path) != "-" and not os.path.isdir(path)
    return Path(path).suffix.lower() == ".star" and os.path.isfile(path)


def read_bytes(source: str | os.PathLike[str]) -> bytes:
    """Read a file, a pipe, or standard input for ``-``; UTF-16 text comes as UTF-8.

    Raises `InputError`: it cannot be read.
    """
    if str(source) == "-" and sys.stdin is None:
        raise InputError("standard input: is closed; give a file instead of -.")
    try:
        data = sys.stdin.buffer.read() if str(source) == "-" else _file_bytes(source)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{source}: cannot be read ({reason}).") from error
    return as_utf8(data)


def _file_bytes(path: str | os.PathLike[str]) -> bytes:
    there = os.stat(path)
    if stat.S_ISREG(there.st_mode):
        return Path(path).read_bytes()
    key = there.st_dev, there.st_ino
    pipes = {} if _pipes is None else _pipes
    if key not in pipes:
        if stat.S_ISFIFO(there.st_mode):
            pipes[key] = _fifo_bytes(path)
            return pipes[key]
        with Path(path).open("rb") as file:
            endless = stat.S_ISCHR(there.st_mode) and os.path.realpath(path) != os.devnull
            if stat.S_ISBLK(there.st_mode) or (endless and not file.isatty()):
                raise ValueError("is a device")
            pipes[key] = file.read()
    return pipes[key]


def _fifo_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read a pipe to its end; one that nobody opens for writing is refused after a while."""
    pieces: list[bytes] = []
    begun, deadline = False, time.monotonic() + _WRITER_COMES
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # plain opening waits for the writer
    try:
        events = select.poll()
        events.register(handle, select.POLLIN)
        while True:
            begun = bool(events.poll(None if begun else 50)) or begun
            try:
                piece = os.read(handle, 1 << 20)
            except BlockingIOError:
                begun = True  # there is a writer, and nothing yet
                continue
            pieces.append(piece)
            begun = begun or bool(piece)
            if begun and not piece:
                return b"".join(pieces)
            if not begun and time.monotonic() > deadline:
                raise TryAgainError(
                    f"{path}: is a pipe into which nobody writes; start what writes first."
                )
    finally:
        os.close(handle)


def open_file(path: str | os.PathLike[str]) -> IO[bytes]:
    """Open a file that is named in a table or cannot come by a pipe; anything else is refused.

    Raises `InputError`: it cannot be read, or is a pipe, a device or a folder, of which reading may
    never end.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        if stat.S_ISREG(os.fstat(handle).st_mode):
            return os.fdopen(handle, "rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason}).") from error
    os.close(handle)
    raise InputError(f"{path}: is not a regular file.")


def utf_16_of(data: bytes) -> str:
    """Give the UTF-16 that text is in by its mark or first letters; empty for anything else."""
    if data.startswith(_UTF_16_MARKS):
        return "utf-16"
    even, odd = data[:64:2], data[1:64:2]
    for encoding, letters, zeros in (("utf-16-le", even, odd), ("utf-16-be", odd, even)):
        if len(data) >= 8 and not any(zeros) and all(9 <= letter < 127 for letter in letters):
            return encoding
    return ""


def as_utf8(data: bytes) -> bytes:
    """Give UTF-16 text as UTF-8; anything else as it is."""
    encoding = utf_16_of(data)
    if not encoding:
        return data
    try:
        text = data.decode(encoding)
    except UnicodeError:
        return data
    plain = any(" " <= letter <= "~" for letter in text) and "\0" not in text
    return text.encode() if plain else data


def no_text(data: bytes, where: str, before: int = 0) -> FormatError:
    """Say why bytes, so many lines into a file, are no text that is read."""
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if not re.search(rb"[\x00-\x08\x0e-\x1f]", data):
            line = before + data.count(b"\n", 0, error.start) + 1
            return FormatError(
                f"{where}, line {line}: is text, but not in UTF-8 (the byte 0x"
                f"{data[error.start]:02x}); if it is Latin-1, convert it with: iconv -f latin1 "
                "-t utf-8 FILE."
            )
    return FormatError(f"{where}: is not a text file.")


def resolve_path(written: str, table: str | os.PathLike[str]) -> Path:
    """Find a file that a table names.

    The path as it is (relative to the working directory) if that exists; else relative to the
    directory in which the table was written, if the record beside it tells; else relative to the
    table's folder; as it is where none of them exists.
    """
    path = Path(written)
    if is_reference(path):
        config, inner = split_reference(path)
        return make_reference(resolve_path(str(config), table), inner)
    if path.is_absolute() or os.path.exists(path) or str(table) == "-":
        return path
    for base in _bases(os.path.abspath(table)):
        if os.path.exists(base / path):
            return Path(os.path.normpath(base / path))
    return path


def _bases(table: str) -> list[Path]:
    folder = Path(table).parent
    try:
        with open_file(f"{table}.json") as file:
            record, _ = leading_json(file.read())
        return [folder / str(record["working_directory"]), folder]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return [folder]


def leading_json(data: bytes) -> tuple[Any, str]:
    """Parse the JSON that a file begins with, and give the text behind it.

    Behind the record of a step that runs, or was killed, stand the names of further files.
    """
    text = data.decode(json.detect_encoding(data), "surrogatepass").lstrip()
    told, end = json.JSONDecoder().raw_decode(text)
    return told, text[end:].lstrip()


def with_paths_from_here(table: pd.DataFrame, source: str | os.PathLike[str]) -> pd.DataFrame:
    """Rewrite the paths in a table that was read elsewhere, in place, to be found from here.

    These are its columns that name micrographs and tomograms, where a file is found.
    """
    for column in _NAMING_FILES:
        if column not in table.columns:
            continue
        names = dict.fromkeys(str(name) for name in table[column])
        found = {name: resolve_path(name, source) for name in names if name}
        moved = {name: path_for_table(p) for name, p in found.items() if p != Path(name)}
        if moved:
            table[column] = table[column].replace(moved)
    return table


def path_for_table(path: str | os.PathLike[str]) -> str:
    """Write a path the way tables have it: relative to the working directory, forward slashes.

    Symbolic links are not resolved.
    """
    if is_reference(path):
        config, inner = split_reference(path)
        return str(make_reference(os.path.relpath(config), inner))
    return Path(os.path.relpath(path)).as_posix()


def file_inside(folder: str | os.PathLike[str], *names: str) -> Path:
    """Make a path of names that came from tables: always inside the folder.

    The file's name comes last, after those of folders. A name that is empty, ``.`` or ``..``, or
    has a path separator or an unprintable character is refused.
    """
    for name in names:
        if name in ("", ".", "..") or not name.isprintable() or any(c in name for c in "/\\"):
            raise InputError(
                f"{name!r} cannot be the name of a file in {folder}: it must not be empty and have "
                "no '/', '\\' or unprintable character; rename it in the table that has it."
            )
    return Path(folder, *names)


def is_there(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is worth opening: it exists, or is in a copick project elsewhere."""
    if is_reference(path):
        return os.path.exists(split_reference(path)[0])
    return os.path.exists(path)


def is_readable(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file, folder or what is in a copick project elsewhere can be opened."""
    if is_reference(path):
        return True
    return os.access(path, os.R_OK) and (os.path.isfile(path) or os.path.isdir(path))


def check_given_once(paths: Iterable[str | os.PathLike[str]], what: str) -> None:
    """Refuse a file that is named twice, by whatever path; ``what`` they are is for the message."""
    seen: dict[str, str] = {}
    for path in map(str, paths):
        real = path if path == "-" else os.path.realpath(path)
        if real in seen:
            raise InputError(f"{path}: the {what} is given twice (as {seen[real]}); give it once.")
        seen[real] = path
