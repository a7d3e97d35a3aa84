"""Text in pictures, in the font that Pillow brings, and the letters which that font lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from PIL import ImageFont

Font: TypeAlias = "ImageFont.FreeTypeFont | ImageFont.ImageFont"

_LACKING = str.maketrans({"Å": "A", "–": "-", "×": "x", "µ": "u", "β": "b"})


def font(size: int) -> Font:
    """Give Pillow's font in a size in pixels."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


def length(text: str, letters: Font) -> float:
    """Give the length of a line in pixels."""
    return float(letters.getlength(text.translate(_LACKING)))


def write(
    draw: Any, place: tuple[float, float], text: str, colour: Any, letters: Font, anchor: str
) -> None:
    """Write a line, ``anchor`` as Pillow has it; Å is an A with a ring above."""
    plain = text.translate(_LACKING)
    draw.text(place, plain, colour, letters, anchor=anchor)
    if "Å" not in text:
        return
    left = place[0] - {"l": 0.0, "m": 0.5, "r": 1.0}[anchor[0]] * letters.getlength(plain)
    _, top, _, bottom = draw.textbbox(place, "A", letters, anchor=anchor)
    radius = 0.14 * (bottom - top)
    for number, letter in enumerate(text):
        if letter == "Å":
            middle = left + letters.getlength(plain[:number]) + letters.getlength("A") / 2
            y = top - 0.8 * radius
            box = (middle - radius, y - radius, middle + radius, y + radius)
            draw.ellipse(box, None, colour, max(1, round(0.08 * (bottom - top))))
