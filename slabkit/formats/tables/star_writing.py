"""Tables as STAR text: the same tables give the same bytes, whatever their size."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError
from slabkit.formats.tables.packed import PADDING, in_columns, is_packed, unpacked
from slabkit.formats.tables.reals import real_text, real_texts

if TYPE_CHECKING:
    import pandas as pd

Blocks = Mapping[str, "pd.DataFrame | Mapping[str, Any]"]

_ROWS = 8_000  # written at a time: what a processor's cache holds
_PLAIN = r"(?!data_|loop_)[A-Za-z0-9./@+-][A-Za-z0-9./@+_,:=-]*"  # nearly all values
_PLAIN_VALUE = re.compile(_PLAIN)
_FIRST_LETTERS = (string.ascii_letters + string.digits + "./@+-").encode()
_LETTERS = _FIRST_LETTERS + b"_,:="
_PLAIN_LINES = re.compile(rf"(?:{_PLAIN}\n)*")


def format_star(blocks: Blocks, lists: tuple[str, ...] = ()) -> str:
    """Write tables, or lists by column name, as STAR text: same tables, same bytes.

    Floats read back equal; NaN is ``nan``, the empty text ``none``. Blocks of one row named in
    ``lists`` become lists of pairs. Refused is a string that STAR cannot hold: with a ``#`` or a
    line break, or with both kinds of quote where it needs one.
    """
    return b"".join(star_pieces(blocks, lists)).decode()


def star_pieces(blocks: Blocks, lists: tuple[str, ...] = ()) -> Iterator[bytes]:
    """Give the text of `format_star` as UTF-8, a few megabytes at a time."""
    yield b"# version 30001\n"
    for block, table in blocks.items():
        columns = {str(column): _array(table[column]) for column in table}
        count = len(next(iter(columns.values()), ()))
        yield f"\ndata_{block}\n\n".encode()
        if block in lists and count == 1:
            for column, values in columns.items():
                yield f"_{column} ".encode() + _texts(values, column)[0] + b"\n"
        else:
            labels = "".join(f"_{column} #{i}\n" for i, column in enumerate(columns, 1))
            yield f"loop_\n{labels}".encode()
            for start in range(0, count, _ROWS):
                yield _rows([_texts(v[start : start + _ROWS], name) for name, v in columns.items()])
        yield b"\n"


def _array(column: Any) -> Any:
    """Give the values of a column without making objects of pandas' own kinds of array."""
    return getattr(column, "array", column) if hasattr(column, "to_numpy") else column


_Texts = npt.NDArray[np.bytes_] | list[bytes]


def _rows(columns: list[_Texts]) -> bytes:
    """Join the columns of some rows; columns of bytes by deleting the NUL behind each text."""
    arrays = [texts for texts in columns if not isinstance(texts, list)]
    if len(arrays) < len(columns):
        lists = [t if isinstance(t, list) else t.tolist() for t in columns]
        return b"\n".join(map(b"\t".join, zip(*lists, strict=True))) + b"\n"
    fields: list[tuple[str, Any]] = []
    for place, texts in enumerate(arrays):
        fields += [(f"text{place}", texts.dtype), (f"end{place}", "S1")]
    rows = np.empty(len(columns[0]), dtype=fields)
    for place, texts in enumerate(arrays):
        rows[f"text{place}"] = texts
        rows[f"end{place}"] = b"\t" if place < len(columns) - 1 else b"\n"
    return rows.tobytes().translate(None, b"\0")


def _texts(values: Sequence[Any] | npt.NDArray[Any], name: str) -> _Texts:
    kind = getattr(getattr(values, "dtype", None), "kind", "O")
    if kind == "f":
        return real_texts(np.asarray(values, dtype=np.float64))
    if kind in "iub":
        found, places = np.unique(np.asarray(values), return_inverse=True)
        return np.array([str(int(number)) for number in found], dtype="S")[places]
    packed = _packed_texts(values) if hasattr(values, "dtype") and is_packed(values) else None
    if packed is not None:
        return packed
    listed = np.asarray(values, dtype=object).tolist() if hasattr(values, "dtype") else list(values)
    try:
        once = dict.fromkeys(listed)
        lines = "\n".join(once) + "\n"
    except TypeError:  # not only text
        return [_text_value(value, name).encode() for value in listed]
    if lines.count("\n") != len(once) or not _PLAIN_LINES.fullmatch(lines):
        known = {value: _text_value(value, name).encode() for value in once}
    elif len(once) == len(listed):
        return _lines_of(once)
    else:
        known = dict(zip(once, _lines_of(once), strict=True))
    return [known[value] for value in listed]


def _packed_texts(values: Any) -> npt.NDArray[np.bytes_] | None:
    """Give texts as columns of bytes; None where one is long or needs to be looked at."""
    parts = unpacked(values)
    if parts is None:
        return None
    data, lengths = parts[0].tobytes(), np.diff(parts[1])
    width = max(int(lengths.max(initial=0)), len("none"))
    if width > len(PADDING) or data.translate(None, _LETTERS):
        return None
    padded = np.frombuffer(data + PADDING, dtype=np.uint8)
    texts = in_columns(padded, parts[1][:-1], lengths, width)
    first = texts.view(np.uint8)[::width].tobytes()
    if first.translate(None, _FIRST_LETTERS + b"\0"):
        return None
    begins_so = b"d" in first or b"l" in first
    if begins_so and np.isin(texts.astype("S5"), (b"data_", b"loop_")).any():
        return None
    texts[lengths == 0] = b"none"
    return texts


def _lines_of(texts: Any) -> list[bytes]:
    return "\n".join(texts).encode().split(b"\n")


def _text_value(value: object, name: str) -> str:
    if isinstance(value, (bool, np.bool_)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        return real_text(float(value))
    text = "" if value is None else str(value)
    if _PLAIN_VALUE.fullmatch(text):
        return text
    if text == "":
        return "none"
    if "#" in text or not text.isprintable():
        raise InputError(
            f"{name} {text!r} cannot be written to a STAR file: it has a '#' or a line break or "
            "another unprintable character; rename it."
        )
    plain = not any(character.isspace() for character in text)
    if plain and text[0] not in "\"'_;" and not text.startswith(("data_", "loop_")):
        return text
    for quote in ('"', "'"):
        if quote not in text:
            return f"{quote}{text}{quote}"
    raise InputError(
        f"{name} {text!r} cannot be written to a STAR file: it has spaces and both kinds of quote; "
        "rename it."
    )
