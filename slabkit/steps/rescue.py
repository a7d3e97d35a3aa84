"""Curated pick lists to the picks of which people are to look at minislabs again."""

from __future__ import annotations

from dataclasses import dataclass

from slabkit.errors import InputError
from slabkit.execution.frame import Frame, parameters


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit rescue``; see also `slabkit.rescue_picks`."""

    picks: tuple[str, ...]
    out: str
    which: tuple[str, ...] = ("rejected",)
    seed: int = 0


def run(options: Options, frame: Frame) -> None:
    """Write the picks chosen, with their ids, decisions and recorded labels."""
    from slabkit.formats.source import Source
    from slabkit.formats.tables.native import PickList, parse_native_picks, write_picks
    from slabkit.formats.tables.paths import check_given_once, with_paths_from_here

    check_given_once(options.picks, "pick list")
    sources = [Source.load(path) for path in options.picks]
    with frame.work(
        "rescue",
        options.out,
        inputs=options.picks,
        parameters=parameters(options, "out"),
        text_inputs={source.where: source.text for source in sources if source.where == "-"},
    ) as work:
        if work.finished:
            return
        from slabkit.curation import rescue_picks
        from slabkit.steps.shared.pick_lists import put_together
        from slabkit.tables import require_unique

        if any(source.empty for source in sources):
            raise InputError("a pick list is empty, not even a table without picks.")
        lists = [parse_native_picks(source.pieces, source.where) for source in sources]
        for one, path in zip(lists, options.picks, strict=True):
            require_unique(one.picks, "slabkitPickId", str(path))
            with_paths_from_here(one.tomograms, path)
        pooled = put_together(lists, options.picks)
        chosen = rescue_picks(pooled.picks, options.which, seed=options.seed)
        write_picks(options.out, PickList(chosen, pooled.tomograms))
        counts = chosen["slabkitRescue"].value_counts().sort_index()
        work.summary.update(
            picks=len(pooled.picks),
            chosen=len(chosen),
            **{str(name): int(count) for name, count in counts.items()},
        )
