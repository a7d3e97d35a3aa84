"""Writing so that a file under its final name is always whole."""

from __future__ import annotations

import codecs
import contextlib
import glob
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from slabkit.errors import InputError, SlabkitError, write_error

_UMASK = threading.Lock()  # it is the process's, and only read by setting it
_RANDOM = re.compile(r"[a-z0-9_]{8}")  # what tempfile puts into names


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike[str], sync: bool = True) -> Iterator[Path]:
    """Give a temporary path beside the target; rename it to the target on success.

    The temporary name keeps the target's suffix, because writers look at it. On an error the
    temporary file is removed and the target left as it was.

    Parameters
    ----------
    target : path-like
        Its folder is made if need be.
    sync : bool, optional
        Whether to wait until the bytes are on the disk: for tables; large images are named by a
        table that is written after them.

    Yields
    ------
    Path
        An empty file to write to.

    Raises
    ------
    SlabkitError
        The folder cannot be written to; `TryAgainError` if the disk is full.
    """
    target = Path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{target.stem[:100]}.", suffix=f".tmp{target.suffix}", dir=target.parent
        )
    except OSError as error:
        raise write_error(target, error) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        if sync:
            _sync(temporary)
        with _UMASK:
            mask = os.umask(0)
            os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise write_error(target, error) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove_temporary_files(targets: Iterable[Path]) -> None:
    """Remove what `atomic_path` left beside targets when its process was killed."""
    for target in targets:
        stem, end = f".{target.stem[:100]}.", f".tmp{target.suffix}"
        for path in target.parent.glob(f"{glob.escape(stem)}*{glob.escape(end)}"):
            if _RANDOM.fullmatch(path.name[len(stem) : -len(end)]):  # not of a.b.star for a.star
                path.unlink(missing_ok=True)


def write_pieces(target: str | os.PathLike[str], pieces: Iterable[bytes]) -> None:
    """Write bytes to a file, whole or not at all, or UTF-8 text to standard output for ``-``."""
    if str(target) != "-":
        with atomic_path(target) as temporary, temporary.open("wb") as file:
            file.writelines(pieces)
        return
    # Joined first, so that a table that cannot be written leaves nothing.
    print_text(b"".join(pieces).decode(), as_utf8=True)


def print_text(text: str, as_utf8: bool = False) -> None:
    """Write to standard output, in its own encoding for people, in UTF-8 what programs read.

    Raises `SlabkitError`: it cannot be written to.
    """
    try:
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        if as_utf8 and codecs.lookup(encoding).name != "utf-8" and not sys.stdout.isatty():
            sys.stdout.flush()
            sys.stdout.buffer.write(text.encode())
        else:
            sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise write_error("standard output", error) from error
    except AttributeError as error:
        raise SlabkitError("standard output: cannot be written (it is closed).") from error


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Write text as `write_pieces` does; half characters (of a file name, say) are refused."""
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{target}: cannot be written: {text[max(0, error.start - 20) : error.end]!r} ends in "
            "what is no whole character; rename what has it."
        ) from error
    write_pieces(target, [data])


def write_bytes(target: str | os.PathLike[str], data: bytes) -> None:
    """Write bytes as `write_pieces` does."""
    write_pieces(target, [data])


def _sync(path: Path) -> None:
    # Without this a crash soon after the rename could leave an empty file under the final name.
    with path.open("rb") as file:
        os.fsync(file.fileno())
