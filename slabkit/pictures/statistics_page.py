"""The charts and the page of `slabkit stats`: what a team puts on a screen in the room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slabkit.pictures.drawing import SERIES, Drawing
from slabkit.pictures.figures import histograms, score_label, species_styles, stacked_bars
from slabkit.pictures.page import Page

if TYPE_CHECKING:
    import pandas as pd

_WORDS = ("accepted", "rejected", "undecided")
_ROWS = 30


def statistics_drawings(
    counts: pd.DataFrame,
    picks: pd.DataFrame,
    labelling: pd.DataFrame,
    pace: pd.DataFrame | None = None,
) -> dict[str, Drawing]:
    """Draw what `slabkit.pick_statistics` and `slabkit.labelling_pace` found.

    Parameters
    ----------
    counts, picks, labelling : DataFrame
        As in `PickStatistics`.
    pace : DataFrame, optional
        As `labelling_pace` gives it.

    Returns
    -------
    dict of str to Drawing
        By file name without suffix; empty charts are left out.
    """
    found = {
        "tomograms": stacked_bars(
            _decisions(counts, "slabkitTomogram"), title="Picks by tomogram and decision"
        ),
        "species": stacked_bars(
            _decisions(counts, "slabkitSpecies", "(no species)"),
            title="Picks by species and decision",
        ),
        "sources": stacked_bars(
            _decisions(counts, "slabkitSource", "(not recorded)"),
            title="Picks by source and decision",
        ),
    }
    if len(labelling):
        found["labels"] = stacked_bars(
            {
                who: {word: float(row[f"slabkit{word.capitalize()}"]) for word in _WORDS}
                for who, row in zip(_who(labelling), labelling.to_dict("records"), strict=True)
            },
            title="Labels by author and round",
            unit="labels",
        )
    timed = None if pace is None else pace[pace["labels_per_hour"].notna()]
    if timed is not None and len(timed):
        found["pace"] = stacked_bars(
            {
                f"{row['author'] or row['table']}, {row['round'] or '-'}": {
                    "labels an hour": row["labels_per_hour"]
                }
                for row in timed.to_dict("records")
            },
            title="Labels an hour, without pauses",
            unit="labels",
        )
    good = picks[picks["slabkitDecision"] != "rejected"]
    common = good["slabkitSpecies"].value_counts().index[:SERIES]
    near = {
        name or "(no species)": good.loc[good["slabkitSpecies"] == name, "slabkitNearestSame"]
        for name in sorted(common)
    }
    if good["slabkitNearestSame"].notna().any():
        found["neighbours"] = histograms(
            near,
            title="How far the nearest pick of the same species is (without the rejected)",
            label="distance (Å)",
            styles={name or "(no species)": one for name, one in species_styles(common).items()},
        )
    words = {word: picks[picks["slabkitDecision"] == word] for word in _WORDS}
    words = {word: rows for word, rows in words.items() if len(rows)}
    if picks["slabkitDepth"].notna().any():
        found["depth"] = histograms(
            {word: rows["slabkitDepth"] for word, rows in words.items()},
            title="Depth of the picks in their tomograms",
            label="depth: 0 first plane, 1 last plane",
            span=(0.0, 1.0),
        )
    for number, (kind, rows) in enumerate(picks.groupby("slabkitScoreKind")):
        if rows["slabkitScore"].notna().any() and number < 3:
            found[f"scores_{number + 1}" if number else "scores"] = histograms(
                {w: rows.loc[rows["slabkitDecision"] == w, "slabkitScore"] for w in words},
                title="Scores of the picks by decision",
                label=score_label(str(kind)),
            )
    return found


def statistics_page(
    counts: pd.DataFrame,
    picks: pd.DataFrame,
    neighbours: pd.DataFrame,
    labelling: pd.DataFrame,
    pace: pd.DataFrame,
    title: str,
) -> str:
    """Write the page: large numbers, charts, and tables.

    Parameters
    ----------
    counts, picks, neighbours, labelling : DataFrame
        As in `PickStatistics`.
    pace : DataFrame
        As `labelling_pace` gives it.
    title : str

    Returns
    -------
    str
        Self-contained HTML.
    """
    said = picks["slabkitDecision"].value_counts()
    people = labelling.loc[labelling["slabkitAuthor"] != "", "slabkitAuthor"].nunique()
    close = int(neighbours["slabkitTooClose"].sum())
    page = Page(title, wide=True)
    page.numbers(
        [
            (f"{counts['slabkitTomogram'].nunique():,}", "tomograms"),
            (f"{len(picks):,}", "picks"),
            *((f"{int(said.get(word, 0)):,}", word) for word in _WORDS),
            (f"{int(labelling['slabkitLabels'].sum()):,}", "labels"),
            (f"{people:,}", "authors" if people != 1 else "author"),
            (f"{close:,}", "closer than half a diameter"),
        ]
    )
    page.charts(statistics_drawings(counts, picks, labelling, pace).values())
    page.section(
        "Nearest neighbours",
        "Distances in Å between picks of one species in one tomogram, without the rejected. Picks "
        "closer than half their diameter may be one particle twice: slabkit merge.",
    )
    page.table(
        ["species", "picks", "least", "5 % are nearer than", "median", "closer than half"],
        [
            [name or "(no species)", *rest]
            for name, *rest in neighbours.round(1).itertuples(index=False)
        ],
    )
    page.section("Labels")
    page.table(
        ["author, round", "labels", "picks", "accepted", "rejected", "undecided", "accepted share"],
        [
            [who, *row[2:], row[4] / (row[4] + row[5]) if row[4] + row[5] else None]
            for who, row in zip(
                _who(labelling), labelling.itertuples(index=False, name=None), strict=True
            )
        ],
    )
    pace = pace[pace[["labels_per_hour_at_least", "labels_per_hour"]].notna().any(axis=1)]
    if len(pace):  # of no rule
        page.section(
            "Pace",
            "Label tables hold no times. What is known: the records say when the images and when "
            "the labels were made, so that the work took no longer than between the two; and a "
            "column time in the CSV file that a person filled in says when each label was made. "
            "Longer pauses do not count.",
        )
        page.table(
            [
                "table",
                "author",
                "round",
                "labels",
                "made",
                "hours since images",
                "an hour, at least",
                "with times",
                "hours of work",
                "an hour",
            ],
            [[_shown(value) for value in row] for row in pace.itertuples(index=False, name=None)],
        )
    return page.html()


def _shown(value: object) -> object:
    if isinstance(value, float):
        return None if value != value else f"{value:,.3g}" if value < 100 else f"{value:,.0f}"
    return value if value != "" else None


def _who(labelling: pd.DataFrame) -> list[str]:
    return [
        ", ".join(filter(None, (author or "(no author)", round_name)))
        for author, round_name in zip(
            labelling["slabkitAuthor"], labelling["slabkitRound"], strict=True
        )
    ]


def _decisions(counts: pd.DataFrame, column: str, none: str = "") -> dict[str, dict[str, float]]:
    """Sum picks by a column and decision; of many rows the largest, and the others as one."""
    wide = counts.pivot_table(
        index=column, columns="slabkitDecision", values="slabkitPicks", aggfunc="sum", fill_value=0
    )
    wide = wide.reindex(columns=list(_WORDS), fill_value=0)
    order = wide.sum(axis=1).sort_values(ascending=False, kind="stable").index
    rest = order[_ROWS:] if len(order) > _ROWS + 1 else order[:0]
    kept = wide.drop(index=rest)
    found = {
        str(name) or none: {word: float(row[word]) for word in _WORDS}
        for name, row in kept.iterrows()
        if str(name) or row.sum()
    }
    if len(rest):
        others = wide.loc[rest].sum()
        found[f"{len(rest)} others"] = {word: float(others[word]) for word in _WORDS}
    return found
