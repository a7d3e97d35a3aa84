"""Pick lists to one, in which each particle has one pick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from slabkit.errors import InputError, warn
from slabkit.execution.frame import Frame, parameters

if TYPE_CHECKING:
    from slabkit.formats.tables.native import PickList

Between = Literal["one-to-one", "groups"]
Position = Literal["best", "score", "rank", "source"]


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit merge``; see also `slabkit.merge_picks`."""

    picks: tuple[str, ...]
    out: str
    distance: Mapping[str, float] = field(default_factory=dict)  # Å; "" is for all other species
    preset: str | None = None  # of `slabkit.merging.PRESETS`
    between: Between = "one-to-one"
    position: Position = "best"
    weights: Mapping[str, float] = field(default_factory=dict)


def run(options: Options, frame: Frame) -> None:
    """Pool the lists and write one pick of those that are the same particle."""
    from slabkit.merging import PRESETS
    from slabkit.steps.shared.pick_lists import PickFiles

    preset = options.preset
    if preset is not None and preset not in PRESETS:
        raise InputError(f"--preset must be {' or '.join(PRESETS)}, not {preset!r}.")
    if preset is None and not options.distance:
        raise InputError("give --distance Å, --distance SPECIES=Å, or --preset czii.")
    distances = {**(PRESETS[preset] if preset else {}), **options.distance}
    files = PickFiles.given(options.picks)
    with frame.work(
        "merge",
        options.out,
        inputs=options.picks,
        parameters={**parameters(options, "out", "preset"), "distance": distances},
        text_inputs=files.texts,
    ) as work:
        if work.finished:
            return
        from slabkit.formats.tables.native import PickList, write_picks
        from slabkit.merging import merge_picks, merge_tomograms

        lists = files.read()
        tomograms = merge_tomograms([one.tomograms for one in lists])
        merged, counts = merge_picks(
            [one.picks for one in lists],
            distances,
            between=options.between,
            position=options.position,
            weights=options.weights,
            names=options.picks,
        )
        _warn_of_species(lists, set(options.distance) - {""})
        kinds = sorted({kind for one in lists for kind in one.picks["slabkitScoreKind"]})
        if len(kinds) > 1:
            work.note(
                f"scores of several kinds ({', '.join(kind or 'unnamed' for kind in kinds)}) are "
                "not compared: the earlier list's stay."
            )
        write_picks(options.out, PickList(merged, tomograms))
        rows = zip(options.picks, counts.given, counts.kept, strict=True)
        said = f"{counts.merged} merged, {counts.duplicates} the same twice"
        work.table(
            f"{counts.picks} of {sum(counts.given)} picks; {said}", ("list", "picks", "kept"), rows
        )
        work.summary.update(
            given=sum(counts.given),
            duplicates=counts.duplicates,
            merged=counts.merged,
            in_several_lists=counts.shared,
            picks=counts.picks,
        )


def _warn_of_species(lists: list[PickList], named: set[str]) -> None:
    there = {name for one in lists for name in one.picks["slabkitSpecies"]}
    for name in sorted(named - there):
        warn(f"--distance {name}: no pick is of that species.")
    nameless = sum(int((one.picks["slabkitSpecies"] == "").sum()) for one in lists)
    if nameless and there != {""}:
        warn(
            f"{nameless} picks have no species, and are merged with each other only, not with "
            "those that have one; `slabkit convert --species` gives them one."
        )
