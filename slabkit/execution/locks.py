"""One run at a time on one result."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from slabkit.errors import SlabkitError, TryAgainError, write_error

_NO_FILE_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


@contextlib.contextmanager
def output_lock(result: str | os.PathLike[str]) -> Iterator[int]:
    """Hold ``.<result>.lock`` while a result is written, or refuse and name who holds it.

    The lock is the kernel's (``flock``) on the open file and ends with its process, however that
    ends; it keeps out other threads too. A lock file that nobody holds is free. Where the file
    system has no such locks (Lustre may be mounted so), the file itself is the lock, and a person
    has to remove one that a crashed run left. Yields the open file, for a process to inherit.
    """
    result = Path(result)
    lock = result.with_name(f".{result.name}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = _locked_file(lock, result)
        try:
            owner = json.dumps({"host": socket.gethostname(), "pid": os.getpid()})
            os.pwrite(handle, owner.encode(), 0)
        except BaseException:  # a full disk, say
            _release(lock, handle)
            raise
    except OSError as error:
        raise write_error(result, error) from error
    try:
        yield handle
    finally:
        _release(lock, handle)


def remove_dead_lock(result: Path) -> None:
    """Remove the lock file of a run that was killed after it had finished its result."""
    if result.with_name(f".{result.name}.lock").exists():
        with contextlib.suppress(SlabkitError), output_lock(result):
            pass


def _locked_file(lock: Path, result: Path) -> int:
    """Make the file anew and lock it; it still has its name when this returns."""
    while True:
        try:
            handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
            made = True
        except FileExistsError:
            try:
                handle = os.open(lock, os.O_RDONLY | os.O_NONBLOCK)
            except FileNotFoundError:  # released in between
                continue
            made = False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NO_FILE_LOCKS and made:
                return handle
            owner = _owner(handle)
            os.close(handle)
            message = f"{result}: another run ({owner}) is writing it; wait for it"
            if isinstance(error, BlockingIOError):
                raise TryAgainError(f"{message}.") from None
            if error.errno in _NO_FILE_LOCKS:
                message += f", or remove {lock} if it no longer runs."
                raise TryAgainError(message) from None
            raise
        # A file is removed before it is let go: a lock on one without a name is worth nothing.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(lock)):
                if made:
                    return handle
                lock.unlink()  # a crashed run left it
        os.close(handle)


def _owner(handle: int) -> str:
    """Name the process that a lock file says holds it."""
    try:
        holder = json.loads(os.pread(handle, 4096, 0))
        return f"process {int(holder['pid'])} on {holder['host']}"
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return "process unknown"  # it has not written its name yet, or it is none of ours


def _release(lock: Path, handle: int) -> None:
    with contextlib.suppress(OSError):
        lock.unlink()
    os.close(handle)
