"""How every `slabkit export` ends: the files of an `Export` are written and recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from slabkit.errors import InputError
from slabkit.execution.frame import Frame

if TYPE_CHECKING:
    from slabkit.formats.programs.shared.export import Export


def check_no_pipes(*names: str | None) -> None:
    """Refuse ``-``: images are found by the table's folder."""
    if "-" in names:
        raise InputError("export reads files and writes to a folder; - is neither.")


def write_export(
    frame: Frame,
    name: str,
    export: Export,
    inputs: Sequence[str | None],
    parameters: dict[str, Any],
) -> None:
    """Write an export, the first of its files being the one that is recorded."""
    main, *others = [*export.files, *export.links]
    with frame.work(
        name,
        main,
        inputs=[path for path in inputs if path is not None],
        parameters=parameters,
    ) as work:
        if not work.finished:
            work.check_free(others, images=export.links.values())
            export.write()
            work.outputs += others
            work.summary.update(export.counts)
        work.note(f"next: {export.next_step}")
