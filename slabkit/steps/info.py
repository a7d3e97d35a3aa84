"""What slabkit understands of files; nothing is written, so there is no frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slabkit.errors import SlabkitError

if TYPE_CHECKING:
    from slabkit.formats.description import FileDescription


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit info``."""

    files: tuple[str, ...]
    full: bool = False


def run(options: Options) -> Iterator[tuple[str, FileDescription | SlabkitError]]:
    """Describe the files one after the other; an error stands for one that cannot be described."""
    from slabkit.formats.describe import describe_file

    for path in options.files:
        try:
            yield path, describe_file(path, full=options.full)
        except SlabkitError as error:
            yield path, error
