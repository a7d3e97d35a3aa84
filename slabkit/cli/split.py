"""``slabkit split truth.star -o split.star --fractions train=0.8,val=0.1,test=0.1``."""

from __future__ import annotations

from pathlib import Path

from slabkit.cli.options import common
from slabkit.cli.options.declare import argument, option
from slabkit.cli.running import command
from slabkit.errors import InputError
from slabkit.steps.split import Options, run


def _options(
    picks: tuple[str, ...],
    out: str,
    fractions: tuple[str, ...] = (),
    preset: str | None = None,
    bins: int = Options.bins,
    draws: int = Options.draws,
    seed: int = Options.seed,
    lists: str | None = None,
) -> Options:
    from slabkit.splitting import PRESETS, parse_subsets

    # `--fractions train=0.8 val=0.2`: what follows the first lands among the pick lists.
    more = [name for name in picks if "=" in name and not Path(name).exists()]
    sources = tuple(name for name in picks if name not in more)
    texts = [*fractions, *more]
    if preset is not None and preset not in PRESETS:
        raise InputError(f"--preset must be {' or '.join(PRESETS)}, not {preset!r}.")
    if preset is not None and texts:
        raise InputError("give --preset or --fractions, not both.")
    if preset is None and not texts:
        raise InputError("give --fractions train=0.8,val=0.1,test=0.1, say, or --preset czii.")
    if not sources:
        raise InputError("no pick list is given.")
    subsets = PRESETS[preset] if preset else parse_subsets(texts)
    return Options(sources, out, subsets, bins, draws, seed, lists)


split = command(
    run,
    _options,
    """Tomograms are grouped by the similarity of their species (two-sample Kolmogorov-Smirnov
    statistic) and sampled at random from the groups. TABLE gets the blocks split (the subset of
    each tomogram), subsets (picks by species), bins, and tests: how alike the subsets are.
    Rejected picks do not count; tomograms without picks are shared out too.
    """,
    picks=argument("Pick lists in any format; - for standard input.", "PICKS..."),
    out=common.OUT_TABLE,
    fractions=option(
        "Subsets, as train=0.8,val=0.1,test=0.1. Whole numbers are numbers of tomograms, shares "
        "(0.25 or 25%) are of the others.",
        "NAME=SHARE|N,...",
    ),
    preset=option("The challenge's subsets: train=7,public=25%,private=75%.", "czii"),
    bins=option("Groups of similar tomograms, at most.", "N", min=1),
    draws=option(
        "Random samples, of which the most balanced is taken; 1: as it comes.", "N", min=1
    ),
    seed=option("Of the random samples.", min=0),
    lists=option("Also write the picks of each subset there: train.star and so on.", "DIR"),
    **common.FRAME,
)
