"""The page of a project: what the commands found, in pictures, charts and numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from slabkit.arrays.profiles import depth_profiles
from slabkit.pictures.drawing import Drawing
from slabkit.pictures.figures import curve_drawing, lines_chart, score_label, stacked_bars
from slabkit.pictures.marks import Marking
from slabkit.pictures.page import Page
from slabkit.pictures.project import FATES, Project, Truth
from slabkit.pictures.project_pictures import add_classes, add_galleries, add_missed, add_slabs
from slabkit.pictures.statistics_page import statistics_drawings
from slabkit.tables import DECISIONS
from slabkit.tomogram import Tomogram
from slabkit.units import protein_sign

if TYPE_CHECKING:
    import pandas as pd

_PROFILES, _PROFILE_SIZE = 10, (230, 90)
_FILES = 40


def project_page(project: Project) -> str:
    """Write the page: self-contained HTML, the same for the same project."""
    page = Page(project.title, "From tomograms to picks: the report of slabkit.", wide=True)
    species = [] if project.picks is None else project.picks["slabkitSpecies"].unique().tolist()
    marking = Marking(species, truth=project.truth is not None)
    page.markup(marking.style())
    page.numbers(_numbers(project))
    for note in project.notes:
        page.note(note)
    if project.slabs is not None and len(project.slabs):
        add_slabs(page, project, marking)
    for classes in project.classes:
        add_classes(page, project, classes)
    for galleries in project.galleries:
        add_galleries(page, project, galleries, marking)
    if project.picks is not None:
        _charts(page, project)
    if project.truth is not None:
        _truth(page, project, project.truth)
        add_missed(page, project, project.truth)
    if project.tomogram is not None and project.picks is not None:
        _profiles(page, project, project.tomogram)
    if project.missing:
        page.section("Not in this folder", "What would be shown here too, and what makes it:")
        page.code("\n".join(f"# {what}\n{command}" for what, command in project.missing))
    if project.commands:
        page.section("What was run")
        page.code("\n".join(project.commands))
    page.section("Files")
    page.table(["file", "taken for"], project.files[:_FILES], text=True)
    if len(project.files) > _FILES:
        page.note(f"{len(project.files) - _FILES} more files are not listed.")
    return page.html()


def _numbers(project: Project) -> list[tuple[str, str]]:
    count = len(project.tomograms)
    found = [(f"{count:,}", "tomogram" if count == 1 else "tomograms")]
    if project.slabs is not None:
        found.append((f"{len(project.slabs):,}", "slabs"))
    if project.hits is not None:
        found.append((f"{project.hits:,}", "hits on slabs"))
    if project.picks is not None:
        found.append((f"{len(project.picks):,}", "picks in 3D"))
        accepted = project.picks[project.picks["slabkitDecision"] == "accepted"]
        if project.curated or len(accepted):
            found.append((f"{len(accepted):,}", "accepted"))
        names = [name for name in accepted["slabkitSpecies"].unique() if name]
        if names:
            found.append((f"{len(names)}", "species" if len(names) > 1 else f"species: {names[0]}"))
    if project.truth is not None and project.truth.scores:
        total = list(project.truth.scores.values())[-1][1]
        for name, what in (
            ("recall", "of the true particles found"),
            ("precision", f"of {list(project.truth.scores)[-1]} true"),
        ):
            found.append((f"{total[name]:.0%}" if total[name] == total[name] else "–", what))
    return found


def _funnel(project: Project) -> Drawing:
    picks = project.picks
    assert picks is not None
    decided = {name: int((picks["slabkitDecision"] == name).sum()) for name in DECISIONS}
    rows: dict[str, dict[str, float]] = {}
    if project.hits is not None:
        rows["hits on slabs"] = {"hits": project.hits}
    if project.merged:
        rows["picks before merging lists"] = {"picks": len(picks) + project.merged}
    rows["picks in 3D"] = dict(decided)
    if picks["labelled"].any():
        of = picks.loc[picks["labelled"], "slabkitDecision"].value_counts()
        rows["labelled"] = {name: int(of.get(name, 0)) for name in DECISIONS}
    if project.curated or decided["accepted"]:
        rows["accepted"] = {"accepted": decided["accepted"]}
    if project.truth is not None and project.truth.scores:
        total = list(project.truth.scores.values())[-1][1]
        rows["accepted and right" if "accepted" in rows else "right"] = {
            "right": int(total["true_positives"])
        }
    return stacked_bars(rows, title="From hits to particles", unit="picks")


def _charts(page: Page, project: Project) -> None:
    picks = project.picks
    assert picks is not None
    said = (
        "Hits of one particle in several overlapping slabs become one pick. Labels say of a pick "
        "that it is a particle or none; accepted is what the curated list holds."
    )
    if project.truth is not None:
        said += " Right: within half a radius of a true particle, one to one."
    page.section("Where the picks went", said)
    charts = [_funnel(project)]
    if project.counts is not None and project.measured is not None and len(picks):
        assert project.labelling is not None
        drawings = statistics_drawings(project.counts, project.measured, project.labelling)
        if not (picks["slabkitSpecies"] != "").any():
            drawings.pop("species", None)
        if not (project.labelling[["slabkitAuthor", "slabkitRound"]] != "").any(axis=None):
            drawings.pop("labels", None)
        charts += [
            drawing
            for name, drawing in drawings.items()
            if name in ("species", "tomograms", "labels", "depth") or name.startswith("scores")
        ]
    page.charts(charts)


def _truth(page: Page, project: Project, truth: Truth) -> None:
    page.section(
        "Against the truth",
        "A pick within half a particle's radius of a true one counts, one to one. Where picks have "
        "no species, recall is by species and precision is pooled. Missed are true particles "
        "without an accepted pick.",
    )
    if truth.command:
        page.code(truth.command)
    if truth.note:
        page.paragraph(truth.note)
    table, total = list(truth.scores.values())[-1]
    species = truth.table["slabkitSpecies"].to_numpy(dtype=object)
    rows: list[list[object]] = []
    for row in [*table.to_dict("records"), {"species": "all", "radius": None, **total}]:
        of = np.ones(len(species), bool) if row["species"] == "all" else species == row["species"]
        fate = truth.fate[of]
        rows.append(
            [
                row["species"],
                None if row["radius"] is None else f"{row['radius']:g}",
                *(_count(row[name]) for name in ("truth", "picks", "true_positives")),
                *(int((fate == one).sum()) for one in FATES),
                *(row[name] for name in ("recall", "precision", "f_beta")),
            ]
        )
    last = list(truth.scores)[-1]
    page.table(
        [
            "species",
            "radius (Å)",
            "true",
            last,
            "right",
            *(f"missed: {text}" for text in FATES.values()),
            "recall",
            "precision",
            "F4",
        ],
        rows,
    )
    if len(truth.scores) > 1 and total["picks"] != next(iter(truth.scores.values()))[1]["picks"]:
        title, (_, before) = next(iter(truth.scores.items()))
        page.paragraph(
            f"For comparison, of {title} ({int(before['picks']):,}): recall "
            f"{before['recall']:.3f}, precision {before['precision']:.3f}, F4 "
            f"{before['f_beta']:.3f}."
        )
    if truth.curve is not None and project.picks is not None:
        kinds = project.picks["slabkitScoreKind"].unique()
        page.charts([curve_drawing(truth.curve, 4.0, score_label(kinds[0]))])


def _count(value: Any) -> int | None:
    return None if value != value else int(value)


def _profiles(page: Page, project: Project, tomogram: Tomogram) -> None:
    assert project.picks is not None
    picks = project.picks[project.picks["slabkitTomogram"] == tomogram.name]
    accepted = picks[picks["slabkitDecision"] == "accepted"]
    picks = accepted if len(accepted) else picks
    picks = picks[picks["slabkitDiameter"].notna()].nlargest(_PROFILES, "slabkitScore")
    if not len(picks):
        return
    truth = None
    if project.truth is not None:
        truth = project.truth.table
        truth = truth[truth["slabkitTomogram"] == tomogram.name]
    page.section(
        "Depth",
        f"How well a particle fits at each depth below the best picks of {tomogram.name}: the "
        "depth found (line)"
        + (", and the true one of the nearest particle (dashed)." if truth is not None else "."),
    )
    page.charts([_profile(tomogram, pick, truth) for _, pick in picks.iterrows()], small=True)


def _profile(tomogram: Tomogram, pick: pd.Series, truth: pd.DataFrame | None) -> Drawing:
    size = tomogram.voxel_size
    depth, height, width = tomogram.shape
    radius = pick["slabkitDiameter"] / 2 / size
    centre = np.array([pick["slabkitY"], pick["slabkitX"]]) / size
    reach = int(np.ceil(3 * radius)) + 4  # beyond the widest ring
    y0, x0 = (max(0, int(c) - reach) for c in centre)
    y1, x1 = min(height, y0 + 2 * reach + 2), min(width, x0 + 2 * reach + 2)
    profile = next(
        iter(
            depth_profiles(
                lambda first, last: tomogram.read((first, y0, x0), (last, y1, x1)),
                (depth, y1 - y0, x1 - x0),
                (centre - (y0, x0))[None],
                np.array([radius]),
                np.array([0]),
                np.array([depth - 1]),
                protein_sign(tomogram.contrast),
            )
        )
    )
    score = profile.scores[0].astype(float)
    z = (profile.start[0] + np.arange(len(score))) * size
    z, score = z[np.isfinite(score)], score[np.isfinite(score)]  # beyond the volume there is none
    marks = {"found": float(pick["slabkitZ"])}
    if truth is not None:
        away = np.hypot(truth["slabkitX"] - pick["slabkitX"], truth["slabkitY"] - pick["slabkitY"])
        beside = truth.loc[(away < 100).to_numpy(), "slabkitZ"].to_numpy()
        if len(beside):
            marks["truth"] = float(beside[np.abs(beside - pick["slabkitZ"]).argmin()])
    return lines_chart(
        {"fit": (z, score / (score.max(initial=0.0) or 1.0))},
        title=f"score {pick['slabkitScore']:.1f}",
        label_x="z (Å)",
        label_y="fit (best: 1)",
        marks=marks,
        dashed=("truth",),
        size=_PROFILE_SIZE,
    )
