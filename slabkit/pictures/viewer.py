"""The page on which a person looks at 3D picks: sections through their tomograms."""

from __future__ import annotations

import functools
import html
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.projections import project_block
from slabkit.arrays.sections import mean_sections
from slabkit.errors import InputError
from slabkit.pictures.colours import css, species_colours
from slabkit.pictures.images import contrast_stretched, jpeg_url
from slabkit.pictures.inspector import STYLE, slider_step
from slabkit.pictures.page import Page
from slabkit.tables import DECISIONS
from slabkit.tomogram import Tomogram, TomogramVoxels

if TYPE_CHECKING:
    import pandas as pd

_FALLBACK_DIAMETER = 0.03  # of the tomogram's longest side, for picks without a diameter
_PIXELS = 80e6  # of all sections of a page, about
_MOST_SECTIONS, _FEWEST_SECTIONS = 40, 8  # across z; twice as many across y and x
_THINNEST = 40.0  # Å, of sections
_CLOSE_THICKNESS = 0.2  # of the diameter
_CLOSE_SIDE = (40, 160, 320)  # voxels: smallest; largest; largest of large particles
_STYLE = """
.planes { display:grid; gap:6px } .planes svg { max-width:none; cursor:crosshair;
  background:#000 }
.planes > div { align-self:end; font-size:.82rem; color:var(--soft); overflow:hidden }
.planes p { margin:2px 0 }
.hit circle,.hit path,path.hit { vector-effect:non-scaling-stroke }
.hit { stroke-width:1.3 } .hit circle,.hit path { fill:none; stroke-width:inherit }
.hit circle { pointer-events:all; cursor:pointer } .accepted-hit { stroke-width:3 }
.rejected-hit circle { stroke-width:1.5; stroke-dasharray:5 3 }
.chosen { stroke-width:4.5 } .rejected-hit.chosen { stroke-width:2 }
.rejected-hit.chosen circle { stroke-width:4 }
.cross { stroke:#fff; opacity:.35; fill:none; stroke-width:1; vector-effect:non-scaling-stroke;
  pointer-events:none }
.row span { min-width:15.5em; text-align:right; font-variant-numeric:tabular-nums }
#facts { min-width:100% } #facts td { text-align:left; white-space:normal; overflow-wrap:anywhere }
#close { max-width:none; background:#000 } #close[hidden] { display:none }
.key { width:26px; height:14px; display:inline-block; vertical-align:-2px; margin-right:4px }
.key circle,.key path { stroke:currentColor }
.inspect input[type=checkbox] { margin-right:8px }
"""
_MARKUP = """
<div class="inspect"><div>
<div class="row"><button id="before" type="button">‹ previous</button>
<select id="tomogram" aria-label="tomogram"></select>
<button id="after" type="button">next ›</button></div>
{depth}<div class="planes" id="planes"><svg id="xy" role="img"
aria-label="section across z"></svg><svg id="yz" role="img" aria-label="section across x"></svg>
<svg id="xz" role="img" aria-label="section across y"></svg>
<div><p>x to the right, y down; right: z to the right; below: z down.</p></div></div>
{sliders}
<p class="lead" id="about"></p></div>
<div><div class="row"><button id="better" type="button">‹ better pick</button>
<button id="worse" type="button">worse pick ›</button></div>
<p class="lead" id="hint">A click on a pick says what it is; the keys n and p go through the picks
by score. A click beside a pick moves the sections there; ← and → move the slider.</p>
<div id="chosen" hidden><svg id="close" role="img" aria-label="sections through the pick"></svg>
<p class="lead" id="close-text"></p>
<label><input type="checkbox" id="outline" checked>outline</label>
<table id="facts"></table></div>
<div class="row"><label for="lowest">lowest score</label>
<input id="lowest" type="range" min="{low}" max="{high}" step="{step}" value="{low}">
<input id="number" type="number" min="{low}" max="{high}" step="{step}" value="{low}"
aria-label="lowest score"></div>
<table><thead><tr><th>species</th><th>here</th><th>all</th></tr></thead><tbody>{species}</tbody>
<thead><tr><th>decision</th><th>here</th><th>all</th></tr></thead><tbody>{decisions}</tbody></table>
{truth}{notes}</div></div>
"""


def plan_sections(
    tomograms: Sequence[Tomogram], side: int, wanted: int | None = None
) -> list[tuple[int, int, int]]:
    """Say how many sections across z, y and x of each tomogram keep the page small.

    ``wanted``: across z; twice as many across y and x.
    """
    pixels = 0.0
    for tomogram in tomograms:
        binning = _binning(tomogram.shape, side)
        z, y, x = (math.ceil(size / binning) for size in tomogram.shape)
        pixels += y * x + 2 * z * (x + y)
    most = int(min(max(_PIXELS / max(pixels, 1.0), _FEWEST_SECTIONS), _MOST_SECTIONS))
    plans = []
    for tomogram in tomograms:
        least = 1.0 if wanted is not None else _THINNEST / tomogram.voxel_size
        z, y, x = (max(1, int(size / max(least, 1.0))) for size in tomogram.shape)
        count = wanted or most
        plans.append((min(count, z), min(2 * count, y), min(2 * count, x)))
    return plans


def choose_close(picks: pd.DataFrame, most: int) -> npt.NDArray[np.bool_]:
    """Choose picks to show at full resolution: of all tomograms, species, decisions and scores."""
    chosen = np.zeros(len(picks), dtype=bool)
    names = [f"slabkit{name}" for name in ("Tomogram", "Species", "Decision", "Score", "PickId")]
    ascending = [True, True, True, False, True]
    order = picks.reset_index(drop=True).sort_values(names, ascending=ascending).index.to_numpy()
    count = min(most, len(picks))
    chosen[order[np.arange(count) * len(picks) // max(count, 1)]] = True
    return chosen


def tomogram_content(
    tomogram: Tomogram,
    picks: pd.DataFrame,
    close: npt.NDArray[np.bool_],
    truth: pd.DataFrame | None,
    lists: Mapping[str, Sequence[str]],
    *,
    side: int,
    sections: tuple[int, int, int],
) -> dict[str, Any]:
    """Give what the page holds of one tomogram.

    ``close``: which picks are shown at full resolution; ``sections``: how many across z, y and x,
    as `plan_sections` has it; ``truth`` has a column ``found`` (true,
    false, or None where it is not known); ``lists``: all species and score kinds of the page.
    """
    voxels, size = TomogramVoxels(tomogram), tomogram.voxel_size
    binning = _binning(tomogram.shape, side)
    stacks = mean_sections(voxels, sections, binning)
    across_z, across_y, across_x = stacks
    fallback = _FALLBACK_DIAMETER * max(tomogram.shape) * size
    columns = [f"slabkit{name}" for name in ("X", "Y", "Z", "Score", "Diameter")]
    values = picks[columns].to_numpy(dtype=np.float64)
    x, y, z, score, diameter = values.T
    diameter = np.nan_to_num(diameter, nan=fallback)
    order = np.lexsort([z, y, x, -np.nan_to_num(score, nan=-np.inf)])
    words = picks[["slabkitPickId", "slabkitSpecies", "slabkitDecision", "slabkitScoreKind"]]
    ids, species, decisions, kinds = (words[name].tolist() for name in words)
    rows: list[list[Any]] = [[] for _ in order]
    for rank in np.argsort(z[order], kind="stable").tolist():  # the volume is read in its order
        row = order[rank]
        rows[rank] = [
            ids[row],
            *(round(float(one[row]), 2) for one in (x, y, z)),
            float(f"{score[row]:.5g}") if np.isfinite(score[row]) else None,
            lists["species"].index(species[row]),
            DECISIONS.index(decisions[row]),
            round(float(diameter[row]), 1),
            _close(voxels, np.array([z[row], y[row], x[row]]) / size, diameter[row] / size)
            if close[row]
            else None,
            lists["kinds"].index(kinds[row]),
        ]
    nz, ny, nx = tomogram.shape
    thick = [float(np.diff(one.edges).mean()) * size for one in stacks]
    lacking = int(np.isnan(values[:, 4]).sum())
    return {
        "name": tomogram.name,
        "size": [nx, ny, nz],
        "voxel": size,
        "pixel": binning * size,
        "sections": [  # across x (y down, z to the right), y and z
            _stack(across_x.images.transpose(0, 2, 1), across_x.edges),
            _stack(across_y.images, across_y.edges),
            _stack(across_z.images, across_z.edges),
        ],
        "picks": rows,
        "truth": [] if truth is None else _truth(truth, lists["species"], fallback),
        "text": f"{tomogram.name}: {nx} × {ny} × {nz} voxels of {size:g} Å (x, y, z)"
        + (
            f", shown in pixels of {binning * size:g} Å ({binning} voxels a side)"
            if binning > 1
            else ""
        )
        + f". Sections are means of {thick[0]:.0f} Å (z), {thick[1]:.0f} Å (y) and "
        f"{thick[2]:.0f} Å (x)."
        + (
            f" {lacking} picks have no diameter and are drawn {fallback:.0f} Å wide."
            if lacking
            else ""
        ),
    }


def view_page(
    tomograms: Sequence[Mapping[str, Any]],
    lists: Mapping[str, Sequence[str]],
    *,
    title: str,
    notes: Sequence[str] = (),
) -> str:
    """Write the page of what `tomogram_content` gave.

    Returns
    -------
    str
        Self-contained HTML: images and script are inside, nothing is fetched.

    Raises
    ------
    InputError
        There is no tomogram.
    """
    if not tomograms:
        raise InputError("there are no picks to look at.")
    scores = [p[4] for one in tomograms for p in one["picks"] if p[4] is not None] or [0.0]
    step = slider_step(min(scores), max(scores))
    low, high = math.floor(min(scores) / step) * step, math.ceil(max(scores) / step) * step
    colours = species_colours(lists["species"])
    named = [(name or "no species", css(colours[name])) for name in lists["species"]]
    said = {pick[6] for one in tomograms for pick in one["picks"]}
    decisions = [(name, _KEYS[name], index in said) for index, name in enumerate(DECISIONS)]
    page = Page(title)
    notes = [
        *notes,
        "A pick is drawn where a section passes through its particle, fainter the farther its "
        "centre is.",
    ]
    page.markup(
        f"<style>{STYLE}{_STYLE}</style>"
        + _MARKUP.format(
            depth=_SLIDER.format(axis="z", focus=" autofocus"),
            sliders="".join(_SLIDER.format(axis=axis, focus="") for axis in "yx"),
            low=round(low, 6),
            high=round(high, 6),
            step=step,
            species="".join(_row("species", name, _swatch(colour)) for name, colour in named),
            decisions="".join(_row("decision", name, key, shown) for name, key, shown in decisions),
            truth=_TRUTH if any(one["truth"] for one in tomograms) else "",
            notes="".join(f'<p class="lead">{html.escape(note)}</p>' for note in notes),
        )
    )
    page.script(
        "viewer.js",
        {
            "tomograms": tomograms,
            "species": named,
            "decisions": DECISIONS,
            "kinds": lists["kinds"],
        },
    )
    return page.html()


_SLIDER = (
    '<div class="row"><label for="slider-{axis}">{axis}</label>'
    '<input id="slider-{axis}" type="range" min="0" step="1"{focus}><span id="at-{axis}"></span>'
    "</div>"
)
_CIRCLE = '<circle cx="7" cy="7" r="5.5"/>'
_KEYS = {
    name: f'<svg class="key" viewBox="0 0 26 14"><g class="hit {name}-hit">{_CIRCLE}{cross}'
    "</g></svg>"
    for name, cross in (
        ("accepted", ""),
        ("rejected", '<path d="M3 3L11 11M3 11L11 3"/>'),
        ("undecided", ""),
    )
}
_TRUTH = (
    '<p><label><input type="checkbox" id="truth" checked>the truth: diamonds in the colour of the '
    "species, filled where no pick (but for rejected ones) found the particle</label></p>"
)


def _row(name: str, text: str, key: str, shown: bool = True) -> str:
    hidden = "" if shown else " hidden"
    return (
        f'<tr{hidden}><td><label><input type="checkbox" name="{name}" checked>{key}'
        f"{html.escape(text)}</label></td><td></td><td></td></tr>"
    )


def _swatch(colour: str) -> str:
    return f'<span class="swatch" style="background:{colour}"></span>'


def _binning(shape: tuple[int, int, int], side: int) -> int:
    return math.ceil(max(shape) / side)


def _stack(images: npt.NDArray[np.float64], edges: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Encode sections with one contrast for all."""
    number, rows, columns = images.shape
    grey = contrast_stretched(images.reshape(number * rows, columns))
    return {
        "images": [jpeg_url(one) for one in grey.reshape(number, rows, columns)],
        "pixels": [columns, rows],
        "edges": edges.tolist(),
    }


def _truth(truth: pd.DataFrame, species: Sequence[str], fallback: float) -> list[list[Any]]:
    columns = ["slabkitX", "slabkitY", "slabkitZ", "slabkitSpecies", "slabkitDiameter", "found"]
    return [
        [
            *(round(float(one), 2) for one in row[:3]),
            species.index(row[3]),
            round(fallback if math.isnan(row[4]) else float(row[4]), 1),
            None if row[5] is None else bool(row[5]),
        ]
        for row in truth[columns].itertuples(index=False, name=None)
    ]


def _close(voxels: TomogramVoxels, centre: npt.NDArray[np.float64], diameter: float) -> list[Any]:
    """Give the sections across z, y and x through a place (voxels), side by side.

    The address of the image, side and thickness in voxels, and the place (z, y, x) in the image.
    """
    least, most, larger = _CLOSE_SIDE
    side = math.ceil(min(max(2 * diameter, least), max(most, 1.25 * diameter), larger))
    thick = max(1, round(_CLOSE_THICKNESS * diameter))
    middle = np.floor(centre + 0.5).astype(int)
    images = np.full((3, side, side), np.nan)
    for axis, image in enumerate(images):
        lengths = [side, side, side]
        lengths[axis] = thick
        start = [int(m) - n // 2 for m, n in zip(middle, lengths, strict=True)]
        stop = [a + n for a, n in zip(start, lengths, strict=True)]
        corners = (start[0], start[1], start[2]), (stop[0], stop[1], stop[2])
        mean = project_block(voxels, *corners, functools.partial(_mean, axis=axis))
        if mean is not None:
            corner = [max(0, -start[other]) for other in range(3) if other != axis]
            rows, columns = mean.shape
            image[corner[0] : corner[0] + rows, corner[1] : corner[1] + columns] = mean
    where = [round(float(c - m + side // 2), 2) for c, m in zip(centre, middle, strict=True)]
    return [jpeg_url(contrast_stretched(np.concatenate(images, axis=1))), side, thick, *where]


def _mean(block: npt.NDArray[Any], axis: int) -> npt.NDArray[np.float64]:
    mean: npt.NDArray[np.float64] = block.mean(axis=axis, dtype=np.float64)
    return mean
