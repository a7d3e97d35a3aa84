"""Labels of picks from a result: decide each row, join it to its minislab, combine the views."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from slabkit.arrays.tiling import GalleryLayout
from slabkit.errors import InputError, warn
from slabkit.labels.deciding import decide_rows, probabilities
from slabkit.labels.joining import (
    FILLER,
    OFF_CENTRE,
    UNMATCHED,
    Join,
    YAxis,
    join_results,
    place_of,
)
from slabkit.tables import (
    LABELS,
    MINISLABS,
    ROTATION,
    empty_table,
    make_table,
    persons_labels,
    validate_table,
)

if TYPE_CHECKING:
    import pandas as pd

Views = Literal["majority", "any", "all"]

_SHOWN = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)  # probabilities of which accepted rows are counted
_CENTRE = ("slabkitCentreX", "slabkitCentreY", "slabkitCentreZ")


@dataclass(frozen=True)
class LabelReport:
    """What became of each row of a result and of each pick.

    Parameters
    ----------
    rows : int
        Rows of the result: matched + unmatched + off_centre + filler.
    matched, unmatched : int
        Rows that do and do not belong to a minislab.
    off_centre : int
        Rows too far from the centre of any tile.
    filler : int
        Rows on empty tiles of a gallery; ignored.
    doubly_hit : int
        Minislabs that more than one row belongs to; the best score is kept.
    unmatched_examples : tuple of str
        The first few unmatched and off-centre rows.
    joined_by : str
        See `slabkit.labels.Join`.
    y_axis : {"down", "up"} or None
        How y was read, where coordinates decided.
    minislabs, unlisted : int
        Minislabs in all, and those that no row belongs to.
    picks : int
        Picks in the minislab table: accepted + rejected + undecided.
    accepted, rejected : int
        Picks so labelled.
    undecided : int
        Picks without a decision: not listed, listed without one, or views that tie.
    tied : int
        Picks whose views say both, equally often.
    placed : int
        Picks of which the result says where in the tomogram they are.
    improbable : int
        Rows that were accepted but for their probability.
    by_probability : tuple of (float, int)
        Accepted rows of each of some probabilities and more; none without ``min_probability``.
    """

    rows: int
    matched: int
    unmatched: int
    off_centre: int
    filler: int
    doubly_hit: int
    unmatched_examples: tuple[str, ...]
    joined_by: str
    y_axis: YAxis | None
    minislabs: int
    unlisted: int
    picks: int
    accepted: int
    rejected: int
    undecided: int
    tied: int
    placed: int = 0
    improbable: int = 0
    by_probability: tuple[tuple[float, int], ...] = ()


def label_minislabs(
    results: pd.DataFrame,
    minislabs: pd.DataFrame,
    layout: GalleryLayout,
    *,
    classes: str | None = None,
    threshold: float | None = None,
    min_probability: float | None = None,
    unlisted: Literal["undecided", "rejected"] = "undecided",
    views: Views = "majority",
    y_axis: YAxis | None = None,
    tolerance: float = 0.3,
    species: str = "",
    source: str | None = None,
    round_name: str = "",
    author: str = "",
) -> tuple[pd.DataFrame, LabelReport]:
    """Turn a result on minislabs or galleries into labels of picks.

    Parameters
    ----------
    results : DataFrame
        One row a minislab, in any order. Which one it means is said by
        ``slabkitPickId``, ``rlnImageName``, or ``rlnMicrographName`` (the gallery) with
        ``slabkitTileRow`` and ``slabkitTileColumn`` (from 0) or with ``rlnCoordinateX`` and
        ``rlnCoordinateY`` (px); see `slabkit.labels.join_results`. Optional: ``slabkitDecision``,
        ``slabkitClass``, ``slabkitScore``, ``slabkitScoreKind``, ``slabkitSpecies``,
        ``slabkitTilt``, ``slabkitGallerySet``, ``source``, ``line``, and where the particle lies
        from the image's centre, in Å: ``slabkitShiftX``, ``slabkitShiftY``. Without
        decisions, classes and threshold, what is listed is accepted.
    minislabs : DataFrame
        Columns of `slabkit.tables.MINISLABS`.
    layout : GalleryLayout
        How tiles lie in the galleries.
    classes : str, optional
        Classes to accept, as ``1,3-5``, with their species, as ``ribosome=1-2,apo-ferritin=4``, or
        ``all``; the others are rejected.
    threshold : float, optional
        Rows with this score or more are accepted, the others rejected.
    min_probability : float, optional
        Rows that would be accepted get no decision if their probability is less, or not known: of
        predictions (``slabkitProbability_SPECIES``) that of the row's species or of the most
        probable one, else that of the class (``rlnMaxValueProbDistribution``).
    unlisted : {"undecided", "rejected"}, optional
        What it means for a minislab not to be listed.
    views : {"majority", "any", "all"}, optional
        How the views of one pick (tilts) combine: accepted if more views say accepted than
        rejected (a tie is undecided), if any does, or if none says rejected. Accepted views of
        different species: that of most of them; a tie is undecided.
    y_axis, tolerance : optional
        See `slabkit.labels.join_results`.
    species : str, optional
        Species of what is accepted; default: what the result says.
    source, round_name, author : str, optional
        Recorded with each label; the source is otherwise that of a prediction, else the file's
        name.

    Returns
    -------
    labels : DataFrame
        Columns of `slabkit.tables.LABELS`, one row a pick that the result has, in the order
        of the minislab table. Class, score, source, tile and the particle's place
        (``slabkitCentreX``, ``Y``, ``Z``; a shift in the image is one in the view's plane) are
        those of the best view that agrees.
    report : LabelReport

    Raises
    ------
    InputError
        The result is of other galleries; no row belongs to a minislab; a class is not there; scores
        are needed and missing; rows contradict each other on one minislab and no score decides;
        empty tiles are accepted; it is a whole classification and nothing chooses.
    """
    minislabs = validate_table(minislabs, MINISLABS)
    _check_choices(unlisted, views, y_axis, tolerance)
    decisions, of_class = decide_rows(results, classes, threshold)
    if of_class:
        if species:
            raise InputError("--classes names the species already; leave --species out.")
        results = results.assign(slabkitSpecies=results["slabkitClass"].map(of_class).fillna(""))
    sure: tuple[tuple[float, int], ...] = ()
    improbable = 0
    if min_probability is not None:
        decisions, sure, improbable = _without_improbable(results, decisions, min_probability)
    join = join_results(results, minislabs, layout, y_axis=y_axis, tolerance=tolerance)
    _check_empty_tiles(results, decisions, join)
    if classes is None and threshold is None:
        _check_selection(results, join, len(minislabs))
    votes, doubly = _one_row_a_minislab(results, decisions, join.tile)
    labels, tied = _combine_views(votes, minislabs, unlisted, views)
    own, named = labels.pop("slabkitSource"), labels.pop("source")
    predicted = (own != "") & ~persons_labels(labels.assign(slabkitSource=own))
    labels["slabkitSource"] = _sources(own.where(predicted, named), results, source)
    labels["slabkitRound"], labels["slabkitAuthor"] = round_name, author
    if species:
        labels["slabkitSpecies"] = species
    labels.loc[labels["slabkitDecision"] != "accepted", ["slabkitSpecies", ROTATION]] = ""
    if ROTATION not in results.columns:
        labels = labels.drop(columns=ROTATION)
    labels = make_table(LABELS, dict(labels)) if len(labels) else empty_table(LABELS)
    report = _report(results, minislabs, join, len(votes), doubly, labels, tied)
    report = replace(report, improbable=improbable, by_probability=sure)
    _warn(report)
    return labels, report


def _without_improbable(
    results: pd.DataFrame, decisions: npt.NDArray[Any], least: float
) -> tuple[npt.NDArray[Any], tuple[tuple[float, int], ...], int]:
    """Take the decision from accepted rows below a probability; count those of some and more."""
    if not 0 <= least <= 1:
        raise InputError(f"--min-probability must be from 0 to 1, not {least:g}.")
    probability = probabilities(results)
    accepted = decisions == "accepted"
    some = sorted({*_SHOWN, least})
    counts = tuple((p, int((accepted & (probability >= p)).sum())) for p in some)
    below = accepted & ~(probability >= least)
    return np.where(below, "undecided", decisions), counts, int(below.sum())


def _check_choices(unlisted: str, views: str, y_axis: str | None, tolerance: float) -> None:
    for name, value, allowed in (
        ("unlisted", unlisted, ("undecided", "rejected")),
        ("views", views, ("majority", "any", "all")),
        ("y_axis", y_axis, ("down", "up", None)),
    ):
        if value not in allowed:
            words = " or ".join(str(word) for word in allowed if word)
            raise InputError(f"{name} must be {words}, not {value!r}.")
    if not 0 < tolerance < np.inf:
        raise InputError(f"the tolerance must be a positive number of tile sides, not {tolerance}.")


def _check_empty_tiles(results: pd.DataFrame, decisions: npt.NDArray[Any], join: Join) -> None:
    """Refuse accepted empty tiles, except of a detector, which scores its hits: it may be wrong."""
    wrong = (join.tile == FILLER) & (decisions == "accepted")
    scored = "slabkitScore" in results.columns and bool(results["slabkitScore"].notna().any())
    detected = join.by == "nearest tile" and scored
    if wrong.any() and not detected:
        first = place_of(results, int(np.flatnonzero(wrong)[0]))
        raise InputError(
            f"{int(wrong.sum())} of {int((decisions == 'accepted').sum())} accepted rows are on "
            f"empty tiles of a gallery, or beside all tiles, the first: {first}. Rows, columns and "
            "pixels count from 0 at the first row of the file; are they of these galleries, and "
            "counted so? Leave these rows out if the others are right."
        )


def _check_selection(results: pd.DataFrame, join: Join, minislabs: int) -> None:
    """Refuse to accept every image of a classification because nothing was chosen."""
    if "slabkitDecision" in results.columns or "slabkitClass" not in results.columns:
        return
    count = results["slabkitClass"].nunique()
    listed = len(np.unique(join.tile[join.tile >= 0]))
    if count > 1 and listed == minislabs:
        raise InputError(
            f"the result lists all {minislabs} minislabs in {count} classes, so it is a whole "
            "classification and no selection; give --classes, --threshold or --auto (--classes "
            "all accepts everything)."
        )


def _one_row_a_minislab(
    results: pd.DataFrame, decisions: npt.NDArray[Any], tile: npt.NDArray[np.int64]
) -> tuple[pd.DataFrame, int]:
    """Keep the row with the best score of those on one minislab, and count such minislabs."""
    import pandas as pd

    optional = {
        "slabkitClass": "",
        "slabkitScore": np.nan,
        "slabkitScoreKind": "",
        "slabkitSpecies": "",
        "source": "",
        "slabkitSource": "",
        ROTATION: "",
        **dict.fromkeys(_CENTRE, np.nan),
        "slabkitShiftX": np.nan,
        "slabkitShiftY": np.nan,
    }
    votes = pd.DataFrame({"tile": tile, "slabkitDecision": decisions})
    for name, default in optional.items():
        votes[name] = results[name].to_numpy() if name in results.columns else default
    votes["row"] = np.arange(len(votes))
    votes["undecided"] = decisions == "undecided"
    votes = votes[tile >= 0]
    # Rows of equal score are told apart by what they say, so that the files' order does not matter.
    votes = votes.sort_values(
        ["tile", "undecided", "slabkitScore", "slabkitDecision", "slabkitClass", "source", "row"],
        ascending=[True, True, False, True, True, True, True],
        na_position="last",
        ignore_index=True,
    )
    best = votes.drop_duplicates("tile").set_index("tile", drop=False)
    rivals = votes[votes["tile"].duplicated()]
    of_best = best.loc[rivals["tile"]]
    score, best_score = rivals["slabkitScore"].to_numpy(), of_best["slabkitScore"].to_numpy()
    equal = (score == best_score) | (np.isnan(score) & np.isnan(best_score))
    differ = rivals["slabkitDecision"].to_numpy() != of_best["slabkitDecision"].to_numpy()
    others = rivals["slabkitSpecies"].to_numpy() != of_best["slabkitSpecies"].to_numpy()
    differ |= others & (rivals["slabkitDecision"] == "accepted").to_numpy()
    differ &= equal
    if differ.any():
        at = int(np.flatnonzero(differ)[0])
        rows = sorted(int(table["row"].iloc[at]) for table in (rivals, of_best))
        places = [
            f"{results['source'].iloc[row]} row {results['line'].iloc[row]}"
            if {"source", "line"} <= set(results.columns)
            else f"row {row + 1}"
            for row in rows
        ]
        raise InputError(
            f"{' and '.join(places)} contradict each other on one minislab ({int(differ.sum())} "
            "such cases) and no score decides; label them apart and let curate apply a policy."
        )
    return best.reset_index(drop=True), int(rivals["tile"].nunique())


def _combine_views(
    votes: pd.DataFrame, minislabs: pd.DataFrame, unlisted: str, views: Views
) -> tuple[pd.DataFrame, int]:
    codes, ids = minislabs["slabkitPickId"].factorize()
    votes = votes.assign(pick=codes[votes["tile"].to_numpy()])
    count = len(ids)

    def tally(which: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        return np.bincount(votes["pick"].to_numpy()[which], minlength=count)

    decision = votes["slabkitDecision"].to_numpy(dtype=object)
    accepted, rejected = tally(decision == "accepted"), tally(decision == "rejected")
    listed = tally(np.ones(len(votes), dtype=bool))
    if unlisted == "rejected":
        rejected = rejected + np.bincount(codes, minlength=count) - listed
    if views == "majority":
        yes, no = accepted > rejected, rejected > accepted
    elif views == "any":
        yes, no = accepted > 0, (accepted == 0) & (rejected > 0)
    else:
        yes, no = (accepted > 0) & (rejected == 0), rejected > 0
    species, two = _species_of_views(votes[decision == "accepted"])
    both = np.isin(np.arange(count), two) & yes
    outcome = np.where(yes & ~both, "accepted", np.where(no, "rejected", "undecided"))
    tied = int(((accepted > 0) & (rejected > 0) & ~yes & ~no).sum() + both.sum())
    others = (decision == "accepted") & (votes["slabkitSpecies"] != "").to_numpy()
    others &= (votes["slabkitSpecies"] != votes["pick"].map(species)).to_numpy()
    agreeing = votes[(decision == outcome[votes["pick"].to_numpy()]) & ~others]
    winner = agreeing.sort_values(
        ["pick", "slabkitScore", "tile"], ascending=[True, False, True], na_position="last"
    ).drop_duplicates("pick")
    named = np.flatnonzero((listed > 0) | (rejected > 0))
    texts = ["slabkitClass", "slabkitScoreKind", "slabkitSpecies", "source", "slabkitSource"]
    texts.append(ROTATION)
    winner = winner.assign(**_centres(winner, minislabs))
    labels = winner.set_index("pick")[["slabkitScore", *texts, *_CENTRE]].reindex(named)
    for name in texts:
        labels[name] = labels[name].fillna("")
    labels["slabkitTile"] = _tiles(winner, minislabs, codes)[named]
    labels.insert(0, "slabkitPickId", ids[named])
    labels.insert(1, "slabkitDecision", outcome[named])
    return labels.reset_index(drop=True), tied


def _species_of_views(accepted: pd.DataFrame) -> tuple[pd.Series, list[int]]:
    """Give the species that most accepted views of each pick say, and the picks with two such."""
    named = accepted[accepted["slabkitSpecies"] != ""]
    counts = named.groupby(["pick", "slabkitSpecies"]).size().rename("views").reset_index()
    most = counts[counts["views"] == counts.groupby("pick")["views"].transform("max")]
    two = most["pick"][most["pick"].duplicated()].tolist()
    return most.drop_duplicates("pick").set_index("pick")["slabkitSpecies"], two


def _centres(votes: pd.DataFrame, minislabs: pd.DataFrame) -> dict[str, npt.NDArray[np.float64]]:
    """Give the particle's place in the tomogram: the image's centre plus the shift in its plane."""
    view = minislabs.iloc[votes["tile"].to_numpy()]
    x, y, z = (view[name].to_numpy(dtype=np.float64) for name in _CENTRE)
    along, down = (votes[f"slabkitShift{axis}"].to_numpy(dtype=np.float64) for axis in "XY")
    # A view tilted by t shows x cos(t) + z sin(t) along its columns.
    tilt = np.deg2rad(view["slabkitTilt"].to_numpy(dtype=np.float64))
    places = (x + along * np.cos(tilt), y + down, z + along * np.sin(tilt))
    unknown = np.isnan(along) | np.isnan(down)
    return {  # a label that is labelled again says it itself
        name: np.where(unknown, votes[name], place)
        for name, place in zip(_CENTRE, places, strict=True)
    }


def _tiles(
    winner: pd.DataFrame, minislabs: pd.DataFrame, codes: npt.NDArray[Any]
) -> npt.NDArray[np.object_]:
    """Name the image that each pick was judged by: that of the winning view, else its first."""
    row = np.unique(codes, return_index=True)[1]
    row[winner["pick"].to_numpy()] = winner["tile"].to_numpy()
    names = ("slabkitTileRow", "slabkitTileColumn", "rlnMicrographName")
    places = zip(*(minislabs[name].to_numpy()[row].tolist() for name in names), strict=True)
    return np.array([f"r{r}c{c}@{gallery}" for r, c, gallery in places], dtype=object)


def _sources(named: pd.Series, results: pd.DataFrame, source: str | None) -> Any:
    if source is not None:
        return source
    everything = ""
    if "source" in results.columns:
        everything = ", ".join(sorted(set(results["source"])))
    return named.where(named != "", everything)


def _report(
    results: pd.DataFrame,
    minislabs: pd.DataFrame,
    join: Join,
    listed: int,
    doubly: int,
    labels: pd.DataFrame,
    tied: int,
) -> LabelReport:
    lost = np.flatnonzero((join.tile == UNMATCHED) | (join.tile == OFF_CENTRE))
    picks = int(minislabs["slabkitPickId"].nunique())
    accepted = int((labels["slabkitDecision"] == "accepted").sum())
    rejected = int((labels["slabkitDecision"] == "rejected").sum())
    return LabelReport(
        rows=len(results),
        matched=int((join.tile >= 0).sum()),
        unmatched=int((join.tile == UNMATCHED).sum()),
        off_centre=int((join.tile == OFF_CENTRE).sum()),
        filler=int((join.tile == FILLER).sum()),
        doubly_hit=doubly,
        unmatched_examples=tuple(_example(results, int(row)) for row in lost[:3]),
        joined_by=join.by,
        y_axis=join.y_axis,
        minislabs=len(minislabs),
        unlisted=len(minislabs) - listed,
        picks=picks,
        accepted=accepted,
        rejected=rejected,
        undecided=picks - accepted - rejected,
        tied=tied,
        placed=int(labels[_CENTRE[0]].notna().sum()),
    )


def _example(results: pd.DataFrame, row: int) -> str:
    names = ["slabkitPickId", "rlnParticleName", "rlnImageName", "rlnMicrographName"]
    names += ["rlnCoordinateX", "rlnCoordinateY", "slabkitTileRow", "slabkitTileColumn"]
    values = [str(results[name].iloc[row]) for name in names if name in results.columns]
    place = ""
    if {"source", "line"} <= set(results.columns):
        place = f"{results['source'].iloc[row]} row {results['line'].iloc[row]}: "
    return place + " ".join(value for value in values if value)


def _warn(report: LabelReport) -> None:
    if report.unmatched + report.off_centre:
        warn(
            f"{report.unmatched} of {report.rows} rows belong to no minislab and "
            f"{report.off_centre} are too far from a tile's centre, for instance "
            f"{'; '.join(report.unmatched_examples)}."
        )
    if report.filler:
        warn(f"{report.filler} rows lie on empty tiles of a gallery; ignored.")
    if report.picks and report.accepted + report.rejected == 0:
        warn(f"the result decides about none of the {report.picks} picks.")
    for decided, what in ((report.accepted, "accepted"), (report.rejected, "rejected")):
        if report.picks > 1 and decided == report.picks:
            warn(
                f"EVERYTHING IS {what.upper()}: all {report.picks} picks; is that meant? "
                "(--classes, --threshold or --auto decide by class, score or quality.)"
            )
