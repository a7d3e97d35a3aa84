"""The page that shows one run of the whole loop on tomograms with known truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.profiles import depth_profiles
from slabkit.pictures.drawing import Drawing
from slabkit.pictures.figures import histograms, lines_chart, stacked_bars
from slabkit.pictures.images import contrast_stretched, draw_picks, numbered_gallery, png_bytes
from slabkit.pictures.page import Page
from slabkit.tomogram import Tomogram
from slabkit.units import planes_text, protein_sign

if TYPE_CHECKING:
    import pandas as pd

_ACCEPTED, _OTHER = (64, 220, 120), (240, 150, 60)
_PROFILES, _PROFILE_SIZE = 10, (230, 90)


@dataclass(frozen=True)
class LoopResult:
    """Everything the page shows."""

    commands: list[str]  # the commands as a user types them
    tomograms: Mapping[str, Tomogram]
    # The tables of the loop; ``curated`` holds the accepted picks
    slabs: pd.DataFrame
    picks2d: pd.DataFrame
    picks: pd.DataFrame
    curated: pd.DataFrame
    truth: pd.DataFrame | None
    # Path of a slab image or gallery to its pixels, shape ``(y, x)``
    read_image: Callable[[str], npt.NDArray[Any]]
    galleries: Sequence[str]  # paths of the galleries
    tile_px: int  # side of their tiles in pixels
    class_sheet: bytes  # PNG of the class averages, the accepted ones framed
    # How many classes there are, and how many of them were accepted
    classes: int
    good_classes: int
    # Title to score table by species and totals, as `slabkit.score_picks` gives them; empty
    # without truth
    scores: Mapping[str, tuple[pd.DataFrame, Mapping[str, float]]]
    # None, or shape (picks,): whether each pick lies within half a particle's radius of a true one
    found: npt.NDArray[np.bool_] | None


def loop_page(result: LoopResult, title: str = "slabkit demo") -> str:
    """Write the page.

    Returns
    -------
    str
        Self-contained HTML.
    """
    page = Page(
        title,
        "From volumes to a curated pick list."
        if result.truth is None
        else "Tomograms with known particles, taken from volume to curated pick list.",
    )
    scores = list(result.scores.values())[-1:]
    page.numbers(
        [
            (str(len(result.tomograms)), "tomogram" if len(result.tomograms) == 1 else "tomograms"),
            (str(len(result.slabs)), "slabs"),
            (f"{len(result.picks2d):,}", "hits in 2D"),
            (f"{len(result.picks):,}", "picks in 3D"),
            (f"{len(result.curated):,}", "accepted"),
        ]
        + [
            number
            for _, total in scores
            for number in (
                (f"{total['recall']:.0%}", "of true particles found"),
                (f"{total['precision']:.0%}", "of accepted picks true"),
            )
        ]
    )
    page.section("What was run")
    page.code("\n".join(result.commands))
    _slabs(page, result)
    _classes(page, result)
    _funnel(page, result)
    if result.scores:
        _scores(page, result)
    _profiles(page, result)
    _galleries(page, result)
    return page.html()


def _slabs(page: Page, result: LoopResult) -> None:
    name = next(iter(result.tomograms))
    slabs = result.slabs[result.slabs["rlnTomoName"] == name]
    picks = result.picks[result.picks["slabkitTomogram"] == name]
    accepted = set(result.curated["slabkitPickId"])
    pictures = []
    for position in (0.2, 0.5, 0.8):
        slab = slabs.iloc[round(position * (len(slabs) - 1))]
        size = float(slab["slabkitVoxelSize"])
        first, count = int(slab["slabkitZStart"]), int(slab["slabkitZCount"])
        low, high = (first - 0.5) * size, (first + count - 0.5) * size
        image = contrast_stretched(result.read_image(str(slab["rlnMicrographName"])))
        inside = picks[(picks["slabkitZ"] >= low) & (picks["slabkitZ"] <= high)]
        good = inside["slabkitPickId"].isin(accepted).to_numpy(dtype=bool)
        both = [inside[~good], inside[good]]
        picture = _circled(image, both, size)
        pictures.append(
            (
                png_bytes(picture),
                f"{name}, {planes_text(first, count, size)}: {good.sum()} accepted picks (green), "
                f"{(~good).sum()} rejected (orange)",
            )
        )
    page.section(
        "Slabs and picks",
        "Three of the overlapping slabs of one tomogram, with the picks whose depth lies in each.",
    )
    page.pictures(pictures)


def _classes(page: Page, result: LoopResult) -> None:
    page.section(
        "Classes",
        "The minislabs, sorted by slabkit classify, the best class first: number, images, "
        "resolution and quality q. Those framed in green have a quality that slabkit label --auto "
        "accepts. On real data look at them and choose: slabkit label ... --classes 1-7,12.",
    )
    caption = f"{result.good_classes} of {result.classes} classes accepted"
    page.pictures([(result.class_sheet, caption)], wide=True)


def _circled(
    image: npt.NDArray[np.uint8], groups: Sequence[pd.DataFrame], size: float
) -> npt.NDArray[np.uint8]:
    """Draw groups of picks in two colours: what one drawing changed goes over the other."""
    plain = draw_picks(image, [], [], [])
    picture = plain
    for picks, colour in zip(groups, (_OTHER, _ACCEPTED), strict=True):
        x, y, diameter = (
            picks[name].to_numpy(dtype=float) / size
            for name in ("slabkitX", "slabkitY", "slabkitDiameter")
        )
        drawn = draw_picks(image, x, y, np.nan_to_num(diameter, nan=15.0) / 2, colour=colour)
        picture = np.where((drawn != plain).any(axis=2, keepdims=True), drawn, picture)
    return picture


def _funnel(page: Page, result: LoopResult) -> None:
    right = {  # of the accepted ones, where the truth is known
        f"{title} that are right": {"picks": int(total["true_positives"])}
        for title, (_, total) in list(result.scores.items())[-1:]
    }
    page.section(
        "Funnel",
        "From hits on overlapping slabs to particles. Hits of one particle in several slabs become "
        "one pick; picks in classes of low quality are rejected, unless their score is high."
        + (
            ""
            if result.truth is None
            else " Right are accepted picks within half a radius of a true particle, of which "
            f"there are {len(result.truth)}."
        ),
    )
    page.chart(
        stacked_bars(
            {
                "hits on slabs": {"picks": len(result.picks2d)},
                "picks after merging": {"picks": len(result.picks)},
                "accepted picks": {"picks": len(result.curated)},
                **right,
            },
            title="Number of picks",
            unit="picks",
        )
    )
    score = result.picks["slabkitScore"].to_numpy(dtype=float)
    page.section(
        "Scores",
        "Scores are in standard deviations of the noise, so they compare across slabs. Low scores "
        "alone do not tell particles from others, which is why classes decide there.",
    )
    accepted = result.picks["slabkitPickId"].isin(result.curated["slabkitPickId"])
    parts, (first, second) = accepted.to_numpy(dtype=bool), ("accepted", "rejected")
    if result.found is not None:
        parts, (first, second) = result.found, ("true particles", "others")
    page.chart(
        histograms(
            {first: score[parts], second: score[~parts]},
            title="Scores of the picks",
            label="score of a pick (standard deviations)",
        )
    )


def _scores(page: Page, result: LoopResult) -> None:
    page.section(
        "Against the truth",
        "A pick within half a particle's radius of a true one counts, one to one. These picks have "
        "no species, so recall is by species and precision is pooled.",
    )
    tables = list(result.scores.values())
    first = tables[0][0]
    rows: list[list[object]] = [
        [name, int(true)] for name, true in zip(first["species"], first["truth"], strict=True)
    ]
    for table, _ in tables:
        for row, found, recall in zip(rows, table["true_positives"], table["recall"], strict=True):
            row += [int(found), float(recall), None]
    last: list[object] = ["all", int(tables[0][1]["truth"])]
    for _, total in tables:
        last += [int(total["true_positives"]), total["recall"], total["precision"]]
    columns = ["", "true"]
    for title in result.scores:
        columns += [f"found in {title}", "recall", "precision"]
    page.table(columns, [*rows, last])


def _profiles(page: Page, result: LoopResult) -> None:
    name = next(iter(result.tomograms))
    tomogram = result.tomograms[name]
    picks = result.curated[result.curated["slabkitTomogram"] == name]
    picks = picks.nlargest(_PROFILES, "slabkitScore")
    truth = result.truth
    if truth is not None:
        truth = truth[truth["slabkitTomogram"] == name]
    if not len(picks):
        return
    curves = [_profile_chart(tomogram, pick, truth) for _, pick in picks.iterrows()]
    page.section(
        "Depth",
        "How well a particle fits at each depth below the best picks: the depth found (line)"
        + (", and the true one of the nearest particle (dashed)." if result.scores else "."),
    )
    page.charts(curves, small=True)


def _profile_chart(tomogram: Tomogram, pick: pd.Series, truth: pd.DataFrame | None) -> Drawing:
    size = tomogram.voxel_size
    depth, height, width = tomogram.shape
    profile = next(
        iter(
            depth_profiles(
                lambda first, last: tomogram.read((first, 0, 0), (last, height, width)),
                tomogram.shape,
                np.array([[pick["slabkitY"], pick["slabkitX"]]]) / size,
                np.array([pick["slabkitDiameter"] / 2 / size]),
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
        {"fit": (z, score)},
        title=f"score {pick['slabkitScore']:.1f}",
        label_x="z in Å",
        label_y="",
        marks=marks,
        dashed=("truth",),
        size=_PROFILE_SIZE,
    )


def _galleries(page: Page, result: LoopResult) -> None:
    if not result.galleries:
        return
    first = result.galleries[0]
    tiles = len(result.picks) if len(result.galleries) == 1 else None
    gallery = numbered_gallery(result.read_image(first), result.tile_px, tiles=tiles)
    picture = png_bytes(gallery)
    page.section(
        "Minislabs",
        "One small projection a pick, tiled as the mock micrographs that single-particle programs "
        "take. The tile's row and column lead back to the pick.",
    )
    page.pictures([(picture, f"{first}, the first of {len(result.galleries)}")], wide=True)
