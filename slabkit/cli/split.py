"""``slabkit split truth.star -o split.star --fractions train=0.8,val=0.1,test=0.1``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slabkit.cli.options import common
from slabkit.cli.running import execute
from slabkit.errors import InputError
from slabkit.steps.split import Options, run


def split(
    picks: Annotated[
        list[str],
        typer.Argument(metavar="PICKS...", help="Pick lists in any format; - for standard input."),
    ],
    out: common.OutTable,
    fractions: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=SHARE|N,...",
            help="Subsets, as train=0.8,val=0.1,test=0.1. Whole numbers are numbers of tomograms, "
            "shares (0.25 or 25%) are of the others.",
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="czii", help="The challenge's subsets: train=7,public=25%,private=75%."
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
            metavar="DIR", help="Also write the picks of each subset there: train.star and so on."
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
    from slabkit.splitting import PRESETS, parse_subsets

    # `--fractions train=0.8 val=0.2`: what follows the first lands among the pick lists.
    more = [name for name in picks if "=" in name and not Path(name).exists()]
    sources = tuple(name for name in picks if name not in more)
    texts = [*(fractions or []), *more]
    if preset is not None and preset not in PRESETS:
        raise InputError(f"--preset must be {' or '.join(PRESETS)}, not {preset!r}.")
    if preset is not None and texts:
        raise InputError("give --preset or --fractions, not both.")
    if preset is None and not texts:
        raise InputError("give --fractions train=0.8,val=0.1,test=0.1, say, or --preset czii.")
    if not sources:
        raise InputError("no pick list is given.")
    subsets = PRESETS[preset] if preset else parse_subsets(texts)
    options = Options(sources, out, subsets, bins, draws, seed, lists)
    execute(run, options, overwrite=overwrite, quiet=quiet, json_=json_)
