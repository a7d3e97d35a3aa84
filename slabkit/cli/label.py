"""``slabkit label good.csv --minislabs minislabs/minislabs.star -o labels.star``: labels."""

from __future__ import annotations

from slabkit.cli.options import common
from slabkit.cli.options.declare import argument, option
from slabkit.cli.running import command
from slabkit.errors import InputError
from slabkit.steps.classify import GOOD_QUALITY
from slabkit.steps.label import GOOD_PICK, Options, run
from slabkit.steps.shared.names import species_name


def _joined(lists: list[str], flag: str) -> str:
    """Read several lists as one, in which no class joins the species of another list."""
    for text in lists[1:]:
        if "=" in lists[0] and "=" not in text.partition(",")[0]:
            raise InputError(f"{flag} {text}: says no species, and {flag} {lists[0]} does.")
    return ",".join(lists)


label = command(
    run,
    Options,
    """Rows are joined by pick id, else by image name and number, else by the gallery's tile, never
    by their order. Several results are read as one; label them apart to have each vote in curate.

    A CSV file has the columns pick_id, decision[, class, score] or gallery, row, column, decision
    (rows and columns from 0).

    A particle STAR of RELION is a selection from minislabs.star: listed is accepted, missing is
    rejected.

    Of CryoSPARC, give the .csg of an output, or its .cs and the passthrough .cs with it: listed is
    accepted; excluded particles, if given too, are rejected. Classes count from 0 there.

    classified.star of slabkit classify takes --classes 1,3-5, or --auto; without them it stops,
    because it lists all images.

    Results are tied to the set of galleries that their names say; those of another set are refused.

    A Topaz table has image_name, x_coord, y_coord, score on galleries: the nearest tile is
    accepted; a tile without a hit gets no decision.

    The log of slabkit review (reviews.sqlite) gives what each reviewer says of each pick, with
    author, round and time.
    """,
    results=argument(
        "CSV, particle STAR of RELION, classified.star, table of Topaz, or .cs and .csg of "
        "CryoSPARC.",
        "RESULT...",
    ),
    minislabs=option("The minislabs' table.", "TABLE"),
    out=common.OUT_TABLE,
    classes=option(
        "Classes to accept, as 1,3-5, with their species, as ribosome=1-2,apo-ferritin=4, or "
        "all; the other classes are rejected. May be repeated.",
        "LIST",
        kind=list[str],
        parse=_joined,
    ),
    choice=option("The classes that slabkit workflow choose kept in a file.", "FILE"),
    threshold=option("Accept scores of S and more, reject those below.", "S"),
    min_probability=option(
        "What would be accepted gets no decision if its probability is below P: that of its class "
        "(rlnMaxValueProbDistribution), or of its species in a prediction.",
        "P",
    ),
    auto=option(
        "Accept the classes of slabkit classify whose quality is --quality or more, as "
        "classes.star beside the result says. This is a rule, not a judgement: look at "
        "classes.png."
    ),
    quality=option(
        f"With --auto: least quality, from 0 to 1 (default: {GOOD_QUALITY:g}); with --picks, least "
        f"probability of being a particle (default: {GOOD_PICK:g}).",
        "Q",
    ),
    species_from_classes=option(
        "Species of what is accepted: the name of its class in classes.star (slabkit name)."
    ),
    picks=option(
        "With --auto: the list that the minislabs are of, whose scores count beside the quality of "
        "the classes. Of pick blob or pick template.",
        "PICKS",
    ),
    unlisted=option(
        "What a minislab is that the result does not list. Default: rejected for a selection "
        "from our table or stacks (without --classes or --threshold), else undecided."
    ),
    views=option(
        "Tilted views of one pick: accept it if more views are accepted than rejected, if any "
        "is, or if all are."
    ),
    species=option("Species of what is accepted.", "NAME", parse=species_name),
    y_axis=option(
        "How y counts in coordinates: down from the first row of the file, or up from the last. "
        "Default: down, checked against the empty tiles of the galleries."
    ),
    tolerance=option("How far from a tile's centre a hit may be, in tile sides.", "F"),
    round_name=option("Round of labelling, recorded: class2d, say.", "NAME", flags="--round"),
    author=option("The person who decided, recorded.", "NAME"),
    source=option("What the verdicts come from, recorded; default: the file's name.", "NAME"),
    additions=option(
        "Of the log of slabkit review: write the picks that people added or moved here.", "PICKS"
    ),
    **common.FRAME,
)
