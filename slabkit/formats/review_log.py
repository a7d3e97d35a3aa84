"""The log of a review on disk: events in SQLite, appended to, never changed.

SQLite's write-ahead log makes each event durable before it is acknowledged, lets others read while
one writes, and loses nothing but the unacknowledged when the process or the machine stops.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from slabkit.errors import FormatError, InputError, SlabkitError, TryAgainError
from slabkit.formats.tables.paths import is_pipe
from slabkit.tables.events import Event, check_event, event_additions, event_labels

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.formats.tables.native import PickList

_MAGIC = b"SQLite format 3\0"
_APPLICATION = 0x736C6162  # "slab", in the header of the file
_VERSION = 1
# File systems on which several machines may have the file, so that no memory is shared.
_SHARED = ("nfs", "cifs", "smb", "9p", "afs", "lustre", "gpfs", "beegfs", "fuse.sshfs", "ceph",
           "fuse.ceph", "fuse.glusterfs", "wekafs", "panfs", "quobyte", "fuse.quobyte", "pvfs",
           "ncpfs", "fhgfs", "vboxsf")  # fmt: skip
_MOUNTS = Path("/proc/self/mounts")
_TABLES = (
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE events (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, "
    "time TEXT NOT NULL, reviewer TEXT NOT NULL, round TEXT NOT NULL, kind TEXT NOT NULL, "
    "body TEXT NOT NULL)",
    "CREATE TRIGGER changed BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'append only'); END",
    "CREATE TRIGGER removed BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'append only'); END",
    f"PRAGMA application_id = {_APPLICATION}",
)


def is_review_log(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file is an SQLite database; whether it is a log says `read_log`."""
    if str(path) == "-" or is_pipe(path):
        return False
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC
    return False


class ReviewLog:
    """A log that is open to append to; one process has it (it holds the lock), in one thread.

    Raises `InputError`: it is no log, of other minislabs than ``about`` says, or on a file system
    where it could be damaged.
    """

    def __init__(self, path: str | os.PathLike[str], about: Mapping[str, str]) -> None:
        self.path = Path(path)
        kind = _file_system(self.path)
        if any(kind == one or (one in ("nfs", "smb") and kind.startswith(one)) for one in _SHARED):
            raise InputError(
                f"{self.path}: is on a file system ({kind}) where SQLite's write-ahead log cannot "
                "work; give -o a file on a local disk, and copy it once the review is over."
            )
        try:
            self._database = sqlite3.connect(
                self.path, isolation_level=None, check_same_thread=False
            )
            self._begin(about)
        except sqlite3.Error as error:
            raise _readable(self.path, error) from error

    def _begin(self, about: Mapping[str, str]) -> None:
        run = self._database.execute
        (application,) = run("PRAGMA application_id").fetchone()
        (tables,) = run("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and application != _APPLICATION:
            raise InputError(
                f"{self.path}: is a database of another program; name another file with -o."
            )
        (mode,) = run("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise InputError(
                f"{self.path}: SQLite's write-ahead log does not work on this file system; give -o "
                "a file on a local disk, and copy it once the review is over."
            )
        run("PRAGMA synchronous = FULL")
        if not tables:
            run("BEGIN IMMEDIATE")
            for statement in _TABLES:
                run(statement)
            for row in {**about, "version": str(_VERSION)}.items():
                run("INSERT INTO about VALUES (?, ?)", row)
            run("COMMIT")
        known = dict(run("SELECT name, value FROM about").fetchall())
        _check_version(self.path, known)
        for name, value in about.items():
            if known.get(name, value) != value:
                raise InputError(
                    f"{self.path}: is of other minislabs ({name} {known[name]}, these are of "
                    f"{value}); name another file with -o."
                )

    def append(self, events: Sequence[Event]) -> int:
        """Write events so that they outlive a crash; gives how many were new (see `Event.key`).

        Raises `TryAgainError` or `SlabkitError`: they could not be written; none of them was.
        """
        rows = [
            (one.key, one.time, one.reviewer, one.round_name, one.kind, _json(one.body))
            for one in events
        ]
        try:
            before = self._database.total_changes
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._database.executemany(
                    "INSERT INTO events (key, time, reviewer, round, kind, body) "
                    "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
                    rows,
                )
                self._database.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise _readable(self.path, error) from error
        return self._database.total_changes - before

    def events(self) -> Iterator[Event]:
        """Give all events, oldest first."""
        yield from _read(self._database, self.path)

    def close(self) -> None:
        """Put everything into the one file."""
        with contextlib.suppress(sqlite3.Error):
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._database.close()

    def __enter__(self) -> ReviewLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_log(path: str | os.PathLike[str]) -> tuple[dict[str, str], list[Event]]:
    """Read a log, also while a server writes it: what it is of, and its events, oldest first.

    Raises `FormatError`: it is not a log of `slabkit review`, or is damaged.
    """
    uri = f"{Path(path).absolute().as_uri()}?mode=ro"
    try:
        database = sqlite3.connect(uri, uri=True)
        try:
            (application,) = database.execute("PRAGMA application_id").fetchone()
            if application != _APPLICATION:
                raise FormatError(f"{path}: is an SQLite database, but no log of slabkit review.")
            about = dict(database.execute("SELECT name, value FROM about").fetchall())
            _check_version(path, about)
            return about, list(_read(database, path))
        finally:
            database.close()
    except sqlite3.Error as error:
        raise _readable(path, error) from error


def read_reviews(source: str | os.PathLike[str]) -> tuple[pd.DataFrame, PickList]:
    """Read what people decided in `slabkit review`, as ``slabkit label`` makes it of the log.

    Parameters
    ----------
    source : path-like
        The log, ``reviews.sqlite``; a server may be writing it.

    Returns
    -------
    labels : DataFrame
        Columns of `slabkit.tables.LABELS` and ``slabkitTime`` (UTC): a row for what each reviewer
        says of each pick in each round, oldest first. ``slabkitSource`` is ``review`` for what was
        decided by hand, ``review-class`` and ``review-threshold`` for what was not.
    additions : PickList
        The picks that were added (source ``review``) or moved (they keep their ids); x, y, z in Å.

    Raises
    ------
    FormatError
        It is not a log of `slabkit review`, or is damaged.
    """
    from slabkit.formats.tables.native import PickList

    events = read_log(source)[1]
    return event_labels(events), PickList(*event_additions(events))


def _read(database: sqlite3.Connection, path: str | os.PathLike[str]) -> Iterator[Event]:
    query = "SELECT key, time, reviewer, round, kind, body FROM events ORDER BY number"
    for key, time, reviewer, round_name, kind, body in database.execute(query):
        try:
            parsed = json.loads(body)
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            raise FormatError(f"{path}: event {key} of the log is damaged.")
        event = Event(key, time, reviewer, round_name, kind, parsed)
        check_event(event, str(path))
        yield event


def _check_version(path: str | os.PathLike[str], about: Mapping[str, str]) -> None:
    if about.get("version") != str(_VERSION):
        raise FormatError(
            f"{path}: is a log of another version ({about.get('version')}) of slabkit; use that."
        )


def _json(body: Mapping[str, object]) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _readable(path: str | os.PathLike[str], error: sqlite3.Error) -> SlabkitError:
    code = getattr(error, "sqlite_errorname", "") or ""
    if code.startswith(("SQLITE_FULL", "SQLITE_BUSY", "SQLITE_LOCKED")):
        return TryAgainError(f"{path}: cannot be written now ({error}).")
    if code.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return FormatError(f"{path}: is not a log of slabkit review, or is damaged ({error}).")
    return InputError(f"{path}: cannot be used as the log of a review ({error}).")


def _file_system(path: Path) -> str:
    """Name the type of the file system that a file is or would be on; empty: not known."""
    folder = os.path.realpath(path.parent) + "/"
    best, kind = "", ""
    with contextlib.suppress(OSError):
        for line in _MOUNTS.read_text().splitlines():
            _, mount, found, *_ = line.split(" ")
            mount = mount.replace("\\040", " ").rstrip("/") + "/"
            if folder.startswith(mount) and len(mount) >= len(best):
                best, kind = mount, found
    return kind
