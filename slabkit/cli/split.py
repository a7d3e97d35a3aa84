"""``slabkit split truth.star -o split.star --fractions train=0.8,val=0.1,test=0.1``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slabkit.cli.options import common
from slabkit.errors import InputError

if TYPE_CHECKING:
    from slabkit.formats.tables.native import PickList
    from slabkit.splitting import Split


def split(
    picks: Annotated[
        list[str],
        typer.Argument(
            metavar="PICKS...",
            help="Pick lists in any format; - for standard input.",
            show_default=False,
        ),
    ],
    out: common.OutTable,
    fractions: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=SHARE|N,...",
            help="Subsets, as train=0.8,val=0.1,test=0.1. Whole numbers are numbers of tomograms, "
            "shares (0.25 or 25%) are of the others.",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="czii",
            help="The challenge's subsets: train=7,public=25%,private=75%.",
            show_default=False,
        ),
    ] = None,
    bins: Annotated[
        int, typer.Option(min=1, metavar="N", help="Groups of similar tomograms, at most.")
    ] = 16,
    draws: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Random samples, of which the most balanced is taken; 1: as it comes.",
        ),
    ] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of the random samples.")] = 0,
    lists: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Also write the picks of each subset there: train.star and so on.",
            show_default=False,
        ),
    ] = None,
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Share tomograms out to subsets, to train and test with, that have all species alike.

    Tomograms are grouped by the similarity of their species (two-sample Kolmogorov-Smirnov
    statistic) and sampled at random from the groups. TABLE gets the blocks split (the subset of
    each tomogram), subsets (picks by species), bins, and tests: how alike the subsets are.
    Rejected picks do not count; tomograms without picks are shared out too.
    """
    from slabkit.cli.read_many import read_pooled
    from slabkit.formats.source import Source
    from slabkit.formats.tables.paths import check_given_once
    from slabkit.splitting import PRESETS, parse_subsets

    # `--fractions train=0.8 val=0.2`: what follows the first lands among the pick lists.
    more = [name for name in picks if "=" in name and not Path(name).exists()]
    sources = [name for name in picks if name not in more]
    texts = [*(fractions or []), *more]
    if preset is not None and (texts or preset not in PRESETS):
        raise InputError(
            f"--preset must be {' or '.join(PRESETS)}, not {preset!r}."
            if preset not in PRESETS
            else "give --preset or --fractions, not both."
        )
    if not texts and preset is None:
        raise InputError("give --fractions train=0.8,val=0.1,test=0.1, say, or --preset czii.")
    if not sources:
        raise InputError("no pick list is given.")
    check_given_once(sources, "pick list")
    subsets = PRESETS[preset] if preset else parse_subsets(texts)
    piped = Source.load("-") if "-" in sources else None
    with common.Step(
        "split",
        out,
        inputs=sources,
        parameters={
            "picks": sources,
            "subsets": subsets,
            "bins": bins,
            "draws": draws,
            "seed": seed,
            "lists": lists,
        },
        overwrite=overwrite,
        quiet=quiet,
        json_=json_,
        text_inputs={} if piped is None else {"-": piped.text},
    ) as step:
        if step.finished:
            return
        from slabkit.formats.tables.splits import write_split
        from slabkit.splitting import split_tomograms

        pooled = read_pooled(
            [piped if piped and name == "-" else name for name in sources], sources
        )
        result = split_tomograms(
            pooled.picks,
            subsets,
            tomograms=pooled.tomograms["slabkitTomogram"],
            bins=bins,
            draws=draws,
            seed=seed,
        )
        if lists is not None:
            _write_lists(step, Path(lists), result, pooled)
        write_split(out, result.tomograms, result.subsets, result.bins, result.tests)
        _report(step, result)


def _write_lists(step: common.Step, folder: Path, result: Split, pooled: PickList) -> None:
    from slabkit.formats.tables.native import PickList, write_picks

    subset = dict(
        zip(result.tomograms["slabkitTomogram"], result.tomograms["slabkitSubset"], strict=True)
    )
    names = list(dict.fromkeys(result.subsets["slabkitSubset"]))
    paths = {name: folder / f"{name}.star" for name in names}
    step.check_free(paths.values())
    for name, path in paths.items():
        picks, tomograms = (
            table[(table["slabkitTomogram"].map(subset) == name).to_numpy(dtype=bool)]
            for table in (pooled.picks, pooled.tomograms)
        )
        write_picks(path, PickList(picks, tomograms))
        step.outputs.append(path)


def _report(step: common.Step, result: Split) -> None:
    wide = result.subsets.pivot(
        index="slabkitSubset", columns="slabkitSpecies", values="slabkitPicks"
    )
    order = list(dict.fromkeys(result.subsets["slabkitSubset"]))
    species = [name for name in dict.fromkeys(result.subsets["slabkitSpecies"]) if name != "all"]
    counts = result.tomograms["slabkitSubset"].value_counts()
    step.table(
        "",
        ("subset", "tomograms", "picks", *(name or "(no species)" for name in species)),
        [
            (name, int(counts[name]), *(int(wide.loc[name, what]) for what in ("all", *species)))
            for name in order
        ],
    )
    tests = result.tests
    if len(tests):
        step.table(
            "",
            ("Kolmogorov-Smirnov test", "species", "statistic", "p"),
            [
                (f"{one} : {two}", what or "(none)", statistic, p_value)
                for one, two, what, statistic, p_value in tests.itertuples(index=False)
            ],
        )
    step.summary.update(
        tomograms=len(result.tomograms),
        bins=len(result.bins),
        **{name: int(counts[name]) for name in order},
    )
    if len(tests):
        step.summary["smallest_p"] = float(tests["slabkitP"].min())
    step.summary["tests"] = [
        {str(key).removeprefix("slabkit").lower(): value for key, value in row.items()}
        for row in tests.astype(object).to_dict("records")
    ]
