"""``slabkit merge PICKS... -o PICKS --distance 100``: pool pick lists and remove duplicates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from slabkit.cli import shared
from slabkit.errors import InputError

if TYPE_CHECKING:
    from slabkit.formats.tables import PickList


def merge(
    picks: Annotated[
        list[str],
        typer.Argument(help="Pick lists; - for standard input.", show_default=False),
    ],
    out: shared.OutTable,
    distance: Annotated[
        list[str],
        typer.Option(
            metavar="Å|SPECIES=Å",
            help="Picks of one species closer than this are the same; one number for all, or by "
            "species. May be repeated.",
            show_default=False,
        ),
    ],
    overwrite: shared.Overwrite = False,
    quiet: shared.Quiet = False,
    json_: shared.Json = False,
) -> None:
    """Pool pick lists and keep one of the picks that are the same particle.

    An accepted pick stays before an undecided before a rejected one, then the best score. Scores
    of different kinds are never compared: the kind of the earlier list stays. Only picks of one
    species are merged.
    """
    distances = parse_distances(distance)
    from slabkit.formats.paths import check_given_once
    from slabkit.formats.pick_source import Source

    check_given_once(picks, "pick list")

    piped = Source.load("-") if "-" in picks else None
    with shared.Step(
        "merge",
        out,
        inputs=picks,
        parameters={"picks": picks, "distance": distances},
        overwrite=overwrite,
        quiet=quiet,
        json_=json_,
        text_inputs={} if piped is None else {"-": piped.text},
    ) as work:
        if not work.finished:
            _merge(
                work, [piped if piped and path == "-" else path for path in picks], out, distances
            )


def parse_distances(values: list[str]) -> dict[str, float]:
    """Read ``--distance``: numbers and NAME=NUMBER, the number alone under the empty name."""
    plain = [value for value in values if "=" not in value]
    try:
        numbers = [float(value) for value in plain]
    except ValueError:
        raise InputError(f"--distance takes Å or SPECIES=Å, not {', '.join(plain)!r}.") from None
    if len(numbers) > 1:
        raise InputError("--distance takes one number for all species; others need SPECIES=Å.")
    pairs = shared.parse_pairs([value for value in values if "=" in value], "--distance")
    return {**pairs, **({"": numbers[0]} if numbers else {})}


def _merge(work: shared.Step, sources: list[Any], out: str, distances: dict[str, float]) -> None:
    import warnings

    from slabkit.errors import SlabkitWarning
    from slabkit.formats.paths import with_paths_from_here
    from slabkit.formats.picks import read_picks
    from slabkit.formats.tables import PickList, write_picks
    from slabkit.merging import merge_picks, merge_tomograms

    lists: list[PickList] = [read_picks(source, check_bounds=False) for source in sources]
    for one, source in zip(lists, sources, strict=True):
        with_paths_from_here(one.tomograms, getattr(source, "where", source))
    tomograms = merge_tomograms([one.tomograms for one in lists])
    merged, counts = merge_picks([one.picks for one in lists], distances)
    there = {name for one in lists for name in one.picks["slabkitSpecies"]}
    for name in sorted(set(distances) - there - {""}):
        warnings.warn(
            f"--distance {name}: no pick is of that species.", SlabkitWarning, stacklevel=2
        )
    kinds = sorted({kind for one in lists for kind in one.picks["slabkitScoreKind"]})
    if len(kinds) > 1:
        named = ", ".join(kind or "unnamed" for kind in kinds)
        work.note(f"scores of several kinds ({named}) are not compared: the earlier list's stay.")
    write_picks(out, PickList(merged, tomograms))
    names = [getattr(source, "where", source) for source in sources]
    rows = [*zip(names, counts.given, counts.kept, strict=True)]
    work.table("", ("list", "picks", "kept"), rows)
    work.summary.update(
        given=sum(counts.given),
        duplicates=counts.duplicates,
        merged=counts.merged,
        picks=counts.picks,
    )
