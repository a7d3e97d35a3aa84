"""CryoSPARC's files: datasets (``.cs``), and result groups (``.csg``) that say what they hold.

A dataset is a NumPy array of records under another name, with headers that may be longer than
NumPy likes and texts as bytes; fields are called ``slot/field``. A newer, compressed form is read
through the package cryosparc-tools. A group is a little YAML: which dataset holds which slot.
Nothing here needs a CryoSPARC server.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import io
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import FormatError, InputError, MissingDependencyError
from slabkit.formats.tables.paths import open_file, read_bytes
from slabkit.names import base_name, without_import

NUMPY_MAGIC = b"\x93NUMPY"
STREAM_MAGIC = b"\x95CSDAT"

Columns = dict[str, npt.NDArray[Any]]

_METAFILE = re.compile(r"^[ \t]+metafile:[ \t]*(.*?)[ \t\r]*$", re.MULTILINE)
# Text as YAML has it: in single or double quotes, or plain; no null, number, list or object.
_TEXT = re.compile(
    r"""'>?((?:[^']|'')+)'|">?([^"\\]+)"|"""
    r"""(?i:(?!(?:null|true|false|yes|no|on|off|[-+.\d][\d.e+_-]*)$))>?([^][{}'"#&*!|%@`~>\s][^#'"]*)"""
)
_LZ4_RATIO = 256  # no block becomes larger than so many times its bytes


def read_dataset(path: str | os.PathLike[str], fields: re.Pattern[str] | None = None) -> Columns:
    """Read a dataset as `parse_dataset` does."""
    with open_file(path) as file:
        return parse_dataset(file.read(), str(path), fields)


def parse_dataset(data: bytes, where: str, fields: re.Pattern[str] | None = None) -> Columns:
    """Give each field's values, rows first: texts as objects of str, ``uid`` as uint64.

    ``fields``: read only those whose whole names match. Python objects are refused, because they
    could run code; the compressed form needs cryosparc-tools.
    """
    if data.startswith(STREAM_MAGIC):
        columns = _parse_stream(data, where)
    elif data.startswith(NUMPY_MAGIC):
        columns = _parse_records(data, where)
    else:
        raise FormatError(
            f"{where}: is not a CryoSPARC dataset (.cs): it begins with {data[:6]!r}, not with "
            "NumPy's mark or CryoSPARC's."
        )
    return {
        name: _decoded(values, name, where)
        for name, values in columns.items()
        if fields is None or fields.fullmatch(name)
    }


def _parse_records(data: bytes, where: str) -> Columns:
    kind, rows, offset = _parse_header(data, where)
    if kind.hasobject:
        raise FormatError(
            f"{where}: holds Python objects, which are not read because they could run code; save "
            "it again in CryoSPARC or with cryosparc-tools (Dataset.load(file).save(other))."
        )
    if kind.names is None:
        raise FormatError(f"{where}: is a plain array without fields, not a CryoSPARC dataset.")
    there = len(data) - offset
    if there < rows * kind.itemsize:
        raise FormatError(
            f"{where}: is cut short: {rows} rows of {kind.itemsize} bytes are promised, {there} "
            "bytes are there."
        )
    records = (
        np.frombuffer(data, dtype=kind, count=rows, offset=offset)
        if rows and kind.itemsize
        else np.zeros(0, dtype=kind)
    )
    return {name: records[name] for name in kind.names}


def _parse_header(data: bytes, where: str) -> tuple[np.dtype[Any], int, int]:
    """Read NumPy's header: the type of the rows, how many there are, and where they begin."""
    version = data[6:7]
    begin = 10 if version == b"\x01" else 12
    length = int.from_bytes(data[8:begin], "little")
    text = data[begin : begin + length]
    try:
        if version not in (b"\x01", b"\x02", b"\x03") or not 0 < length <= len(text):
            raise ValueError("it is cut short or of an unknown version")
        header = ast.literal_eval(text.decode("utf-8" if version == b"\x03" else "latin1"))
        kind: np.dtype[Any] = np.lib.format.descr_to_dtype(header["descr"])
        (rows,) = header["shape"]
        if type(rows) is not int or rows < 0:
            raise ValueError(f"the shape is {header['shape']}")
    except Exception as error:  # a damaged header can raise errors of any kind
        raise FormatError(
            f"{where}: is damaged or no CryoSPARC dataset: its header cannot be read "
            f"({_short(error)})."
        ) from error
    return kind, rows, begin + length


def _parse_stream(data: bytes, where: str) -> Columns:
    """Read the compressed form through cryosparc-tools, in a process that it may take down."""
    try:
        there = importlib.util.find_spec("cryosparc.dataset") is not None
    except ImportError:
        there = False
    if not there:
        raise MissingDependencyError(
            f"{where}: is in CryoSPARC's compressed form, for which the package cryosparc-tools is "
            "needed: pip install 'slabkit-cryoet[cryosparc]' (or save it plainly where that is "
            "installed: Dataset.load(file).save(other))."
        )
    _check_stream(data, where)
    done = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import stream_to_plain; stream_to_plain()"],
        input=data,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)},
    )
    if done.returncode < 0:
        raise FormatError(
            f"{where}: is damaged: cryosparc-tools crashed on it (signal {-done.returncode})."
        )
    if done.returncode:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no reason"])[-1]
        raise FormatError(f"{where}: cannot be read by cryosparc-tools ({last[:80]}).")
    return _parse_records(done.stdout, where)


def _check_stream(data: bytes, where: str) -> None:
    """Check that a compressed dataset has what its header promises, before any is decompressed."""
    begin = len(STREAM_MAGIC)
    try:
        size = int.from_bytes(data[begin : begin + 4], "little")
        header = json.loads(data[begin + 4 : begin + 4 + size])
        position, rows = begin + 4 + size, header["length"]
        if type(rows) is not int or rows < 0:
            raise ValueError(f"{rows} rows")
        for name, kind, *shape in header["dtype"] if rows else []:
            size = int.from_bytes(data[position : position + 4], "little")
            position += 4 + size
            promised = rows * np.dtype(kind).itemsize * math.prod(shape[0] if shape else ())
            packed = name in header["compressed_fields"]
            if position > len(data) or (
                promised > _LZ4_RATIO * size if packed else promised != size
            ):
                raise ValueError(f"{size} bytes of {name} for {rows} rows")
    except Exception as error:  # a damaged header can raise errors of any kind
        raise FormatError(
            f"{where}: is damaged or cut short: its header does not fit its data ({_short(error)})."
        ) from error


def stream_to_plain() -> None:
    """Write the compressed dataset of standard input to standard output, in NumPy's form."""
    import resource

    from cryosparc.dataset import Dataset

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    dataset = Dataset.load(io.BytesIO(sys.stdin.buffer.read()))
    columns = {name: np.array(dataset[name]) for name in dataset.fields()}
    sys.stdout.buffer.write(dataset_bytes(columns))


def _short(error: Exception) -> str:
    return str(error).split("\n")[0][:80] or type(error).__name__


def _decoded(values: npt.NDArray[Any], name: str, where: str) -> npt.NDArray[Any]:
    if values.dtype.kind not in "SUO":
        return np.array(values, dtype=values.dtype.newbyteorder("="))
    try:
        listed = [
            value.decode("utf-8").rstrip("\0") if isinstance(value, bytes) else str(value)
            for value in values.ravel().tolist()
        ]
    except UnicodeDecodeError as error:
        raise FormatError(f"{where}: {name} holds text that is not UTF-8.") from error
    texts = np.empty(len(listed), dtype=object)
    texts[:] = listed
    return texts.reshape(values.shape)


def dataset_bytes(columns: Mapping[str, npt.ArrayLike]) -> bytes:
    """Give a dataset in NumPy's form; texts become UTF-8. CryoSPARC wants ``uid`` first."""
    arrays = {name: _encoded(np.asarray(values)) for name, values in columns.items()}
    rows = len(next(iter(arrays.values()), ()))
    records = np.zeros(
        rows, dtype=[(name, values.dtype, values.shape[1:]) for name, values in arrays.items()]
    )
    for name, values in arrays.items():
        records[name] = values
    file = io.BytesIO()
    np.lib.format.write_array(file, records, allow_pickle=False)
    return file.getvalue()


def _encoded(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if values.dtype.kind in "OU":
        encoded = [str(value).encode("utf-8") for value in values.tolist()]
        # NumPy has no bytes of length 0, and CryoSPARC no missing text.
        return np.array(encoded, dtype=f"S{max(1, *map(len, encoded), 1)}")
    return values.astype(values.dtype.newbyteorder("<"))


def plain_name(path: str) -> str:
    """Give a file's own name: without folders, ``>`` and the prefix that an import puts on it."""
    return without_import(base_name(path.lstrip(">")))


def unique_ids(texts: Sequence[str]) -> npt.NDArray[np.uint64]:
    """Make a ``uid`` of each text; the same text, the same number, never 0; all must differ."""
    digests = (hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest() for text in texts)
    numbers = np.array([int.from_bytes(d, "little") or 1 for d in digests], dtype=np.uint64)
    if len(np.unique(numbers)) < len(numbers):
        raise InputError("two minislabs or micrographs are the same, so they cannot have ids.")
    return numbers


def is_group(path: str | os.PathLike[str]) -> bool:
    """Tell by its name whether a file is a result group."""
    return str(path).lower().endswith(".csg")


def group_text(
    *,
    kind: str,
    name: str,
    title: str,
    description: str,
    slots: Iterable[str],
    metafile: str,
    rows: int,
) -> str:
    """Give a result group of a dataset with these slots; ``kind``: ``particle`` or ``exposure``."""
    # A group has a date; a fixed one, so that the same input gives the same bytes.
    lines = ["created: 2000-01-01 00:00:00.000000", "group:"]
    lines += [f"  description: {_quoted(description)}", f"  name: {name}"]
    lines += [f"  title: {_quoted(title)}", f"  type: {kind}", "results:"]
    for slot in sorted(slots):
        lines += [f"  {slot}:", f"    metafile: {_quoted('>' + metafile)}"]
        lines += [f"    num_items: {rows}", f"    type: {kind}.{slot}"]
    return "\n".join([*lines, "version: v4.0.0"]) + "\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def group_files(path: str | os.PathLike[str]) -> list[Path]:
    """Give the datasets, in the group's folder, that a result group names: each once, in order."""
    try:
        text = read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: is not a text file, so no result group (.csg).") from error
    names: dict[str, None] = {}
    for value in _METAFILE.findall(text):
        found = _TEXT.fullmatch(value)
        if found is None:
            raise FormatError(f"{path}: a metafile must be a name in quotes, not {value[:60]!r}.")
        single, double, plain = found.groups(default="")
        names[single.replace("''", "'") or double or plain.strip()] = None
    if not names:
        raise FormatError(f"{path}: names no metafile, so it is no result group (.csg).")
    return [Path(path).parent / name for name in names]


def groups_beside(path: str | os.PathLike[str]) -> list[Path]:
    """Give the other datasets of the groups in the same folder that name this one.

    CryoSPARC splits an output: what a job made is in one file, what it passed through in another,
    and the group beside them names both.
    """
    here = Path(path)
    others: dict[Path, None] = {}
    for group in sorted(here.parent.glob("*.csg")):
        try:
            files = group_files(group)
        except InputError:
            continue  # another file's fault must not stop the reading of this one
        if any(file.name == here.name for file in files):
            others.update(
                dict.fromkeys(
                    file for file in files if file.name != here.name and os.path.isfile(file)
                )
            )
    return list(others)
