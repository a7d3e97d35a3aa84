"""Minislabs or slabs to what CryoSPARC imports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from slabkit.execution.frame import Frame, parameters
from slabkit.steps.shared.exporting import check_no_pipes, write_export


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit export cryosparc``."""

    table: str
    out: str
    exposures: str | None = None
    y_axis: Literal["up", "down"] = "down"


def run(options: Options, frame: Frame) -> None:
    """Write micrographs, tiles and stacks, and how to import them."""
    from slabkit.formats.programs.cryosparc.export import export_cryosparc

    check_no_pipes(options.table, options.out)
    export = export_cryosparc(
        options.table, options.out, exposures=options.exposures, y_axis=options.y_axis
    )
    given = parameters(options, "table", "out", "exposures")
    write_export(frame, "export cryosparc", export, (options.table, options.exposures), given)
