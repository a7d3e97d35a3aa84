"""The page on which a person chooses a threshold: slabs, picks, scores, and a slider."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError
from slabkit.pictures.colours import css, species_colours
from slabkit.pictures.figures import round_ticks
from slabkit.pictures.images import jpeg_url
from slabkit.pictures.page import Page
from slabkit.units import planes_text

if TYPE_CHECKING:
    import pandas as pd

_FALLBACK_RADIUS = 0.015  # of the slab's longer side, for picks without a diameter
STYLE = """
main { max-width:1500px }
.inspect { display:grid; grid-template-columns:minmax(320px,3fr) minmax(300px,2fr); gap:24px;
  align-items:start }
@media (max-width:820px) { .inspect { grid-template-columns:1fr } }
.inspect > div { min-width:0 }
.slab { position:relative; line-height:0 } .slab svg { position:absolute; inset:0; width:100%;
  height:100%; max-width:none }
.slab img { border-radius:0 }
circle { fill:none; stroke-width:2; vector-effect:non-scaling-stroke; pointer-events:all }
circle.out { stroke-width:1; stroke-dasharray:3 3 }
.legend { display:flex; flex-wrap:wrap; gap:2px 16px; margin:8px 0; max-width:none }
.swatch { display:inline-block; width:12px; height:12px; border-radius:50%; margin-right:6px;
  border:1px solid var(--soft); vertical-align:-1px }
circle.hidden { display:none } .below { fill:var(--line) }
.axis { stroke:var(--line) } .mark { stroke:var(--bad); stroke-width:1.5 }
#chart { cursor:crosshair }
.row { display:flex; flex-wrap:wrap; gap:10px; align-items:center; margin:10px 0 }
.row label { color:var(--soft) } input[type=range] { flex:1; min-width:180px }
input[type=number] { width:6.5em } select { max-width:100%; flex:1 }
button,select,input { font:inherit; color:inherit; background:var(--raised);
  border:1px solid var(--line); border-radius:6px; padding:3px 8px }
.inspect td b { font-size:1.15rem }
"""
_MARKUP = """
<div class="inspect"><div>
<div class="row"><button id="before" type="button">‹ previous</button>
<select id="slab" aria-label="slab"></select><button id="after" type="button">next ›</button></div>
<div class="slab"><img id="picture" alt=""><svg id="circles" role="img"
aria-label="picks on the slab"></svg></div><p class="legend" id="legend"></p>
<p class="lead" id="where"></p></div>
<div><div class="row"><label for="threshold">lowest score</label>
<input id="threshold" type="range" min="{low}" max="{high}" step="{step}" value="{start}" autofocus>
<input id="number" type="number" min="{low}" max="{high}" step="{step}" aria-label="lowest score">
</div>
<svg id="chart" viewBox="0 0 460 200" role="img" aria-label="histogram of the scores"></svg>
<div class="row"><label><input type="checkbox" id="only"> histogram of this slab only</label>
<label><input type="checkbox" id="dropped"> show what is dropped, dashed</label></div>
<table aria-live="polite"><thead><tr><th></th><th>kept</th><th>of</th></tr></thead><tbody>
<tr><td>this slab</td><td><b id="kept-slab"></b></td><td id="all-slab"></td></tr>
<tr><td>its tomogram</td><td><b id="kept-tomogram"></b></td><td id="all-tomogram"></td></tr>
<tr><td>all slabs</td><td><b id="kept-all"></b></td><td id="all-all"></td></tr>
</tbody></table><pre id="option"></pre>
<p class="lead">{note}</p>
<p class="lead">Keys: ← → move the slider, + and − in larger steps, n and p go to the next and the
previous slab. A click on the histogram sets the threshold; circles tell their scores.</p>
</div></div>
"""


def inspection_page(
    picks2d: pd.DataFrame,
    slabs: pd.DataFrame,
    read_image: Callable[[Any], npt.NDArray[Any]],
    *,
    max_slabs: int = 12,
    largest_side: int = 900,
    threshold: float | None = None,
    title: str = "slabkit inspect",
) -> str:
    """Write the page.

    Parameters
    ----------
    picks2d : DataFrame
        Columns of `slabkit.tables.PICKS2D`, with scores.
    slabs : DataFrame
        Columns of `slabkit.tables.SLABS`.
    read_image : callable
        Row of `slabs` (a named tuple) to the slab's image, shape ``(y, x)``.
    max_slabs : int, optional
        Slabs whose images are put into the page, evenly taken from the table; the others count in
        the numbers and the histogram.
    largest_side : int, optional
        Larger images are shrunk to this many pixels.
    threshold : float, optional
        Where the slider begins; default: at the lowest score.
    title : str, optional

    Returns
    -------
    str
        Self-contained HTML: images and script are inside, nothing is fetched.

    Raises
    ------
    InputError
        There are no slabs, no picks on them, or picks without a score.
    """
    if max_slabs < 1 or largest_side < 64:
        raise InputError("a page shows at least one slab, of 64 pixels or more.")
    scores = picks2d["rlnAutopickFigureOfMerit"].to_numpy(dtype=np.float64)
    if not len(slabs) or not len(picks2d):
        raise InputError("there are no picks to look at; pick with a lower --threshold.")
    if not np.isfinite(scores).all():
        raise InputError(
            f"{int((~np.isfinite(scores)).sum())} of {len(scores)} picks have no score, and the "
            "page is about scores."
        )
    groups = picks2d.groupby("rlnMicrographName").indices
    # Rounded as they are shown, and highest first: the page counts by halving.
    rounded = np.round(scores, 4)
    by_slab = [
        np.sort(rounded[groups.get(name, [])])[::-1].tolist() for name in slabs["rlnMicrographName"]
    ]
    chosen = np.unique(np.linspace(0, len(slabs) - 1, min(max_slabs, len(slabs))).round())
    colours = species_colours(picks2d["slabkitSpecies"])
    names = list(colours)
    shown = []
    for row in slabs.iloc[chosen.astype(int)].itertuples(index=False):
        rows = groups.get(row.rlnMicrographName, np.zeros(0, dtype=np.int64))
        shown.append(_slab(row, picks2d.iloc[rows], rounded[rows], read_image, largest_side, names))
    low, high, ticks = _axis(rounded)
    of: dict[str, list[int]] = {}
    for index, name in enumerate(slabs["rlnTomoName"]):
        of.setdefault(str(name), []).append(index)
    content = {
        "slabs": shown,
        "scores": by_slab,
        "of": of,
        "low": low,
        "high": high,
        "ticks": ticks,
        "species": [
            [name or "no species", css(colour), bool(name)] for name, colour in colours.items()
        ],
    }
    left = len(slabs) - len(shown)
    note = f"{len(shown)} of {len(slabs)} slabs are shown" if left else "All slabs are shown"
    note += f"; the other {left} count in the numbers and the histogram of all." if left else "."
    page = Page(title, "Move the slider: circles and numbers show what each threshold keeps.")
    markup = _MARKUP.format(
        low=low,
        high=high,
        step=slider_step(low, high),
        start=low if threshold is None else threshold,
        note=html.escape(note),
    )
    page.markup(f"<style>{STYLE}</style>{markup}")
    page.script("inspector.js", content)
    return page.html()


def _slab(
    row: Any,
    picks: pd.DataFrame,
    scores: npt.NDArray[np.float64],
    read_image: Callable[[Any], npt.NDArray[Any]],
    largest_side: int,
    colours: list[str],
) -> dict[str, Any]:
    image = read_image(row)
    edge = float(row.slabkitVoxelSize)
    radius = picks["slabkitDiameter"].to_numpy(dtype=np.float64) / (2 * edge)
    radius = np.nan_to_num(radius, nan=_FALLBACK_RADIUS * max(image.shape))
    x, y = (picks[f"rlnCoordinate{axis}"].to_numpy(dtype=np.float64) for axis in "XY")
    order = np.lexsort([y, x, -scores])
    names = picks["slabkitSpecies"].to_numpy()
    values = zip(*(one[order] for one in (x, y, radius, scores, names)), strict=True)
    first, count = int(row.slabkitZStart), int(row.slabkitZCount)
    return {
        "name": str(row.rlnMicrographName).rsplit("/", 1)[-1],
        "tomogram": str(row.rlnTomoName),
        "text": f"{row.rlnTomoName}, {planes_text(first, count, edge)}, "
        f"{image.shape[1]} × {image.shape[0]} pixels of {edge:g} Å",
        "width": image.shape[1],
        "height": image.shape[0],
        "image": jpeg_url(image, largest_side),
        "picks": [
            [*(round(float(v), 2) for v in place), float(score), colours.index(name)]
            for *place, score, name in values
        ],
    }


def _axis(scores: npt.NDArray[np.float64]) -> tuple[float, float, list[float]]:
    """Give the ends of the axis of scores, rounded outwards, and its marks."""
    low, high = float(scores.min()), float(scores.max())
    if not high > low:
        low, high = low - 0.5, high + 0.5
    small = slider_step(low, high)
    start, end = np.floor(low / small) * small, np.ceil(high / small) * small
    return round(float(start), 6), round(float(end), 6), round_ticks(low, high, 7)


def slider_step(low: float, high: float) -> float:
    """Give the slider's step: a power of ten that divides the range about a thousandfold."""
    return float(10.0 ** np.floor(np.log10(((high - low) or 1.0) / 300)))
