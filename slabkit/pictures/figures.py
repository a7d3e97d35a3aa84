"""The charts of pages and pictures: stacked bars, histograms, lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.pictures.colours import css, species_colours
from slabkit.pictures.drawing import COLOURS, SERIES, Drawing

if TYPE_CHECKING:
    import pandas as pd

_WIDTH, _HEIGHT, _ROW = 660, 220, 22  # the height is of the area within the axes
_LETTER = 6.6  # width of a character in the drawing, about


def stacked_bars(
    rows: Mapping[str, Mapping[str, float]], *, title: str, unit: str = "picks"
) -> Drawing:
    """Draw a horizontal bar for each row, made of its parts, with its sum after it.

    A part whose name is a style (``accepted``...) has that style's colour.
    """
    parts = list(dict.fromkeys(name for row in rows.values() for name in row))
    sums = {name: sum(row.values()) for name, row in rows.items()}
    longest = max((len(name) for name in rows), default=0)
    left = min(40 + longest * _LETTER, 240)
    top = 34 + 20 * _legend_rows(parts)
    drawing = Drawing(_WIDTH, top + _ROW * len(rows) + 12, f"{title} ({unit})")
    drawing.text(12, 16, title, "start", "title")
    _legend(drawing, parts, 12, 38)
    scale = (_WIDTH - left - 70) / (max(sums.values(), default=0) or 1)
    for number, (name, row) in enumerate(rows.items()):
        y, x = top + number * _ROW, left
        drawing.text(left - 8, y + _ROW / 2, _short(name, left), "end")
        for index, part in enumerate(parts):
            width = row.get(part, 0) * scale
            if width > 0:
                drawing.rectangle(x, y + 3, width, _ROW - 6, _style(part, index))
            x += width
        drawing.text(x + 6, y + _ROW / 2, f"{sums[name]:,.0f}", "start")
    return drawing


def histograms(
    groups: Mapping[str, npt.ArrayLike],
    *,
    title: str,
    label: str,
    bins: int | None = None,
    span: tuple[float, float] | None = None,
    marks: Mapping[str, float] | None = None,
    unit: str = "picks",
    styles: Mapping[str, str] | None = None,
) -> Drawing:
    """Draw how values are spread, one stepped line a group.

    Bins: by default 10 to 40, the more the more values there are. Span: values beyond are counted
    at its ends; by default from 0 or the least to the 99th percentile. Marks: vertical lines.
    """
    values = {name: np.asarray(group, dtype=float) for name, group in groups.items()}
    values = {name: group[np.isfinite(group)] for name, group in values.items()}
    everything = np.concatenate([np.zeros(0), *values.values()])
    if span is None:
        low = min(0.0, float(everything.min())) if len(everything) else 0.0
        high = float(np.percentile(everything, 99)) if len(everything) else 1.0
        span = (low, high if high > low else low + 1)
    if bins is None:
        bins = min(max(round(2 * len(everything) ** 0.5), 10), 40)
    edges = np.linspace(*span, bins + 1)
    lines = {}
    for name, group in values.items():
        count = np.histogram(np.clip(group, *span), edges)[0]
        lines[name] = (np.repeat(edges, 2), np.concatenate([[0], np.repeat(count, 2), [0]]))
    return lines_chart(
        lines,
        title=title,
        label_x=label,
        label_y=unit,
        marks=marks,
        from_zero=True,
        styles=styles,
    )


def lines_chart(
    lines: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]],
    *,
    title: str,
    label_x: str,
    label_y: str,
    bands: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]] | None = None,
    span_y: tuple[float, float] | None = None,
    marks: Mapping[str, float] | None = None,
    dashed: Sequence[str] = (),
    from_zero: bool = False,
    styles: Mapping[str, str] | None = None,
    size: tuple[int, int] = (_WIDTH, _HEIGHT),
) -> Drawing:
    """Draw lines with a legend; points that are not finite are left out.

    ``bands`` are faint areas from low to high about the line of that name, ``marks`` vertical
    lines: dashed and with their names, or in the style of that name. ``span_y`` is the range of
    the vertical axis. ``styles``: of lines that have one of their own. ``size``: width of the
    drawing, and height of the area within the axes.
    """
    finite = {name: _finite(*line) for name, line in lines.items()}
    xs = np.concatenate([np.zeros(0), *(x for x, _ in finite.values())])
    ys = np.concatenate([np.zeros(0), *(y for _, y in finite.values())])
    for name, (low, high) in (bands or {}).items():
        ys = np.concatenate([ys, *(_finite(lines[name][0], edge)[1] for edge in (low, high))])
    low_x, high_x = _range(xs)
    low_y, high_y = span_y or _range(np.append(ys, 0.0) if from_zero else ys)
    names = list(lines)
    top = 48 + 20 * _legend_rows(names)
    width, height = size
    left, right, bottom = min(66, width // 5), width - 18, top + height
    drawing = Drawing(width, bottom + 50, title)
    drawing.text(12, 16, title, "start", "title")
    _legend(drawing, names, 12, 38, styles)

    def place(x: Any, y: Any) -> list[tuple[float, float]]:
        across = left + (np.asarray(x) - low_x) / (high_x - low_x) * (right - left)
        down = bottom - (np.asarray(y) - low_y) / (high_y - low_y) * (bottom - top - 8)
        return list(zip(across.tolist(), down.tolist(), strict=True))

    for tick in round_ticks(low_x, high_x, width // 80):
        [(x, _)] = place([tick], [low_y])
        drawing.line([(x, bottom), (x, bottom + 4)], "axis", 1)
        drawing.text(x, bottom + 14, f"{tick:g}")
    for tick in round_ticks(low_y, high_y, height // 44):
        if from_zero and tick % 1:  # of counts
            continue
        [(_, y)] = place([low_x], [tick])
        drawing.line([(left, y), (right, y)], "axis", 0.5)
        drawing.text(left - 8, y, f"{tick:g}", "end")
    drawing.line([(left, top), (left, bottom), (right, bottom)], "axis", 1)
    drawing.text((left + right) / 2, bottom + 36, label_x)
    drawing.text(left, top - 6, label_y, "start")
    for name, x_mark in (marks or {}).items():
        if low_x <= x_mark <= high_x:
            [(x, _)] = place([x_mark], [low_y])
            style = name if name in COLOURS else "mark"
            drawing.line([(x, top + 4), (x, bottom)], style, 1, style == "mark" or name in dashed)
            if style == "mark":
                drawing.text(x + 4, top + 10, name, "start")
    for index, name in enumerate(names):
        style = _style(name, index, styles)
        if bands and name in bands:
            lower, upper = (_finite(lines[name][0], edge) for edge in bands[name])
            if len(lower[0]):
                drawing.band([*place(*lower), *place(*upper)[::-1]], style)
        if len(finite[name][0]):
            drawing.line(place(*finite[name]), style, 2, dashed=name in dashed)
    return drawing


def score_label(kind: str) -> str:
    """Say on an axis what scores of a kind are, and in what unit."""
    if kind.startswith(("blob-", "template")):
        return "score (standard deviations)"
    return f"score ({kind})" if kind else "score"


def curve_drawing(curve: pd.DataFrame, beta: float, label: str = "") -> Drawing:
    """Draw F-beta over thresholds by species, from a curve of `slabkit.score_curve`.

    ``label``: what the scores are.
    Species of which anything is found, then all (dashed); where picks have no species, all alone.
    """
    lines = {
        str(name): (rows["threshold"].to_numpy(), rows["f_beta"].to_numpy())
        for name, rows in curve.groupby("species", sort=False)
        if (rows["f_beta"] > 0).any()
    }
    best = ", ".join(
        f"{name} {x[y.argmax()]:.3g}" for name, (x, y) in lines.items() if len(y) and y.max() > 0
    )
    what = f"threshold: {label}" if label else "threshold"
    return lines_chart(
        lines,
        title=f"F{beta:g} of the picks that score at least",
        label_x=f"{what} (best: {best})" if best and len(what + best) < 84 else what,
        label_y=f"F{beta:g}",
        span_y=(0.0, 1.0),
        dashed=("all",),
        styles=species_styles(set(lines) - {"all"}) | _all_of(lines),
    )


def _all_of(lines: Mapping[str, Any]) -> dict[str, str]:
    return {"all": "undecided"} if len(lines) > 1 else {}  # grey, beside coloured ones


def species_styles(names: Iterable[str]) -> dict[str, str]:
    """Give the styles of lines that are of species: their colours in every picture."""
    return {name: css(colour) for name, colour in species_colours(names).items()}


def round_ticks(low: float, high: float, most: int) -> list[float]:
    """Give about ``most`` round numbers inside the range."""
    raw = (high - low) / most
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw)
    first = np.ceil(low / step - 1e-9)
    last = np.floor(high / step + 1e-9)
    return [float(round(n * step, 10)) + 0.0 for n in np.arange(first, last + 1)]  # no -0


def _finite(
    x: npt.ArrayLike, y: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    one, two = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    good = np.isfinite(one) & np.isfinite(two)
    return one[good], two[good]


def _range(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _style(name: str, index: int, styles: Mapping[str, str] | None = None) -> str:
    if styles and name in styles:
        return styles[name]
    return name if name in COLOURS else f"series{index % SERIES}"


def _short(name: str, left: float) -> str:
    most = int((left - 20) / _LETTER)
    return name if len(name) <= most else f"{name[: most // 2]}…{name[len(name) - most // 2 + 1 :]}"


def _legend_rows(names: Sequence[str]) -> int:
    return len({row for row, _ in _legend_places(names)}) if len(names) > 1 else 0


def _legend_places(names: Sequence[str]) -> list[tuple[int, float]]:
    places, row, x = [], 0, 0.0
    for name in names:
        width = 34 + len(name) * _LETTER
        if x and x + width > _WIDTH - 24:
            row, x = row + 1, 0.0
        places.append((row, x))
        x += width
    return places


def _legend(
    drawing: Drawing,
    names: Sequence[str],
    left: float,
    top: float,
    styles: Mapping[str, str] | None = None,
) -> None:
    if len(names) < 2:
        return
    for index, (name, (row, x)) in enumerate(zip(names, _legend_places(names), strict=True)):
        y = top + 20 * row
        drawing.rectangle(left + x, y - 5, 11, 11, _style(name, index, styles))
        drawing.text(left + x + 17, y, name, "start")
