"""Pick lists to one, in which each particle has one pick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from slabkit.errors import InputError, warn
from slabkit.execution.frame import Frame, Work, parameters
from slabkit.steps.shared.many_lists import are_large

if TYPE_CHECKING:
    from slabkit.merging import MergeCounts
    from slabkit.steps.shared.pick_lists import PickFiles

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
        if options.position == "best" and are_large(options.picks):
            _merge_many(work, files, distances, options)
        else:
            _merge_at_once(work, files, distances, options)


def _merge_at_once(
    work: Work, files: PickFiles, distances: Mapping[str, float], options: Options
) -> None:
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
    species = {name for one in lists for name in one.picks["slabkitSpecies"]}
    nameless = sum(int((one.picks["slabkitSpecies"] == "").sum()) for one in lists)
    kinds = {kind for one in lists for kind in one.picks["slabkitScoreKind"]}
    _say(work, species, nameless, kinds, options)
    write_picks(options.out, PickList(merged, tomograms))
    _report(work, counts, options)


def _merge_many(
    work: Work, files: PickFiles, distances: Mapping[str, float], options: Options
) -> None:
    """Merge lists tomogram by tomogram, so that memory does not grow with their number."""
    from slabkit.formats.tables.atomic import write_pieces
    from slabkit.merging import merge_tomograms
    from slabkit.steps.shared.many_lists import Spool, merge_apart, survey

    numbers = range(len(files.paths))
    found = survey(files.read_one, work.track(numbers, len(numbers), "lists"), empty_too=True)
    if not found.apart:
        _merge_at_once(work, files, distances, options)
        return
    tomograms = merge_tomograms(found.tomograms)
    for any_merged in (True, False):  # if so, there are columns that say of how many
        spool = Spool(None if options.out == "-" else Path(options.out).parent)
        counts = merge_apart(
            files.read_one, options.picks, found, distances, options.between, spool, any_merged
        )
        if counts.merged + counts.duplicates:
            break
    _say(work, set(found.species), found.species[""], set(found.kinds), options)
    write_pieces(options.out, spool.pick_list(tomograms))
    _report(work, counts, options)


def _say(work: Work, species: set[str], nameless: int, kinds: set[str], options: Options) -> None:
    for name in sorted(set(options.distance) - {""} - species):
        warn(f"--distance {name}: no pick is of that species.")
    if nameless and species != {""}:
        warn(
            f"{nameless} picks have no species, and are merged with each other only, not with "
            "those that have one; `slabkit convert --species` gives them one."
        )
    if len(kinds) > 1:
        named = ", ".join(kind or "unnamed" for kind in sorted(kinds))
        work.note(f"scores of several kinds ({named}) are not compared: the earlier list's stay.")


def _report(work: Work, counts: MergeCounts, options: Options) -> None:
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
