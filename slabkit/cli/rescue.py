"""``slabkit rescue curated.star rest.star -o again.star``: picks for a second look."""

from __future__ import annotations

from typing import Annotated

import typer

from slabkit.cli.options import common
from slabkit.errors import InputError


def rescue(
    picks: Annotated[
        list[str],
        typer.Argument(
            metavar="PICKS...",
            help="Curated pick lists, what was dropped too.",
            show_default=False,
        ),
    ],
    out: common.OutTable,
    which: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=NUMBER|%]",
            help="rejected, undecided, accepted, or contradictory (labels say both); "
            "accepted=200 or accepted=5% takes so many at random. May be repeated. "
            "Default: rejected.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random choice.")] = 0,
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Choose picks of which people are to look at minislabs again.

    Nothing is changed: the picks keep ids, decisions and recorded labels. Make minislabs of what
    is chosen, label them as a round of its own, and curate the whole list with those labels too.
    """
    from slabkit.curation import rescue_picks
    from slabkit.formats.source import Source
    from slabkit.formats.tables.native import PickList, parse_native_picks, write_picks
    from slabkit.formats.tables.paths import check_given_once, with_paths_from_here
    from slabkit.merging import merge_picks, merge_tomograms

    check_given_once(picks, "pick list")
    sources = [Source.load(path) for path in picks]
    with common.Step(
        "rescue",
        out,
        inputs=picks,
        parameters={"picks": picks, "which": which or ["rejected"], "seed": seed},
        overwrite=overwrite,
        quiet=quiet,
        json_=json_,
        text_inputs={source.where: source.text for source in sources if source.where == "-"},
    ) as step:
        if step.finished:
            return
        if any(source.empty for source in sources):
            raise InputError("a pick list is empty, not even a table without picks.")
        lists = [parse_native_picks(source.text, source.where) for source in sources]
        for one, path in zip(lists, picks, strict=True):
            with_paths_from_here(one.tomograms, path)
        pooled, _ = merge_picks([one.picks for one in lists], 0.0, names=picks)
        chosen = rescue_picks(pooled, which or ["rejected"], seed=seed)
        write_picks(out, PickList(chosen, merge_tomograms([one.tomograms for one in lists])))
        counts = chosen["slabkitRescue"].value_counts().sort_index()
        step.summary.update(
            picks=len(pooled),
            chosen=len(chosen),
            **{str(name): int(count) for name, count in counts.items()},
        )
