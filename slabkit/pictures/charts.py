"""Small charts as SVG text: nothing to load, sharp at any size, coloured by the page's style."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_WIDTH, _HEIGHT = 640, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 14, 44


@dataclass(frozen=True)
class Curve:
    """One small panel of `line_charts`.

    Parameters
    ----------
    title : str
    x, y : ndarray of float, shape (points,)
    marks : mapping of str to float
        Vertical lines: style class (``found``, ``truth``) to position.
    """

    title: str
    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    marks: Mapping[str, float]


def histogram(
    groups: Mapping[str, npt.ArrayLike],
    *,
    label: str,
    threshold: float | None = None,
    bins: int = 40,
) -> str:
    """Draw stacked histograms with common bins; the threshold is a vertical line."""
    values = [np.asarray(group, dtype=float) for group in groups.values()]
    values = [group[np.isfinite(group)] for group in values]
    everything = np.concatenate(values) if values else np.zeros(0)
    if not len(everything):
        return "<p>No values.</p>"
    low, high = _spread(everything)
    edges = np.linspace(low, high, bins + 1)
    counts = [np.histogram(np.clip(group, low, high), edges)[0] for group in values]
    top = max(1, int(np.sum(counts, axis=0).max()))
    axes = _Axes((low, high), (0.0, float(top)))
    parts = [axes.frame(label, "picks")]
    base = np.zeros(bins)
    for series, count in enumerate(counts):
        for left, right, start, number in zip(edges[:-1], edges[1:], base, count, strict=True):
            if number:
                parts.append(axes.bar(left, right, start, start + number, f"series{series}"))
        base += count
    if threshold is not None and low <= threshold <= high:
        parts.append(axes.vertical(threshold, "mark"))
    return _svg("".join(parts), label) + _legend(list(groups))


def bar_chart(rows: Sequence[tuple[str, float]], *, label: str) -> str:
    """Draw horizontal bars with their numbers, in the order of the rows."""
    largest = max((value for _, value in rows), default=0) or 1
    items = "".join(
        f'<li><span class="name">{html.escape(name)}</span>'
        f'<span class="bar" style="width:{58 * value / largest:.2f}%"></span>'
        f'<span class="number">{value:,.0f}</span></li>'
        for name, value in rows
    )
    return f'<ul class="bars" aria-label="{html.escape(label)}">{items}</ul>'


def line_charts(curves: Sequence[Curve], *, label: str) -> str:
    """Draw a row of small line charts."""
    width, height = 210, 130
    figures = []
    for curve in curves:
        axes = _Axes(
            (float(curve.x.min()), float(curve.x.max())),
            _spread(curve.y, 0.0),
            (width, height),
            (10, 10, 8, 24),
        )
        points = " ".join(
            f"{axes.x(x):.1f},{axes.y(y):.1f}" for x, y in zip(curve.x, curve.y, strict=True)
        )
        marks = "".join(axes.vertical(x, name) for name, x in curve.marks.items())
        ticks = "".join(axes.tick(x) for x in round_ticks(*axes.range_x, 3))
        body = f'{axes.box()}{marks}<polyline class="curve" points="{points}"/>{ticks}'
        figures.append(
            f"<figure>{_svg(body, label, (width, height))}"
            f"<figcaption>{html.escape(curve.title)}</figcaption></figure>"
        )
    return f'<div class="small-charts">{"".join(figures)}</div>'


class _Axes:
    """Data to picture coordinates."""

    def __init__(
        self,
        range_x: tuple[float, float],
        range_y: tuple[float, float],
        size: tuple[int, int] = (_WIDTH, _HEIGHT),
        margins: tuple[int, int, int, int] = (_LEFT, _RIGHT, _TOP, _BOTTOM),
    ) -> None:
        self.range_x, self.range_y = range_x, range_y
        left, right, top, bottom = margins
        self.left, self.right = left, size[0] - right
        self.top, self.bottom = top, size[1] - bottom

    def x(self, value: float) -> float:
        low, high = self.range_x
        return self.left + (value - low) / ((high - low) or 1) * (self.right - self.left)

    def y(self, value: float) -> float:
        low, high = self.range_y
        return self.bottom - (value - low) / ((high - low) or 1) * (self.bottom - self.top)

    def box(self) -> str:
        return (
            f'<path class="axis" d="M{self.left} {self.top}V{self.bottom}H{self.right}" '
            'fill="none"/>'
        )

    def bar(self, left: float, right: float, low: float, high: float, name: str) -> str:
        return (
            f'<rect class="{name}" x="{self.x(left) + 0.5:.1f}" y="{self.y(high):.1f}" '
            f'width="{self.x(right) - self.x(left) - 1:.1f}" '
            f'height="{self.y(low) - self.y(high):.1f}"/>'
        )

    def vertical(self, x: float, name: str) -> str:
        return f'<path class="{name}" d="M{self.x(x):.1f} {self.top}V{self.bottom}"/>'

    def tick(self, x: float) -> str:
        return f'<text x="{self.x(x):.1f}" y="{self.bottom + 16}" text-anchor="middle">{x:g}</text>'

    def frame(self, label_x: str, label_y: str) -> str:
        ticks = "".join(self.tick(x) for x in round_ticks(*self.range_x, 7))
        rows = "".join(
            f'<text x="{self.left - 8}" y="{self.y(y) + 4:.1f}" text-anchor="end">{y:g}</text>'
            for y in round_ticks(*self.range_y, 4)
        )
        middle = (self.left + self.right) / 2
        names = (
            f'<text x="{middle}" y="{self.bottom + 36}" text-anchor="middle">'
            f"{html.escape(label_x)}</text>"
            f'<text transform="translate(14 {(self.top + self.bottom) / 2}) rotate(-90)" '
            f'text-anchor="middle">{html.escape(label_y)}</text>'
        )
        return self.box() + ticks + rows + names


def _spread(values: npt.NDArray[np.float64], tail: float = 0.2) -> tuple[float, float]:
    """Give a range that holds all but a few extreme values, never of no width."""
    low, high = (float(v) for v in np.percentile(values, [tail / 2, 100 - tail / 2]))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def round_ticks(low: float, high: float, most: int) -> list[float]:
    """Give about ``most`` round numbers inside the range."""
    raw = (high - low) / most
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw)
    first = np.ceil(low / step - 1e-9)
    last = np.floor(high / step + 1e-9)
    return [float(round(n * step, 10)) + 0.0 for n in np.arange(first, last + 1)]  # no -0


def _svg(body: str, label: str, size: tuple[int, int] = (_WIDTH, _HEIGHT)) -> str:
    return (
        f'<svg viewBox="0 0 {size[0]} {size[1]}" role="img" aria-label="{html.escape(label)}">'
        f"{body}</svg>"
    )


def _legend(names: Sequence[str]) -> str:
    if len(names) < 2:
        return ""
    items = "".join(
        f'<span><i class="series{i}"></i>{html.escape(name)}</span>' for i, name in enumerate(names)
    )
    return f'<p class="legend">{items}</p>'
