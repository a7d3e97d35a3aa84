"""Minislabs or slabs to the tables that RELION starts from."""

from __future__ import annotations

from dataclasses import dataclass

from slabkit.execution.frame import Frame, parameters
from slabkit.steps.shared.exporting import check_no_pipes, write_export


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit export relion``."""

    table: str
    out: str
    suffix: str = "slabkit"


def run(options: Options, frame: Frame) -> None:
    """Write STAR files for a RELION project, the working directory."""
    from slabkit.formats.programs.relion.export import export_relion

    check_no_pipes(options.table, options.out)
    export = export_relion(options.table, options.out, options.suffix)
    given = parameters(options, "table", "out")
    write_export(frame, "export relion", export, (options.table,), given)
