"""What a step has made so far, kept beside its result so that a run that was killed goes on."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slabkit.errors import SlabkitError, warn
from slabkit.execution.files import file_state
from slabkit.formats.tables.atomic import atomic_path

if TYPE_CHECKING:
    import pandas as pd

_WORTH = 0.5  # seconds; what took less is made again


class Parts:
    """Files of JSON in a hidden folder, whose name has a hash of all that the result depends on.

    JSON, because a file that a crash of the machine has cut short is then no JSON any more.
    """

    def __init__(self, out: Path, depends_on: Any) -> None:
        text = json.dumps(depends_on, sort_keys=True).encode(errors="backslashreplace")
        digest = hashlib.blake2b(text, digest_size=8).hexdigest()
        self._folder = out.with_name(f".{out.name[:100]}.parts-{digest}")

    def find(self, item: str) -> dict[str, Any] | None:
        """Read what was kept of an item."""
        with contextlib.suppress(OSError, ValueError):
            told = json.loads(self._path(item).read_bytes())
            return told if isinstance(told, dict) else None
        return None

    def keep(self, item: str, told: Mapping[str, Any]) -> None:
        """Keep what was made of an item; a disk that is full must not end the run here."""
        with contextlib.suppress(OSError, SlabkitError), atomic_path(self._path(item), False) as p:
            p.write_text(json.dumps(told, default=lambda number: number.item()))

    def remove(self) -> None:
        """Remove what was kept, of runs with other options too."""
        name = glob.escape(self._folder.name.rpartition("-")[0])
        for folder in self._folder.parent.glob(f"{name}-" + "[0-9a-f]" * 16):
            shutil.rmtree(folder, ignore_errors=True)

    def count(self) -> int:
        """Count the items that are kept."""
        return len(list(self._folder.glob("[!.]*.json")))

    def table(
        self,
        item: str,
        make: Callable[[], tuple[pd.DataFrame, dict[str, Any]]],
        summary: dict[str, Any],
        warnings: list[str],
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Give the table and further values of an item, made now or kept by a run before.

        So are the warnings, and what is new in the step's summary.
        """
        import pandas as pd

        if (kept := self.find(item)) is not None:
            columns = {n: pd.Series(v, dtype=kind) for n, (kind, v) in kept["columns"].items()}
            for text in kept["warnings"]:
                warn(text)
            summary |= kept["summary"]
            return pd.DataFrame(columns), kept["told"]
        began, before, known = time.monotonic(), len(warnings), set(summary)
        table, told = make()
        if time.monotonic() - began >= _WORTH:
            columns = {n: [str(table[n].dtype), table[n].tolist()] for n in table.columns}
            new = {name: value for name, value in summary.items() if name not in known}
            said = warnings[before:]
            kept = {"columns": columns, "told": told, "summary": new, "warnings": said}
            self.keep(item, kept)
        return table, told

    def files(
        self, item: str, paths: Sequence[Path], write: Callable[[], None], warnings: list[str]
    ) -> None:
        """Write an item's files, unless they are as a run before left them; then warn as it did."""
        kept = self.find(item)
        if kept is not None and kept["files"] == _states(paths):
            for text in kept["warnings"]:
                warn(text)
            return
        began, before = time.monotonic(), len(warnings)
        write()
        if time.monotonic() - began >= _WORTH:
            self.keep(item, {"files": _states(paths), "warnings": warnings[before:]})

    def _path(self, item: str) -> Path:
        name = hashlib.blake2b(item.encode(errors="backslashreplace"), digest_size=12).hexdigest()
        return self._folder / f"{name}.json"


def _states(paths: Sequence[Path]) -> list[list[int]]:
    return [list(file_state(str(path)) or ()) for path in paths]
