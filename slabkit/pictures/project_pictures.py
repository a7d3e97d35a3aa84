"""The pictures of a project's page: slabs with picks, classes, galleries, missed particles."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slabkit.errors import InputError
from slabkit.pictures.images import contrast_stretched, jpeg_url
from slabkit.pictures.marks import Mark, Marking, figure, marked_picture
from slabkit.pictures.page import Page
from slabkit.pictures.project import FATES, ClassSet, GallerySet, Project, Truth
from slabkit.tables import DECISIONS
from slabkit.units import planes_text

if TYPE_CHECKING:
    import pandas as pd

_SLABS, _GALLERIES, _CLASSES, _MISSED = 12, 4, 100, 24  # at most so many are shown
_NO_DIAMETER = 150.0  # Å, of the circles about picks without one


def add_slabs(page: Page, project: Project, marking: Marking) -> None:
    """Show slabs with the picks in them, and the particles that were missed."""
    assert project.slabs is not None
    chosen, figures, unread = _chosen(project.slabs), [], []
    missed = False
    for slab in project.slabs.iloc[chosen].itertuples():
        size = float(slab.slabkitVoxelSize)
        try:
            image = project.read_slab(slab)
        except InputError as error:
            unread.append(str(error))
            continue
        marks, said = [], []
        if project.picks is not None:
            inside = _inside(project.picks, slab)
            marks += _pick_marks(project, inside, size, marking)
            counts = inside["slabkitDecision"].value_counts()
            said = [f"{counts[name]} {name}" for name in DECISIONS if name in counts]
        if project.truth is not None:
            lost = _missed_marks(project.truth, _inside(project.truth.table, slab), size)
            marks, missed = marks + lost, missed or bool(lost)
            said += [f"{len(lost)} missed"] if lost else []
        depth = planes_text(int(slab.slabkitZStart), int(slab.slabkitZCount), size)
        caption = f"<b>{html.escape(str(slab.rlnTomoName))}</b>, {depth}"
        caption += f": {', '.join(said)}" if said else ""
        label = f"slab of {slab.rlnTomoName}, {depth}"
        figures.append(figure(marked_picture(image, marks, label), caption))
    shown = len(project.slabs["rlnTomoName"].iloc[chosen].unique())
    page.section(
        "Slabs and picks",
        f"{len(figures)} of the {len(project.slabs):,} slabs, from {shown} of "
        f"{project.slabs['rlnTomoName'].nunique():,} tomograms, with the picks whose depth lies in "
        "each. Slabs may overlap. Click to enlarge; the pointer says what a mark is.",
    )
    if figures and project.picks is not None:
        page.markup(marking.controls(_decisions(project.picks), missed=missed))
    page.figures(figures)
    for text in unread[:3]:
        page.note(f"A slab cannot be shown: {text}")


def _said(project: Project, picks: pd.DataFrame, marking: Marking) -> dict[str, tuple[str, str]]:
    """Give classes of the style sheet and a text for each of some picks, by id."""
    found = None if project.truth is None else project.truth.found
    said = {}
    for row in picks.itertuples():
        classes = [row.slabkitDecision, marking.species(row.slabkitSpecies)]
        words = [row.slabkitSpecies or "no species", row.slabkitDecision]
        if row.slabkitScore == row.slabkitScore:
            words.append(f"score {row.slabkitScore:.2f}")
        words.append(f"z {row.slabkitZ:.0f} Å")
        if found is not None:
            classes.append("right" if found[row.Index] else "wrong")
            words.append(f"true {found[row.Index]}" if found[row.Index] else "no true particle")
        said[row.slabkitPickId] = (" ".join(classes), f"{', '.join(words)}; {row.slabkitPickId}")
    return said


def _pick_marks(project: Project, picks: pd.DataFrame, size: float, marking: Marking) -> list[Mark]:
    """Circle picks; those that are accepted last, so that they lie above."""
    said = _said(project, picks, marking)
    marks: dict[str, list[Mark]] = {name: [] for name in ("rejected", "undecided", "accepted")}
    for row in picks.itertuples():
        diameter = row.slabkitDiameter
        radius = (diameter if diameter == diameter else _NO_DIAMETER) / 2 / size
        mark = Mark(row.slabkitX / size, row.slabkitY / size, radius, *said[row.slabkitPickId])
        marks[row.slabkitDecision].append(mark)
    return [mark for group in marks.values() for mark in group]


def _decisions(picks: pd.DataFrame) -> list[str]:
    there = set(picks["slabkitDecision"])
    return [name for name in DECISIONS if name in there]


def _missed_marks(truth: Truth, inside: pd.DataFrame, size: float) -> list[Mark]:
    marks = []
    for row in inside.itertuples():
        if truth.fate[row.Index] != "found":
            radius = truth.radii.get(row.slabkitSpecies, _NO_DIAMETER / 2) / size
            why = FATES[truth.fate[row.Index]]
            title = f"missed: {row.slabkitSpecies}, {why}; z {row.slabkitZ:.0f} Å"
            x, y = row.slabkitX / size, row.slabkitY / size
            marks.append(Mark(x, y, radius, "missed", title, square=True))
    return marks


def _inside(table: pd.DataFrame, slab: Any) -> pd.DataFrame:
    """Give what of a slab's tomogram has its depth in it."""
    size, first = float(slab.slabkitVoxelSize), int(slab.slabkitZStart)
    low, high = (first - 0.5) * size, (first + int(slab.slabkitZCount) - 0.5) * size
    z = table["slabkitZ"]
    return table[(table["slabkitTomogram"] == slab.rlnTomoName) & (z >= low) & (z <= high)]


def _chosen(slabs: pd.DataFrame) -> list[int]:
    """Choose the slabs to show: up to three of a tomogram, of as many tomograms as there may be."""
    groups = list(slabs.groupby("rlnTomoName", sort=False).indices.values())
    shown = np.unique(np.linspace(0, len(groups) - 1, min(len(groups), _SLABS)).round().astype(int))
    each = min(3, max(1, _SLABS // len(shown)))
    places = {1: (0.5,), 2: (0.3, 0.7), 3: (0.2, 0.5, 0.8)}[each]
    rows = [groups[n][round(part * (len(groups[n]) - 1))] for n in shown for part in places]
    return list(dict.fromkeys(int(row) for row in rows))


def add_classes(page: Page, project: Project, classes: ClassSet) -> None:
    """Show class averages, each with what is known of its picks."""
    picks = project.picks
    known = {} if picks is None else dict(zip(picks["slabkitPickId"], picks.index, strict=True))
    figures, good_ones = [], []
    for index in range(min(len(classes.averages), _CLASSES)):
        number = index + 1
        rows = [known[name] for name in classes.members.get(number, ()) if name in known]
        lines = [f"<b>Class {number}</b>", f"{classes.images[index]:,} images"]
        if classes.resolution[index] == classes.resolution[index]:
            lines.append(f"{classes.resolution[index]:.0f} Å")
        lines.append(f"quality {classes.quality[index]:.2f}")
        if classes.names[index]:
            lines.append(f"looks like {classes.names[index]}")
        good = 0
        if picks is not None and rows:
            of_class = picks.loc[rows]
            good = int((of_class["slabkitDecision"] == "accepted").sum())
            if (picks["slabkitDecision"] != "undecided").any():
                lines.append(f"{good:,} accepted")
            lines += _most(of_class["slabkitSpecies"], "named: ")
            if project.truth is not None:
                true = [name for name in project.truth.found[rows] if name is not None]
                lines += _most(true, "truth: ", "no particle")
        average = contrast_stretched(classes.averages[index], low=0.1, high=99.9)
        text = f"class average {number}"
        picture = f'<img alt="{text}" src="{jpeg_url(average)}">'
        caption = "<br>".join([lines[0], *(html.escape(line) for line in lines[1:])])
        kind = "good" if rows and 2 * good > len(rows) else ""
        good_ones += [str(number)] if kind else []
        figures.append(figure(picture, caption, kind=kind))
    left = len(classes.averages) - len(figures)
    page.section(
        "Classes",
        f"The {len(classes.averages)} class averages of {classes.source}, the best first: how many "
        "images, to what resolution their halves agree, and the quality, 0 to 1, which slabkit "
        "label --auto reads. Framed in green: more than half of its picks are accepted. To "
        f"choose by hand: slabkit label ... --classes {','.join(good_ones) or '1'}."
        + (f" {left} more classes are not shown." if left else ""),
    )
    page.figures(figures, kind="tiles")


def _most(names: Any, before: str = "", none: str = "") -> list[str]:
    """Say how many there are of each name, of the most frequent; ``none``: of no name."""
    values, counts = np.unique(np.asarray(names, dtype=object).astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    said = [f"{values[n]} {counts[n]}" for n in order if values[n]]
    said = [*said[:3], *(["others"] if len(said) > 3 else [])]
    if none and len(values) and values[0] == "":
        said.append(f"{none} {counts[0]}")
    return [before + ", ".join(said)] if said else []


def add_galleries(page: Page, project: Project, galleries: GallerySet, marking: Marking) -> None:
    """Show galleries, their tiles framed."""
    table, layout = galleries.table, galleries.layout
    names = table["rlnMicrographName"].unique().tolist()
    chosen = np.linspace(0, len(names) - 1, min(len(names), _GALLERIES)).round().astype(int)
    shown = table["rlnMicrographName"].isin([names[n] for n in chosen])
    said = {}
    if project.picks is not None:
        ids = table.loc[shown, "slabkitPickId"]
        said = _said(project, project.picks[project.picks["slabkitPickId"].isin(ids)], marking)
    figures, unread = [], []
    for number in dict.fromkeys(chosen.tolist()):
        rows = table[table["rlnMicrographName"] == names[number]]
        try:
            image = project.read_gallery(names[number])
        except InputError as error:
            unread.append(str(error))
            continue
        if image.shape != layout.shape:
            unread.append(f"{names[number]}: is not of the size that its table says.")
            continue
        last = int(rows["slabkitTileRow"].max()) + 1
        border, side = layout.border_px, layout.tile_px
        inner = image[border : border + last * side, border : image.shape[1] - border]
        marks = []
        for row in rows.itertuples():
            classes, words = said.get(row.slabkitPickId, ("undecided", row.slabkitPickId))
            x, y = ((n + 0.5) * side - 0.5 for n in (row.slabkitTileColumn, row.slabkitTileRow))
            place = f"row {row.slabkitTileRow}, column {row.slabkitTileColumn}"
            title = f"{place}: {words}"
            marks.append(Mark(x, y, side / 2 - 0.6, f"{classes} tile", title, square=True))
        label = f"minislabs of {names[number]}"
        picture = marked_picture(
            inner, marks, label, largest_side=1600, grid=(last, layout.columns)
        )
        name = html.escape(Path(names[number]).name)
        caption = f"<b>{name}</b>: {len(rows)} minislab{'s' * (len(rows) != 1)}"
        figures.append(figure(picture, caption))
    page.section(
        "Minislabs",
        f"One small projection a pick, {len(table):,} of {galleries.source}, tiled as the mock "
        f"micrographs that single-particle programs take. Shown: {len(figures)} of "
        f"{len(names):,} galleries. Row and column, from 0, are those of label files.",
    )
    if figures and project.picks is not None:
        page.markup(marking.controls(_decisions(project.picks), missed=False))
    page.figures(figures, kind="galleries")
    for text in unread[:3]:
        page.note(f"A gallery cannot be shown: {text}")


def add_missed(page: Page, project: Project, truth: Truth) -> None:
    """Show missed particles as they are in the slab about them."""
    lost = truth.table[truth.fate != "found"]
    if not len(lost) or project.slabs is None:
        return
    order = np.argsort(lost["slabkitSpecies"].to_numpy(dtype=str), kind="stable")
    chosen = np.linspace(0, len(lost) - 1, min(len(lost), _MISSED)).round().astype(int)
    figures = []
    images: dict[Any, Any] = {}
    for row in lost.iloc[np.unique(order[chosen])].itertuples():
        slabs = project.slabs[project.slabs["rlnTomoName"] == row.slabkitTomogram]
        if not len(slabs):
            continue
        middle = (slabs["slabkitZStart"] + (slabs["slabkitZCount"] - 1) / 2).to_numpy(float)
        slab = next(
            slabs.iloc[
                [int(np.abs(middle * slabs["slabkitVoxelSize"] - row.slabkitZ).argmin())]
            ].itertuples()
        )
        try:
            if slab.Index not in images:
                images = {slab.Index: project.read_slab(slab)}
        except InputError:
            continue
        size = float(slab.slabkitVoxelSize)
        radius = truth.radii.get(row.slabkitSpecies, _NO_DIAMETER / 2) / size
        image, x, y = (
            contrast_stretched(images[slab.Index]),
            row.slabkitX / size,
            row.slabkitY / size,
        )
        half = max(8, round(2.5 * radius))
        left, top = round(x) - half, round(y) - half
        tile = np.full((2 * half + 1, 2 * half + 1), 128, dtype=np.uint8)
        part = image[max(top, 0) : top + 2 * half + 1, max(left, 0) : left + 2 * half + 1]
        tile[max(-top, 0) :, max(-left, 0) :][: len(part), : part.shape[1]] = part
        mark = Mark(x - left, y - top, radius, "missed", "where the particle is", square=True)
        where = f"x {row.slabkitX:.0f}, y {row.slabkitY:.0f}, z {row.slabkitZ:.0f} Å"
        caption = "<br>".join(
            [
                f"<b>{html.escape(row.slabkitSpecies or 'no species')}</b>",
                FATES[truth.fate[row.Index]],
                f"{html.escape(row.slabkitTomogram)}: {where}",
            ]
        )
        figures.append(figure(marked_picture(tile, [mark], f"missed particle, {where}"), caption))
    page.section(
        "Missed particles",
        f"{len(figures)} of {len(lost):,} true particles that have no accepted pick, as they look "
        "in the slab whose middle is nearest.",
    )
    page.figures(figures, kind="tiles")
