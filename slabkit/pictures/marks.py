"""Pictures with marks on them, as SVG: coloured by what a reader of the page chooses."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from slabkit.pictures.colours import css, species_colours
from slabkit.pictures.images import jpeg_url

_DECISIONS = {"accepted": "#40dc78", "rejected": "#f0963c", "undecided": "#9db4ff"}
_TRUTH = {"right": "#40dc78", "wrong": "#f0963c", "missed": "#ff5fd2"}

STYLE = """
svg.picture { max-width:none; border-radius:6px; background:#000 }
svg.picture text { fill:#cfd6dd; font-family:system-ui,sans-serif; text-anchor:middle }
svg .mark { fill:none; stroke-width:2; vector-effect:non-scaling-stroke; pointer-events:all }
.mark.rejected { stroke-dasharray:5 3; stroke-width:1.9 }
.mark.undecided { stroke-width:1.1 } .mark.missed { stroke-width:2.4 }
.mark.tile { stroke-width:1.4 }
.controls { position:sticky; top:0; z-index:2; display:flex; flex-wrap:wrap; gap:4px 22px;
  padding:9px 0; margin-bottom:8px; background:var(--ground); font-size:.9rem }
.controls span { display:flex; flex-wrap:wrap; gap:2px 14px; align-items:center }
.controls label { display:inline-flex; gap:5px; align-items:center; cursor:pointer }
.controls i { width:13px; height:13px; border-radius:50%; border:2.5px solid; background:#808488 }
.controls i.rejected { border-style:dashed } .controls i.missed { border-radius:0 }
.controls .by { color:var(--soft) }
"""


@dataclass(frozen=True)
class Mark:
    """A circle, or a square, about a place of an image; lengths in pixels of the image."""

    x: float
    y: float
    radius: float
    classes: str  # of the style sheet: decision, species (`Marking.species`), truth
    title: str  # what is said where the pointer rests
    square: bool = False

    def svg(self) -> str:
        """Give the element."""
        r = self.radius
        if self.square:
            place = f'rect x="{self.x - r:.1f}" y="{self.y - r:.1f}"'
            place += f' width="{2 * r:.1f}" height="{2 * r:.1f}"'
            end = "</rect>"
        else:
            place, end = f'circle cx="{self.x:.1f}" cy="{self.y:.1f}" r="{r:.1f}"', "</circle>"
        if "rejected" in self.classes.split() and not self.square:  # crossed out
            half = r * 0.5**0.5
            around = f"M{self.x - r:.1f} {self.y:.1f}"
            around += f"a{r:.1f} {r:.1f} 0 1 0 {2 * r:.1f} 0a{r:.1f} {r:.1f} 0 1 0 {-2 * r:.1f} 0"
            for down in (half, -half):
                around += f"M{self.x - half:.1f} {self.y - down:.1f}l{2 * half:.1f} {2 * down:.1f}"
            place, end = f'path d="{around}"', "</path>"
        title = html.escape(self.title)
        return f'<{place} class="mark {self.classes}"><title>{title}</title>{end}'


class Marking:
    """How marks are coloured on one page: by decision, by species, and by the truth if known."""

    def __init__(self, species: Iterable[str], *, truth: bool) -> None:
        names = set(species)
        self._named = bool(names - {""})
        self._colours = species_colours(names)
        self._classes = {name: f"s{number}" for number, name in enumerate(self._colours)}
        self._truth = truth
        self._bars = 0

    def species(self, name: str) -> str:
        """Give the class of a species."""
        return self._classes[name]

    def style(self) -> str:
        """Give the style sheet."""
        rules = [STYLE]
        for name, colour in _DECISIONS.items():
            rules.append(f".mark.{name} {{ stroke:{colour} }}")
        for name, rgb in self._colours.items():
            one = self._classes[name]
            rules.append(f"[data-colour=species] .mark.{one} {{ stroke:{css(rgb)} }}")
        for name in ("right", "wrong"):
            rules.append(f"[data-colour=truth] .mark.{name} {{ stroke:{_TRUTH[name]} }}")
        rules.append(f":root .mark.missed {{ stroke:{_TRUTH['missed']} }}")
        names = [*_DECISIONS, *_TRUTH, *self._classes.values()]
        rules += [f".hide-{name} .mark.{name} {{ display:none }}" for name in names]
        for mode in ("decision", "species", "truth"):
            rules.append(f"[data-colour={mode}] .legend:not(.{mode}) {{ display:none }}")
        rules.append(":root:not([data-colour]) .legend:not(.decision) { display:none }")
        return "<style>" + "\n".join(rules) + "</style>"

    def controls(self, decisions: Sequence[str], *, missed: bool) -> str:
        """Give the choice of colours and the legends; ``decisions``: those that there are."""
        self._bars += 1
        there = {"decision": True, "species": self._named, "truth": self._truth}
        modes = [mode for mode, known in there.items() if known]
        chosen = "".join(
            f'<label><input type="radio" name="colour{self._bars}" data-colour="{mode}"'
            f"{' checked' if mode == 'decision' else ''}> {mode}</label>"
            for mode in modes
        )
        lost = {"missed": ("missed particle", _TRUTH["missed"])} if missed else {}
        legends: dict[str, Mapping[str, tuple[str, str]]] = {
            "decision": {name: (name, _DECISIONS[name]) for name in decisions} | lost,
            "species": {
                self._classes[name]: (name or "(no species)", css(rgb))
                for name, rgb in self._colours.items()
            }
            | lost,
            "truth": {
                "right": ("a true particle", _TRUTH["right"]),
                "wrong": ("none there", _TRUTH["wrong"]),
                **lost,
            },
        }
        shown = "".join(
            f'<span class="legend {mode}">'
            + "".join(
                f'<label><input type="checkbox" checked data-marks="{name}">'
                f'<i class="{name}" style="border-color:{colour}"></i>{html.escape(text)}</label>'
                for name, (text, colour) in legends[mode].items()
            )
            + "</span>"
            for mode in modes
        )
        if len(modes) > 1:
            shown = f'<span><span class="by">colour by</span>{chosen}</span>{shown}'
        return f'<div class="controls">{shown}</div>'


def figure(picture: str, caption: str, *, kind: str = "") -> str:
    """Give a figure that a click enlarges; picture and caption are HTML."""
    return f'<figure class="zoom {kind}">{picture}<figcaption>{caption}</figcaption></figure>'


def marked_picture(
    image: npt.NDArray[Any],
    marks: Iterable[Mark],
    label: str,
    *,
    largest_side: int = 900,
    grid: tuple[int, int] | None = None,
) -> str:
    """Give an image ``(y, x)`` with marks as an ``svg`` element.

    Images with a longer side than ``largest_side`` are shrunk to it; ``grid``: rows and columns of
    a gallery, to number from 0.
    """
    height, width = image.shape
    margin = 0.022 * width if grid else 0.0
    numbers = ""
    if grid is not None:
        at = f'style="font-size:{0.62 * margin:.2f}px"'
        for count, across in zip(grid, (False, True), strict=True):
            for number in range(count):
                along = (number + 0.5) * (width if across else height) / count - 0.5
                x, y = (along, -0.35 * margin) if across else (-0.5 * margin, along + 0.2 * margin)
                numbers += f'<text {at} x="{x:.1f}" y="{y:.1f}">{number}</text>'
    drawn = "".join(mark.svg() for mark in marks)
    return (
        f'<svg class="picture" role="img" aria-label="{html.escape(label)}" viewBox="'
        f'{-0.5 - margin:.1f} {-0.5 - margin:.1f} {width + margin:.1f} {height + margin:.1f}">'
        f'<image x="-0.5" y="-0.5" width="{width}" height="{height}" preserveAspectRatio="none" '
        f'href="{jpeg_url(image, largest_side)}"/>{drawn}{numbers}</svg>'
    )
