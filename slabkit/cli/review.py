"""``slabkit review minislabs/minislabs.star --picks picks.star``: decide in the browser."""

from __future__ import annotations

from slabkit.cli.options import common
from slabkit.cli.options.declare import argument, option
from slabkit.cli.running import command
from slabkit.review.command import Options, run


def _names(text: str, flag: str) -> tuple[str, ...]:
    from slabkit.steps.shared.names import species_name

    return tuple(species_name(name.strip(), flag) for name in text.split(",") if name.strip())


review = command(
    run,
    Options,
    """Serves a page to browsers on this machine: the link is printed, and works for whoever has it.
    Every decision is kept in the log (-o) before the page shows it as saved; slabkit label
    makes labels of it. Ctrl-C ends the server, and the same command goes on where it ended.

    From another machine, through SSH: ssh -t -L 8765:127.0.0.1:8765 HOST, and --port 8765.
    """,
    minislabs=argument("minislabs.star.", "MINISLABS"),
    picks=option("The pick list: scores, places, tomograms.", "PICKS"),
    classified=option("Classes of the minislabs: classified.star of slabkit classify.", "STAR"),
    model=option(
        "A model of slabkit learn: it orders the minislabs, and is trained again on what people "
        "decide.",
        "DIR",
    ),
    species=option(
        "Names for the keys 1 to 9; default: those in the pick list.",
        "NAME,...",
        kind=str,
        parse=_names,
    ),
    order=option("What is shown first; suggest: what a label is worth most for.", None),
    out=option("The log of decisions.", "reviews.sqlite", flags="--out -o"),
    reviewer=option(
        "A name for the log; several make a team, each with a link that stays.", "NAME"
    ),
    round_name=option("Round of labelling, recorded.", "NAME", flags="--round"),
    overlap=option("Of a team: share of the picks that two people see, blindly.", "F"),
    batch=option("Of a team: picks leased to one person at a time.", "N", min=1),
    beta=option("Of the order: recall counts this many times as much as precision."),
    host=option("Address to listen on; others reach the page if it is not 127.0.0.1.", "HOST"),
    port=option("Port; 0: the log's own, or one that is free.", "N", min=0, max=65535),
    browser=option("Open the page in the browser.", flags="--browser/--no-browser"),
    page=option("Write one page that needs no server, and stop.", "PAGE.html"),
    overwrite=common.OVERWRITE,
)
