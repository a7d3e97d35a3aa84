"""Results on minislabs to labels: what other programs, classes or people decided."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from slabkit.errors import InputError
from slabkit.execution.frame import Frame, Work, parameters
from slabkit.steps.classify import GOOD_QUALITY
from slabkit.steps.shared.choice import read_choice
from slabkit.steps.shared.names import warn_of_spellings

GOOD_PICK = 0.08
"""Picks that are particles with this probability and more are accepted by ``--auto --picks``."""

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.labels import LabelReport
    from slabkit.labels.deciding import ScoreFamily

# Options that the record names only where they count.
_RECENT = ("species_from_classes", "min_probability")
_NOT_ALWAYS = ("choice", "auto", "quality", "picks", *_RECENT)

_ROWS = (
    ("rows in the result", "rows"),
    ("  matched to a minislab", "matched"),
    ("  unmatched", "unmatched"),
    ("  too far from a tile's centre", "off_centre"),
    ("  on empty tiles, ignored", "filler"),
    ("minislabs", "minislabs"),
    ("  hit more than once, best score kept", "doubly_hit"),
    ("  not listed", "unlisted"),
    ("picks", "picks"),
    ("  accepted", "accepted"),
    ("  rejected", "rejected"),
    ("  no decision", "undecided"),
    ("    of these with views that balance", "tied"),
    ("  with a place (curate --recentre)", "placed"),
)


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit label``; see also `slabkit.label_minislabs`."""

    results: tuple[str, ...]
    minislabs: str
    out: str
    classes: str | None = None
    choice: str | None = None  # file of `slabkit workflow choose`, instead of `classes`
    threshold: float | None = None
    min_probability: float | None = None
    auto: bool = False
    quality: float | None = None
    species_from_classes: bool = False
    picks: str | None = None  # whose scores count beside the quality of the classes
    unlisted: Literal["rejected", "undecided"] | None = None  # None: by the kind of result
    views: Literal["majority", "any", "all"] = "majority"
    y_axis: Literal["up", "down"] | None = None
    tolerance: float = 0.3
    species: str = ""
    source: str | None = None
    round_name: str = ""
    author: str = ""
    additions: str | None = None  # of a log of `slabkit review`: picks that were added or moved


def run(options: Options, frame: Frame) -> None:
    """Join the result to the minislabs and write the labels."""
    from slabkit.arrays.tiling import GalleryLayout
    from slabkit.formats.programs.shared.values import check_names
    from slabkit.formats.results import read_results
    from slabkit.formats.review_log import is_review_log
    from slabkit.formats.tables.native import read_minislabs, write_labels
    from slabkit.labels import label_minislabs

    if any(is_review_log(name) for name in options.results):
        from slabkit.steps.shared.review_labels import label_reviews

        label_reviews(options, frame)
        return
    if options.additions is not None:
        raise InputError("--additions is for the log of slabkit review, reviews.sqlite.")
    if options.choice is not None:
        if options.classes is not None or len(options.results) != 1:
            raise InputError("--choice has the classes of one result; leave --classes out.")
        chosen = read_choice(options.choice, options.results[0])
        options = replace(options, classes=chosen)
    if options.quality is not None and not options.auto:
        raise InputError("--quality is for --auto; give both, or choose by --classes.")
    if options.picks is not None and not options.auto:
        raise InputError("--picks is for --auto; give both, or leave it out.")
    if options.picks == "-":
        raise InputError("--picks takes a file, not standard input (-).")
    if options.species_from_classes and options.species:
        raise InputError("--species names what is accepted; leave --species-from-classes out.")
    if options.species_from_classes and "=" in (options.classes or ""):
        raise InputError("--classes names the species already; leave --species-from-classes out.")
    usual = GOOD_QUALITY if options.picks is None else GOOD_PICK
    least = usual if options.quality is None else options.quality
    given = [*options.results, options.minislabs, *([options.picks] if options.picks else [])]
    if given.count("-") > 1:
        raise InputError("only one table can come from standard input (-).")
    table, geometry = read_minislabs(options.minislabs)
    layout = GalleryLayout.from_table(geometry.iloc[0].to_dict(), options.minislabs)
    read = read_results(options.results, table, layout, options.y_axis)
    decided = read.table
    qualities: list[str] = []
    by_value = options.classes is not None or options.threshold is not None
    if options.auto:
        if by_value:
            raise InputError("--auto decides by itself; leave --classes and --threshold out.")
        decided, qualities = _by_quality(options, decided, table, least)
    elif not by_value:
        _refuse_classified(options.results)
    if options.species_from_classes:
        decided, classes = _with_species(options.results, decided)
        qualities = qualities or [classes]
    unlisted = options.unlisted or read.unlisted(by_value=options.auto or by_value)
    text_inputs = {}
    if "-" in given:
        text_inputs["-"] = (read.table if "-" in options.results else table).to_csv()
    with frame.work(
        "label",
        options.out,
        inputs=[*given, *read.files, *qualities],
        parameters={
            **parameters(options, *_NOT_ALWAYS, "results", "minislabs", "out"),
            "unlisted": unlisted,
            **({"quality": least} if options.auto else {}),
            **{name: value for name in _RECENT if (value := getattr(options, name))},
        },
        text_inputs=text_inputs,
    ) as work:
        if work.finished:
            return
        labels, report = label_minislabs(
            decided,
            table,
            layout,
            classes=options.classes,
            threshold=options.threshold,
            min_probability=options.min_probability,
            unlisted=unlisted,
            views=options.views,
            y_axis=options.y_axis,
            tolerance=options.tolerance,
            species=options.species,
            source=options.source,
            round_name=options.round_name,
            author=options.author,
        )
        check_names(labels["slabkitSpecies"].unique(), "species", options.results[0], empty=True)
        warn_of_spellings(labels["slabkitSpecies"], options.results[0])
        write_labels(options.out, labels)
        _report(work, report)


def _refuse_classified(results: tuple[str, ...]) -> None:
    """Refuse a classification as `slabkit classify` wrote it, of which nothing is chosen."""
    from slabkit.execution.records import describe_input, load_record

    for name in results:
        record = None if name == "-" else load_record(name)
        if record is None or record.step != "classify" or not record.result:
            continue
        if describe_input(name)["hash"] == record.result["hash"]:
            raise InputError(
                f"{name}: is a whole classification and no selection; give --classes, --threshold "
                "or --auto (--classes all accepts everything)."
            )


def _by_quality(
    options: Options, read: pd.DataFrame, minislabs: pd.DataFrame, least: float
) -> tuple[pd.DataFrame, list[str]]:
    """Decide by the quality of the classes, and scores; gives the file of the qualities too."""
    from slabkit.classification.repeats import UNSTABLE
    from slabkit.formats.tables.classification import read_class_table, read_classes
    from slabkit.labels import decide_by_quality

    table = _class_table(options.results, "--auto", "quality")
    quality = read_classes(table)
    rows = read_class_table(table)
    if "slabkitRepeatShare" in rows.columns:
        unstable = rows["slabkitRepeatShare"].astype(float) < UNSTABLE
        quality |= dict.fromkeys(rows.loc[unstable, "rlnClassNumber"], -1.0)  # whatever is asked
    _check_one_classification(read, rows, table)
    if options.picks is None:
        return decide_by_quality(read, quality, least), [str(table)]
    if "slabkitPickId" not in read.columns:
        raise InputError(f"{options.picks}: the result names no pick by its id; leave --picks out.")
    scores, kind = _scores(options.picks, minislabs)
    return decide_by_quality(read, quality, least, scores, kind), [str(table)]


def _with_species(results: tuple[str, ...], read: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Give each row the species of its class; and the file that says it."""
    from slabkit.formats.tables.classification import read_class_names, read_class_table

    table = _class_table(results, "--species-from-classes", "names")
    species = read_class_names(table)
    if "slabkitClass" not in read.columns:
        raise InputError("--species-from-classes is given, but the result has no classes.")
    _check_one_classification(read, read_class_table(table), table)
    return read.assign(slabkitSpecies=read["slabkitClass"].map(species).fillna("")), str(table)


def _check_one_classification(read: pd.DataFrame, classes: pd.DataFrame, table: Path) -> None:
    """Refuse a result that lists more images of a class than the table of classes counts."""
    if "slabkitClassSize" not in classes.columns or "slabkitClass" not in read.columns:
        return
    sizes = classes.set_index("rlnClassNumber")["slabkitClassSize"].astype(int)
    for name, count in read["slabkitClass"].value_counts(sort=False).items():
        if count > sizes.get(str(name), count):
            raise InputError(
                f"{table}: says that class {name} has {sizes[str(name)]} images, and the result "
                f"lists {count}; they are not of one classification."
            )


def _class_table(results: tuple[str, ...], option: str, what: str) -> Path:
    """Give the table of classes beside a result."""
    if len(results) != 1 or results[0] == "-":
        raise InputError(f"{option} needs one result, the classified.star of slabkit classify.")
    table = Path(results[0]).with_name("classes.star")
    if not table.is_file():
        raise InputError(
            f"{table}: is not there, and {option} reads the {what} of the classes in it; slabkit "
            "classify writes it next to classified.star."
        )
    return table


def _scores(source: str, minislabs: pd.DataFrame) -> tuple[dict[str, float], ScoreFamily]:
    """Give the score of each pick of a list, and of what kind they are."""
    from slabkit.formats.tables.native import read_native_picks
    from slabkit.labels import score_family

    picks = read_native_picks(source).picks
    kinds = sorted(set(picks["slabkitScoreKind"]))
    family = score_family(kinds)
    if kinds and family is None:
        other = [kind for kind in kinds if score_family([kind]) is None]
        what = f"of the kind {other[0]!r}" if other else "of several pickers"
        raise InputError(
            f"{source}: its scores are {what} and not all of one kind, as those of pick blob or of "
            "pick template, with or without --refine; leave --picks out."
        )
    missing = ~minislabs["slabkitPickId"].isin(picks["slabkitPickId"])
    if missing.any():
        raise InputError(
            f"{source}: {int(missing.sum())} of {len(minislabs)} minislabs are of picks that it "
            "does not have; give the list that the minislabs were made of."
        )
    scores = dict(zip(picks["slabkitPickId"], picks["slabkitScore"].tolist(), strict=True))
    return scores, family or "blob"


def _report(work: Work, report: LabelReport) -> None:
    values = asdict(report)
    counts = values.pop("by_probability")
    improbable = values.pop("improbable")
    upwards = f", y counted {report.y_axis}wards" if report.y_axis else ""
    work.table(
        "",
        (f"joined by {report.joined_by}{upwards}", "count"),
        [(text, values[name]) for text, name in _ROWS],
    )
    if counts:
        least = f"{improbable} less probable than --min-probability, so without a decision"
        work.table(
            f"rows accepted; {least}",
            ("probability", "with it and more"),
            [(f"{p:g}", count) for p, count in counts],
        )
        values |= {"improbable": improbable, "accepted_by_probability": dict(counts)}
    work.summary.update(values)
