"""Labelled minislabs to a training set for Topaz; slabs to what its pretrained detector needs."""

from __future__ import annotations

from dataclasses import dataclass

from slabkit.execution.frame import Frame, parameters
from slabkit.steps.shared.exporting import check_no_pipes, write_export


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit export topaz``."""

    table: str
    out: str
    labels: str | None = None
    downsample: int | None = None
    radius: float | None = None


def run(options: Options, frame: Frame) -> None:
    """Write the lists and the script that runs Topaz, and link the images."""
    from slabkit.formats.programs.topaz.export import export_topaz

    check_no_pipes(options.table, options.out, options.labels)
    export = export_topaz(
        options.table,
        options.out,
        labels=options.labels,
        downsample=options.downsample,
        radius=options.radius,
    )
    given = parameters(options, "table", "out", "labels")
    write_export(frame, "export topaz", export, (options.table, options.labels), given)
