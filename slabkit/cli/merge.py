"""``slabkit merge PICKS... -o PICKS --distance 100``: pool pick lists and remove duplicates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from slabkit.cli.options import common
from slabkit.errors import InputError

if TYPE_CHECKING:
    from slabkit.formats.tables.native import PickList


def merge(
    picks: Annotated[
        list[str],
        typer.Argument(help="Pick lists; - for standard input.", show_default=False),
    ],
    out: common.OutTable,
    distance: Annotated[
        list[str] | None,
        typer.Option(
            metavar="Å|SPECIES=Å",
            help="Picks of one species closer than this are the same; one number for all, or by "
            "species. May be repeated.",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="czii",
            help="Distances of the challenge: thyroglobulin 185 Å, beta-galactosidase 125 Å; "
            "--distance adds others and wins.",
            show_default=False,
        ),
    ] = None,
    between: Annotated[
        str,
        typer.Option(
            metavar="one-to-one|groups",
            help="Of two lists: pair each pick with one of the other at most; or merge all that "
            "are close, as within one list.",
        ),
    ] = "one-to-one",
    position: Annotated[
        str,
        typer.Option(
            metavar="best|score|rank|source",
            help="Where merged picks go: where the best was, or to their mean weighted by score, "
            "by the rank of the score within its kind, or by --weights.",
        ),
    ] = "best",
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=W,...",
            help="With --position source: weights by picker (slabkitSource) or file; others 1.",
            show_default=False,
        ),
    ] = None,
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Pool pick lists and keep one of the picks that are the same particle.

    An accepted pick stays before an undecided before a rejected one, then the best score. Scores
    of different kinds are never compared: the kind of the earlier list stays. Only picks of one
    species are merged. The pick that stays records the others: slabkit history shows them.
    """
    distances = parse_distances(distance or [], preset)
    from slabkit.formats.source import Source
    from slabkit.formats.tables.paths import check_given_once

    check_given_once(picks, "pick list")

    piped = Source.load("-") if "-" in picks else None
    options: dict[str, Any] = {
        "between": between,
        "position": position,
        "weights": common.parse_pairs(weights or [], "--weights"),
    }
    with common.Step(
        "merge",
        out,
        inputs=picks,
        parameters={"picks": picks, "distance": distances, **options},
        overwrite=overwrite,
        quiet=quiet,
        json_=json_,
        text_inputs={} if piped is None else {"-": piped.text},
    ) as work:
        if not work.finished:
            sources = [piped if piped and path == "-" else path for path in picks]
            named = set(parse_distances(distance or [], None, needed=False)) - {""}
            _merge(work, sources, out, distances, named, options)


def parse_distances(
    values: list[str], preset: str | None = None, needed: bool = True
) -> dict[str, float]:
    """Read ``--distance``: numbers and NAME=NUMBER, the number alone under the empty name."""
    from slabkit.merging import PRESETS

    if preset is not None and preset not in PRESETS:
        raise InputError(f"--preset must be {' or '.join(PRESETS)}, not {preset!r}.")
    if needed and not values and preset is None:
        raise InputError("give --distance Å, --distance SPECIES=Å, or --preset czii.")
    plain = [value for value in values if "=" not in value]
    try:
        numbers = [float(value) for value in plain]
    except ValueError:
        raise InputError(f"--distance takes Å or SPECIES=Å, not {', '.join(plain)!r}.") from None
    if len(numbers) > 1:
        raise InputError("--distance takes one number for all species; others need SPECIES=Å.")
    pairs = common.parse_pairs([value for value in values if "=" in value], "--distance")
    for_all = {"": numbers[0]} if numbers else {}
    return {**(PRESETS[preset] if preset else {}), **pairs, **for_all}


def _merge(
    work: common.Step,
    sources: list[Any],
    out: str,
    distances: dict[str, float],
    named: set[str],
    options: dict[str, Any],
) -> None:
    import warnings

    from slabkit.errors import SlabkitWarning
    from slabkit.formats.picks.reading import read_picks
    from slabkit.formats.tables.native import PickList, write_picks
    from slabkit.formats.tables.paths import with_paths_from_here
    from slabkit.merging import merge_picks, merge_tomograms

    lists: list[PickList] = [read_picks(source, check_bounds=False) for source in sources]
    for one, source in zip(lists, sources, strict=True):
        with_paths_from_here(one.tomograms, getattr(source, "where", source))
    tomograms = merge_tomograms([one.tomograms for one in lists])
    names = [str(getattr(source, "where", source)) for source in sources]
    merged, counts = merge_picks([one.picks for one in lists], distances, names=names, **options)
    there = {name for one in lists for name in one.picks["slabkitSpecies"]}
    for name in sorted(named - there):
        warnings.warn(
            f"--distance {name}: no pick is of that species.", SlabkitWarning, stacklevel=2
        )
    nameless = sum(int((one.picks["slabkitSpecies"] == "").sum()) for one in lists)
    if nameless and there != {""}:
        warnings.warn(
            f"{nameless} picks have no species, and are merged with each other only, not with "
            "those that have one; `slabkit convert --species` gives them one.",
            SlabkitWarning,
            stacklevel=2,
        )
    kinds = sorted({kind for one in lists for kind in one.picks["slabkitScoreKind"]})
    if len(kinds) > 1:
        listed = ", ".join(kind or "unnamed" for kind in kinds)
        work.note(f"scores of several kinds ({listed}) are not compared: the earlier list's stay.")
    write_picks(out, PickList(merged, tomograms))
    rows = [*zip(names, counts.given, counts.kept, strict=True)]
    work.table("", ("list", "picks", "kept"), rows)
    work.summary.update(
        given=sum(counts.given),
        duplicates=counts.duplicates,
        merged=counts.merged,
        in_several_lists=counts.shared,
        picks=counts.picks,
    )
