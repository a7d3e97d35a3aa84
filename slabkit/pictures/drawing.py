"""Drawings of rectangles, lines and text that become SVG on a page and PNG in a file."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.pictures.lettering import font, write

COLOURS = {
    "series0": (11, 110, 153),
    "series1": (224, 138, 30),
    "series2": (47, 143, 78),
    "series3": (170, 68, 140),
    "series4": (120, 105, 190),
    "series5": (130, 90, 50),
    "series6": (60, 170, 170),
    "series7": (150, 155, 40),
    "accepted": (47, 143, 78),
    "rejected": (200, 90, 60),
    "undecided": (150, 160, 170),
    "axis": (190, 198, 206),
    "mark": (192, 57, 43),
    "found": (192, 57, 43),
    "truth": (47, 143, 78),
    "text": (70, 82, 95),
    "title": (27, 37, 48),
}
"""Red, green, blue of each style, where no page's style sheet colours it."""

SERIES = 8

VIVID = 0.65
"""On white, a colour of its own is darkened to so much of it."""

_FONT_SIZE = 12


class Drawing:
    """Shapes in pixels, x to the right and y down; ``label`` is for people who cannot see them.

    A style is one of `COLOURS`, or a colour of its own as ``#00ffff``.
    """

    def __init__(self, width: float, height: float, label: str) -> None:
        self.width, self.height, self.label = width, height, label
        self._shapes: list[tuple[Any, ...]] = []

    def rectangle(self, x: float, y: float, width: float, height: float, style: str) -> None:
        """Add a filled rectangle."""
        self._shapes.append(("rectangle", x, y, width, height, style))

    def line(
        self,
        points: Sequence[tuple[float, float]],
        style: str,
        thick: float = 2,
        dashed: bool = False,
    ) -> None:
        """Add a line through points."""
        self._shapes.append(("line", list(points), style, thick, dashed))

    def band(self, points: Sequence[tuple[float, float]], style: str) -> None:
        """Add a faint area inside a closed line."""
        self._shapes.append(("band", list(points), style))

    def text(
        self, x: float, y: float, text: str, anchor: str = "middle", style: str = "text"
    ) -> None:
        """Add text: ``y`` is its middle, ``anchor`` is ``start``, ``middle`` or ``end``."""
        self._shapes.append(("text", x, y, text, anchor, style))

    def svg(self) -> str:
        """Give an ``svg`` element, coloured by the page's style sheet."""
        body = "".join(getattr(self, f"_svg_{kind}")(*shape) for kind, *shape in self._shapes)
        return (
            f'<svg viewBox="0 0 {self.width:g} {self.height:g}" role="img" '
            f'style="max-width:{self.width:g}px" aria-label="{html.escape(self.label)}">'
            f"{body}</svg>"
        )

    def _svg_rectangle(self, x: float, y: float, width: float, height: float, style: str) -> str:
        return (
            f'<rect class="{_css(style)}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
            f'height="{height:.1f}"/>'
        )

    def _svg_line(
        self, points: list[tuple[float, float]], style: str, thick: float, dashed: bool
    ) -> str:
        listed = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        return (
            f'<polyline class="line {_css(style)}" stroke-width="{thick:g}"{dashes} '
            f'points="{listed}"/>'
        )

    def _svg_band(self, points: list[tuple[float, float]], style: str) -> str:
        listed = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        return f'<polygon class="{_css(style)}" opacity="0.18" points="{listed}"/>'

    def _svg_text(self, x: float, y: float, text: str, anchor: str, style: str) -> str:
        return (
            f'<text class="{style}" x="{x:.1f}" y="{y + 4:.1f}" text-anchor="{anchor}">'
            f"{html.escape(text)}</text>"
        )

    def picture(self, scale: int = 2) -> npt.NDArray[np.uint8]:
        """Give the pixels, (y, x, 3), ``scale`` of them for one of the drawing."""
        from PIL import Image, ImageDraw

        size = (round(self.width * scale), round(self.height * scale))
        image = Image.new("RGB", size, (255, 255, 255))
        draw = ImageDraw.Draw(image, "RGBA")
        fonts = {
            "text": font(_FONT_SIZE * scale),
            "title": font(round(_FONT_SIZE * 1.25 * scale)),
        }
        for kind, *shape in self._shapes:
            if kind == "rectangle":
                x, y, width, height, style = shape
                box = (x * scale, y * scale, (x + width) * scale - 1, (y + height) * scale - 1)
                if box[2] >= box[0] and box[3] >= box[1]:
                    draw.rectangle(box, _colour(style))
            elif kind == "line":
                points, style, thick, dashed = shape
                places = [(x * scale, y * scale) for x, y in points]
                if dashed:
                    places = _dashes(places, 5.0 * scale, 4.0 * scale)
                    for one, two in zip(places[::2], places[1::2], strict=False):
                        draw.line((*one, *two), _colour(style), round(thick * scale))
                else:
                    draw.line(places, _colour(style), round(thick * scale), joint="curve")
            elif kind == "band":
                points, style = shape
                draw.polygon([(x * scale, y * scale) for x, y in points], (*_colour(style), 46))
            else:
                x, y, text, anchor, style = shape
                side = {"start": "lm", "middle": "mm", "end": "rm"}[anchor]
                write(draw, (x * scale, y * scale), text, COLOURS[style], fonts[style], side)
        return np.asarray(image, dtype=np.uint8)


def _css(style: str) -> str:
    """Give the attributes of a style, inside the quotes of the first."""
    return f'own" style="--own:{style}' if style.startswith("#") else style


def _colour(style: str) -> tuple[int, ...]:
    if not style.startswith("#"):
        return COLOURS[style]
    return tuple(round(int(style[n : n + 2], 16) * VIVID) for n in (1, 3, 5))


def _dashes(points: list[tuple[float, float]], on: float, off: float) -> list[tuple[float, float]]:
    """Give the ends of the dashes along a line, in pairs."""
    line = np.asarray(points, dtype=float)
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    starts = np.arange(0, along[-1], on + off)
    ends = np.stack([starts, np.minimum(starts + on, along[-1])], axis=1).ravel()
    return [
        (float(np.interp(s, along, line[:, 0])), float(np.interp(s, along, line[:, 1])))
        for s in ends
    ]
