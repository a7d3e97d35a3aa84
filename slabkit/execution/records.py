"""The JSON record of each result: what made it, from what.

With it a result can be explained years later, and skipped when it would only be made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import slabkit
from slabkit.errors import InputError, warn, write_error
from slabkit.execution.parts import Parts
from slabkit.formats.tables.atomic import write_text
from slabkit.formats.tables.paths import is_pipe, leading_json, open_file, read_bytes
from slabkit.formats.tomograms.names import is_reference

_SAMPLED_BLOCKS, _BLOCK_BYTES = 16, 65536
# So many pages reach every plane of any tomogram; what is smaller is hashed whole.
_SAMPLED_PAGES, _PAGE_BYTES, _WHOLE_BYTES = 2048, 4096, 1 << 24
_TEXT_SUFFIXES = {".star", ".csv", ".txt", ".json", ".ndjson", ".tsv", ".toml", ".mod", ".coords"}


@dataclass
class Record:
    """What is written next to a result."""

    step: str  # the command, ``pick blob`` for instance
    parameters: dict[str, Any]  # everything that can change the result, seeds included
    # ``name``, ``size`` (bytes) and ``hash`` of each input, see `describe_input`
    inputs: list[dict[str, Any]]
    command: list[str] = field(default_factory=list)  # the command line
    version: str = slabkit.__version__  # slabkit's
    # Files written, relative to the record's folder
    outputs: list[str] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)  # the counts that the command reported
    warnings: list[str] = field(default_factory=list)
    # ``item`` and ``error`` of what could not be done
    failures: list[dict[str, str]] = field(default_factory=list)
    # Local time with offset, ISO 8601; empty while the step runs, and after it was interrupted
    finished: str = ""
    # The main file itself, as `describe_input` says
    result: dict[str, Any] = field(default_factory=dict)
    # Where the command ran, relative to the record's folder; paths in tables start there
    working_directory: str = "."

    def differences(self, other: Record) -> list[str]:
        """Name what differs from another record: the step, parameters, inputs; empty if nothing."""
        if self.step != other.step:
            return [f"it was made by {other.step}"]
        if self.version != other.version:
            return [f"it was made by slabkit {other.version}, this is {self.version}"]
        mine, others = _plain(self.parameters), _plain(other.parameters)
        found = [
            f"{name} was {others.get(name)}, is {mine.get(name)}"
            for name in dict.fromkeys([*mine, *others])
            if name != "png"  # pictures of a result are no part of it
            and mine.get(name) != others.get(name)
        ]
        inputs = {i["name"]: (i["size"], i["hash"]) for i in self.inputs}
        earlier = {i["name"]: (i["size"], i["hash"]) for i in other.inputs}
        denser = self._inputs_with_another("denser_hash", other)
        found += [f"{name} is a new input" for name in inputs if name not in earlier]
        found += [f"{name} is no longer an input" for name in earlier if name not in inputs]
        found += [
            f"{name} has changed"
            for name in inputs
            if earlier.get(name, inputs[name]) != inputs[name] or name in denser
        ]
        return found

    def parts(self, result: Path) -> Parts:
        """Give what earlier runs of the same work have kept beside the result."""
        return Parts(result, _plain([self.step, self.version, self.parameters, self.inputs]))

    def modified(self, other: Record) -> list[str]:
        """Name the large inputs whose samples are the same, but not their modification time."""
        return self._inputs_with_another("modified", other)

    def _inputs_with_another(self, key: str, other: Record) -> list[str]:
        earlier = {i["name"]: i[key] for i in other.inputs if key in i}
        return [i["name"] for i in self.inputs if earlier.get(i["name"], i.get(key)) != i.get(key)]

    def set_outputs(self, paths: Iterable[Path], result: Path) -> None:
        """Name the files written, as seen from the record's folder."""
        self.outputs = _names(paths, result)

    def output_paths(self, result: Path) -> list[Path]:
        """Give the files that the record names, as they are named from here."""
        here = os.getcwd()
        found = []
        for name in self.outputs:
            path = Path(os.path.normpath(result.parent / name))
            inside = path.is_absolute() and not result.is_absolute() and path.is_relative_to(here)
            found.append(path.relative_to(here) if inside else path)
        return found


def record_path(result: str | os.PathLike[str]) -> Path:
    """Give the path of a result's record: ``.json`` appended to the name of its main file."""
    result = Path(result)
    return result.with_name(result.name + ".json")


def save_record(record: Record, result: str | os.PathLike[str]) -> None:
    """Write the record next to its result."""
    record.working_directory = Path(os.path.relpath(".", Path(result).parent)).as_posix()
    plain = _plain(asdict(record))
    text = json.dumps(plain, indent=1, ensure_ascii=False)
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        text = json.dumps(plain, indent=1)  # file names may have bytes that are no characters
    write_text(record_path(result), text + "\n")


def add_outputs(paths: Iterable[Path], result: Path) -> None:
    """Name further files in the record of a step that runs: a line after it, until it is finished.

    To write it anew for each of many items would take time by the square of their number.
    """
    path = record_path(result)
    try:
        with path.open("a") as file:
            size = os.fstat(file.fileno()).st_size
            try:
                file.write(json.dumps(_names(paths, result)) + "\n")
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                os.truncate(path, size)
                raise
    except OSError as error:
        raise write_error(path, error) from error


def _names(paths: Iterable[Path], result: Path) -> list[str]:
    names = (os.path.relpath(path, result.parent) for path in paths)
    return list(dict.fromkeys(Path(name).as_posix() for name in names))


def finish_record(record: Record, result: str | os.PathLike[str]) -> None:
    """Write the record of a step that is done, with the time and the result's own hash."""
    record.finished = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    if Path(result).exists():
        record.result = describe_input(result)
    save_record(record, result)


def load_record(result: str | os.PathLike[str]) -> Record | None:
    """Read the record of a result; None if there is none, or (with a warning) none to be used."""
    path = record_path(result)
    if not os.path.lexists(path):
        return None
    try:
        with open_file(path) as file:
            record = _parse_record(file.read())
    except (OSError, ValueError, TypeError, RecursionError) as error:
        return _unusable(path, str(error).removeprefix(f"{path}: "))
    for one in fields(record):
        kind = str(one.type).partition("[")[0]
        if type(getattr(record, one.name)).__name__ != kind:
            return _unusable(path, f"{one.name} is no {kind}")
    entries = [*record.inputs, record.result] if record.result else record.inputs
    complete = all({"name", "size", "hash"} <= set(e) for e in entries if isinstance(e, dict))
    if not complete or not all(isinstance(e, dict) for e in (*entries, *record.failures)):
        return _unusable(path, "its inputs are not described")
    if not all(isinstance(name, str) for name in record.outputs):
        return _unusable(path, "its outputs are no names")
    return record


def _parse_record(data: bytes) -> Record:
    told, added = leading_json(data)
    record = Record(**told)
    if added and record.finished:
        raise ValueError("there is more after its end")
    for line in added.splitlines(keepends=True):
        if line.endswith("\n"):  # else it was cut short by a crash
            record.outputs += json.loads(line)
    return record


def _unusable(path: Path, reason: object) -> Record | None:
    """Say that a record cannot be used; it counts as absent."""
    warn(f"{path}: is no record of slabkit ({reason}); it counts as absent.")
    return None


def describe_inputs(paths: Iterable[str | os.PathLike[str]]) -> list[dict[str, Any]]:
    """Describe the inputs of a step as a record holds them."""
    from slabkit.formats.tomograms.relion import files_of_set

    every = [one for path in paths for one in (path, *files_of_set(path))]
    if len(every) < 2 or any(is_reference(one) for one in every):
        return [describe_input(one) for one in every]
    from slabkit.arrays.parallel import available_cores, map_in_order

    # Samples of large files are far apart: a file system far away takes its time for each.
    return list(map_in_order(describe_input, every, available_cores()))


def describe_input(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Describe an input file or folder by ``name``, ``size`` (bytes) and ``hash``.

    A table's hash is of its whole content; a volume's of its first block and of blocks sampled
    evenly, because hashing gigabytes costs more than projecting them; a folder's (OME-Zarr) of its
    metadata files and the sizes of all its files. Of volumes there is also ``denser_hash``, of all
    voxels or of samples in every plane, and of large ones and folders ``modified``, because voxels
    between the samples may change.
    """
    path = Path(path)
    digest = hashlib.blake2b(digest_size=16)
    more: dict[str, Any] = {}
    try:
        if is_reference(path):
            from slabkit.formats.tomograms.copick_remote import hash_remote_folder

            size = hash_remote_folder(path, digest)
        elif os.path.isdir(path):
            size = _hash_folder(path, digest, more)
        else:
            size = _hash_file(path, digest, more)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    return {"name": path.as_posix(), "size": size, "hash": digest.hexdigest(), **more}


def describe_text(name: str, text: str) -> dict[str, Any]:
    """Describe an input that came through a pipe, as `describe_input`."""
    data = text.encode()
    digest = hashlib.blake2b(data, digest_size=16)
    return {"name": name, "size": len(data), "hash": digest.hexdigest()}


def _hash_file(path: Path, digest: Any, more: dict[str, Any]) -> int:
    if is_pipe(path):
        data = read_bytes(path)
        digest.update(data)
        digest.update(str(len(data)).encode())
        return len(data)
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if path.suffix.lower() in _TEXT_SUFFIXES or size <= 2 * _SAMPLED_BLOCKS * _BLOCK_BYTES:
            while block := file.read(1 << 20):
                digest.update(block)
        else:
            last = size - _BLOCK_BYTES
            for index in range(_SAMPLED_BLOCKS):
                file.seek(last * index // (_SAMPLED_BLOCKS - 1))
                digest.update(file.read(_BLOCK_BYTES))
            more["denser_hash"] = _denser_hash(file.fileno(), size)
            if size > _WHOLE_BYTES:
                more["modified"] = os.fstat(file.fileno()).st_mtime_ns
        digest.update(str(size).encode())
    return size


def _denser_hash(file: int, size: int) -> str:
    digest = hashlib.blake2b(digest_size=16)
    step, length = _WHOLE_BYTES, _WHOLE_BYTES
    if size > _WHOLE_BYTES:
        step, length = max(1, (size - _PAGE_BYTES) // (_SAMPLED_PAGES - 1)), _PAGE_BYTES
    for first in range(0, size, 64 * step):  # many at once, or threads wait for one another
        places = range(first, min(first + 64 * step, size), step)
        digest.update(b"".join(os.pread(file, length, place) for place in places))
    return digest.hexdigest()


def _hash_folder(path: Path, digest: Any, more: dict[str, Any]) -> int:
    total = modified = 0
    content = hashlib.blake2b(digest_size=16)
    for folder, folders, files in os.walk(path):
        folders.sort()
        for name in sorted(files):
            file = Path(folder) / name
            status = _status(file)
            size = status.st_size
            total += size
            modified += status.st_mtime_ns
            if total <= _WHOLE_BYTES:
                content.update(_content(file))
            digest.update(f"{file.relative_to(path).as_posix()}\0{size}\0".encode())
            if name in (".zattrs", ".zarray", ".zgroup", "zarr.json"):
                digest.update(_content(file))
    more |= {"modified": modified} if total > _WHOLE_BYTES else {"denser_hash": content.hexdigest()}
    return total


def _status(file: Path) -> os.stat_result:
    try:
        return file.stat()
    except OSError:  # a link to nothing
        return file.lstat()


def _content(file: Path) -> bytes:
    """Read a file in a volume's folder; what cannot be read fails that volume alone, when used."""
    try:
        with open_file(file) as opened:
            return opened.read()
    except (OSError, InputError):
        return b""


def _plain(value: Any) -> Any:
    """Give what JSON would read back, so that records compare equal to saved ones."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (str, bool, int, float)) or value is None:
        return value
    if hasattr(value, "item"):
        return value.item()
    return str(value)
