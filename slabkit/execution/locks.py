"""One run at a time on one result."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from slabkit.errors import OutputExistsError, SlabkitError

_UNSIGNED_SECONDS = 10.0  # a lock is signed at once after it is made


@contextlib.contextmanager
def output_lock(result: str | os.PathLike[str]) -> Iterator[None]:
    """Hold ``.<result>.lock`` while a result is written.

    A lock left by a process of this host that no longer runs is taken over.

    Parameters
    ----------
    result : path-like
        The (main) file of the result; its folder is made if need be.

    Yields
    ------
    None

    Raises
    ------
    OutputExistsError
        Another run holds the lock; the message names it.
    SlabkitError
        The folder cannot be written to.
    """
    result = Path(result)
    lock = result.with_name(f".{result.name}.lock")
    owner = {"host": socket.gethostname(), "pid": os.getpid()}
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(3):
            try:
                handle = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
            except FileExistsError:
                _clear_if_stale(lock, result)
                continue
            try:
                with os.fdopen(handle, "w") as file:
                    json.dump(owner, file)
            except BaseException:  # a full disk, say: no lock without an owner
                lock.unlink(missing_ok=True)
                raise
            break
        else:
            raise OutputExistsError(f"{result}: another run is writing it ({lock}).")
    except OSError as error:
        raise SlabkitError(f"{result}: cannot be written ({error.strerror}).") from error
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _clear_if_stale(lock: Path, result: Path) -> None:
    try:
        holder = json.loads(lock.read_text())
        host, pid = str(holder["host"]), int(holder["pid"])
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError):
        if time.time() - lock.stat().st_mtime > _UNSIGNED_SECONDS:
            lock.unlink(missing_ok=True)  # its writer did not live to sign it
            return
        host, pid = "an unknown host", 0
    if host == socket.gethostname() and pid > 0 and not _runs(pid):
        lock.unlink(missing_ok=True)
        return
    raise OutputExistsError(
        f"{result}: another run (process {pid} on {host}) is writing it; wait for it, or remove "
        f"{lock} if it no longer runs."
    )


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
