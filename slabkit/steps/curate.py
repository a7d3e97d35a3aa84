"""Labels into the pick list, with the funnel of where every pick went."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from slabkit.errors import InputError
from slabkit.execution.frame import Frame, Work, parameters
from slabkit.steps.shared.names import warn_of_spellings

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.curation import Curation
    from slabkit.formats.tables.native import PickList

Policy = Literal["latest", "all", "any", "majority", "weighted"]
Keep = Literal["accepted", "rejected", "undecided", "all"]


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit curate``; see also `slabkit.curate_picks`."""

    picks: str
    out: str
    labels: tuple[str, ...] = ()
    policy: Policy = "latest"
    weights: Mapping[str, float] = field(default_factory=dict)
    recorded: bool = False
    confidence: str | None = None
    min_confidence: float | None = None
    conflicts: str | None = None
    keep: Keep = "accepted"
    rejected: str | None = None
    species: str = ""
    recentre: bool = False
    added: str | None = None  # picks that people added or moved in a review


def run(options: Options, frame: Frame) -> None:
    """Apply the labels and write the pick list."""
    from slabkit.curation import curate_picks

    sources = [options.picks, *options.labels]
    if options.conflicts:
        sources.append(options.conflicts)
    if options.added:
        sources.append(options.added)
    _check_files(sources, options)
    picks, tables, piped = _read(options)
    with frame.work(
        "curate",
        options.out,
        inputs=sources,
        parameters=parameters(options, "picks", "out", "conflicts", "added"),
        text_inputs=piped,
    ) as work:
        if work.finished:
            return
        result = curate_picks(
            picks.picks,
            tables,
            policy=options.policy,
            keep=options.keep,
            species=options.species,
            recentre=options.recentre,
            weights=options.weights,
            recorded=options.recorded,
            confidence=options.confidence,
            min_confidence=options.min_confidence,
        )
        warn_of_spellings(result.kept["slabkitSpecies"], options.out)
        _write(work, result, picks, options)
        funnel = list(zip(result.funnel["step"], result.funnel["picks"].tolist(), strict=True))
        work.table("", ("funnel", "picks"), funnel)
        work.summary.update(
            picks=len(picks.picks),
            kept=len(result.kept),
            dropped=len(result.dropped),
            contradictory=result.contradictory,
            unknown_labels=result.unknown_labels,
            funnel=[{"step": name, "picks": count} for name, count in funnel],
        )
        if options.recentre:
            work.summary.update(
                recentred=result.recentred,
                mean_move=result.mean_move,
                largest_move=result.largest_move,
            )


def _check_files(sources: list[str], options: Options) -> None:
    labels, out, rejected = options.labels, options.out, options.rejected
    if sources.count("-") > 1 or (out == "-" and rejected == "-"):
        raise InputError("only one table can come from standard input, and one go out (-).")
    twice = [name for name in dict.fromkeys(labels) if labels.count(name) > 1]
    if twice:
        raise InputError(f"{twice[0]}: is given twice, and its votes would count twice.")
    taken = {os.path.realpath(name) for name in (out, *sources)}
    if rejected not in (None, "-") and os.path.realpath(str(rejected)) in taken:
        raise InputError(f"{rejected}: --rejected is an input or -o already.")


def _read(options: Options) -> tuple[PickList, list[pd.DataFrame], dict[str, str]]:
    """Read the picks and the labels; gives the text of what came through a pipe too."""
    from slabkit.curation import settle_conflicts
    from slabkit.formats.tables.blocks import read_table
    from slabkit.formats.tables.native import read_labels, read_native_picks
    from slabkit.formats.tables.paths import with_paths_from_here
    from slabkit.steps.shared.pick_lists import put_together
    from slabkit.tables import CONFLICTS

    picks = read_native_picks(options.picks)
    with_paths_from_here(picks.tomograms, options.picks)
    tables = [read_labels(name) for name in options.labels]
    given = dict(zip((options.picks, *options.labels), (picks.picks, *tables), strict=True))
    if options.added is not None:
        names = (options.picks, options.added)
        more = read_native_picks(options.added)
        with_paths_from_here(more.tomograms, options.added)
        given[options.added] = more.picks
        picks = put_together([picks, more], names)
    if options.conflicts is not None:
        claims = read_table(options.conflicts, CONFLICTS)
        given[options.conflicts] = claims
        tables = [settle_conflicts(claims, table) for table in tables]
    return picks, tables, {"-": given["-"].to_csv()} if "-" in given else {}


def _write(work: Work, result: Curation, picks: PickList, options: Options) -> None:
    from slabkit.formats.tables.native import PickList, write_picks

    if options.rejected is not None:
        beside = [Path(options.rejected)] if options.rejected != "-" else []
        work.check_free(beside)
        write_picks(options.rejected, PickList(result.dropped, picks.tomograms))
        work.outputs += beside
    write_picks(options.out, PickList(result.kept, picks.tomograms))
