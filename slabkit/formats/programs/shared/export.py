"""What `slabkit export` writes for another program, whichever that is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from slabkit.errors import InputError
from slabkit.formats.tables.atomic import write_bytes, write_text
from slabkit.formats.tables.blocks import read_text
from slabkit.formats.tables.paths import resolve_path
from slabkit.formats.tables.star import parse_star
from slabkit.tables import names_listed


@dataclass
class Export:
    """Files that another program imports; none is there before `write`."""

    table: str | os.PathLike[str]  # the minislab or slab table, which names the images
    # Content of each file; the first is written last, and the record is kept beside it
    files: dict[Path, str | bytes] = field(default_factory=dict)
    # Link to image; images are not copied where the disk knows links
    links: dict[Path, Path] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)  # for the report
    next_step: str = ""  # what to do with the files, for the user
    script: Path | None = None  # which of the files is to be executable

    def link(self, link: Path, image: str) -> None:
        """Link an image of the table, by the path that is written there.

        Raises `InputError`: it is not there.
        """
        path = resolve_path(image, self.table)
        if not os.path.isfile(path):
            raise InputError(f"{self.table}: names the image {image}, which is not there.")
        self.links[link] = path

    def write(self) -> None:
        """Write everything, each file whole or not at all, the first one last."""
        for link, image in self.links.items():
            link.parent.mkdir(parents=True, exist_ok=True)
            temporary = link.with_name(f".{link.name}.link")
            temporary.unlink(missing_ok=True)
            try:
                temporary.symlink_to(os.path.relpath(image.resolve(), link.parent.resolve()))
            except OSError:  # a disk without links
                shutil.copyfile(image, temporary)
            os.replace(temporary, link)
        main, *others = self.files
        for path in (*others, main):
            content = self.files[path]
            if isinstance(content, str):
                write_text(path, content)
            else:
                write_bytes(path, content)
        if self.script is not None:
            self.script.chmod(0o755)


def exported_kind(table: str | os.PathLike[str]) -> Literal["galleries", "slabs"]:
    """Tell whether a table is one of minislabs in galleries or one of slabs; refuse others."""
    blocks: Sequence[str] = list(parse_star(read_text(table), str(table)))
    if "galleries" in blocks:
        return "galleries"
    if "micrographs" in blocks:
        return "slabs"
    raise InputError(
        f"{table}: has neither a block data_galleries nor data_micrographs (it has "
        f"{names_listed(blocks)}), so it is neither a minislab nor a slab table."
    )
