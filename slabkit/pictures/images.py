"""Pictures for people to look at: stretched contrast, circled picks, contact sheets, as PNG.

Row 0 of an image is drawn at the top, column 0 on the left; nothing is mirrored. All pictures are
deterministic: the same arrays give the same bytes.
"""

from __future__ import annotations

import base64
import io
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError
from slabkit.pictures.colours import species_colours
from slabkit.pictures.lettering import Font, font, length, write
from slabkit.tables import DECISIONS

Picture: TypeAlias = npt.NDArray[np.uint8]
"""Grey values ``(y, x)`` or colours ``(y, x, 3)``, 0 to 255."""

_BACKGROUND = (255, 255, 255)
_INK = (30, 30, 30)
_LINE = (255, 255, 255)
_MIDDLE_GREY = 128
_SMALLEST_TILE = 64
_CLASS_SIDE, _FRAME = 150, 5
_GOOD = (64, 200, 110)


def contrast_stretched(
    image: npt.NDArray[Any], *, low: float = 0.5, high: float = 99.5
) -> npt.NDArray[np.uint8]:
    """Stretch an image (y, x) to 0..255 between two percentiles; what is not finite is black.

    Middle grey throughout where the percentiles are equal (a constant image).
    """
    image = np.asarray(image)
    if image.ndim != 2 or image.size == 0:
        raise InputError(f"a picture is made from an image (y, x), not from shape {image.shape}.")
    values = image.astype(np.float32)
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(image.shape, dtype=np.uint8)
    bottom, top = np.percentile(values[finite], [low, high])
    if not top > bottom:  # nearly all pixels are one value: use what range there is
        bottom, top = float(values[finite].min()), float(values[finite].max())
    if not top > bottom:
        stretched = np.full(image.shape, _MIDDLE_GREY, dtype=np.uint8)
    else:
        scaled = np.where(finite, (values - bottom) * (255.0 / (top - bottom)), 0.0)
        stretched = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    stretched[~finite] = 0
    return stretched


def draw_picks(
    image: npt.NDArray[Any],
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    radii: npt.ArrayLike,
    *,
    species: Sequence[str] | None = None,
    decisions: Sequence[str] | None = None,
    largest_side: int = 2048,
    smallest_side: int = 600,
) -> npt.NDArray[np.uint8]:
    """Draw an image with a circle about every pick.

    Parameters
    ----------
    image : ndarray, shape (y, x)
        Taken as it is if uint8, else stretched by `contrast_stretched`.
    x, y : array-like of float, shape (picks,)
        Centres in pixels, 0 = centre of the first pixel.
    radii : array-like of float, shape (picks,) or ()
        Radii in pixels.
    species : sequence of str, shape (picks,), optional
        Their colours, by `species_colours`; a legend with counts stands below the image if any
        pick has a species.
    decisions : sequence of str, shape (picks,), optional
        Accepted picks have thick circles, undecided ones thin, rejected ones are dashed and
        crossed out; the legend says so where they differ.
    largest_side, smallest_side : int, optional
        An image whose longer side is above or below is shrunk or enlarged to it, so that pictures
        stay of a size that one can look at.

    Returns
    -------
    ndarray of uint8, shape (y, x, 3)
        Higher than the image by the legend, if there is one.

    Raises
    ------
    InputError
        As `contrast_stretched`.
    """
    from PIL import Image, ImageDraw

    grey = _as_grey(image)
    x_px, y_px = (np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in (x, y))
    radius_px = np.broadcast_to(np.asarray(radii, dtype=np.float64), x_px.shape)
    longer = max(grey.shape)
    scale = min(max(longer, smallest_side), largest_side) / longer
    height, width = (max(1, round(side * scale)) for side in grey.shape)
    picture = Image.fromarray(grey).convert("RGB")
    if scale != 1:
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(picture)
    line = max(1, round(max(picture.size) / 400))
    # Pixel centres are whole numbers in our tables, half numbers in Pillow's enlarged picture.
    centre_x = (x_px + 0.5) * (width / grey.shape[1]) - 0.5
    centre_y = (y_px + 0.5) * (height / grey.shape[0]) - 0.5
    names = ["" for _ in x_px] if species is None else list(species)
    words = ["" for _ in x_px] if decisions is None else list(decisions)
    colours = species_colours(names)
    circles = zip(centre_x, centre_y, radius_px * scale, names, words, strict=True)
    for cx, cy, radius, name, word in circles:
        _circle(draw, cx, cy, radius, colours[name], line, word)
    if any(names) or len(set(words)) > 1:
        picture = _with_legend(picture, names, words, colours)
    return np.asarray(picture, dtype=np.uint8)


def _circle(
    draw: Any, x: float, y: float, radius: float, colour: tuple[int, ...], line: int, decision: str
) -> None:
    box = (x - radius, y - radius, x + radius, y + radius)
    if decision == "rejected":
        for start in range(0, 360, 30):
            draw.arc(box, start, start + 18, colour, line)
        half = radius * math.sqrt(0.5)
        draw.line((x - half, y - half, x + half, y + half), colour, 1)
        draw.line((x - half, y + half, x + half, y - half), colour, 1)
    else:
        width = {"accepted": line + 1, "undecided": 1}.get(decision, line)
        draw.ellipse(box, None, colour, width)


def _with_legend(
    picture: Any, species: list[str], decisions: list[str], colours: dict[str, tuple[int, int, int]]
) -> Any:
    """Put rows below a picture: species with their counts, decisions where they differ."""
    from PIL import Image, ImageDraw

    counts, said = Counter(species), Counter(decisions)
    entries = [(name or "no species", counts[name], colour, "") for name, colour in colours.items()]
    if len(said) > 1:
        entries += [(word, said[word], _INK, word) for word in DECISIONS if said[word]]
    size = max(13, round(picture.width / 80))
    letters, row = font(size), round(size * 1.8)
    places, left, top = [], row // 2, picture.height
    for text, count, colour, word in entries:
        label = f"{text} ({count})"
        wide = row + length(label, letters) + size
        if left > row // 2 and left + wide > picture.width:
            left, top = row // 2, top + row
        places.append((left, top, label, colour, word))
        left += round(wide)
    taller = Image.new("RGB", (picture.width, top + row), _BACKGROUND)
    taller.paste(picture, (0, 0))
    draw = ImageDraw.Draw(taller)
    for x, y, label, colour, word in places:
        middle, radius = y + row / 2, size * 0.45
        if word:
            _circle(draw, x + radius, middle, radius, colour, 2, word)
        else:
            draw.ellipse((x, middle - radius, x + 2 * radius, middle + radius), colour, _INK)
        write(draw, (x + row * 0.75, middle), label, _INK, letters, "lm")
    return taller


def contact_sheet(
    images: Iterable[npt.NDArray[Any]],
    labels: Sequence[str],
    *,
    columns: int | None = None,
    tile_side: int = 320,
    gap: int = 10,
) -> npt.NDArray[np.uint8]:
    """Lay images out in rows, each shrunk to a tile with its label below.

    Parameters
    ----------
    images : iterable of ndarray, shape (y, x) or (y, x, 3)
        Taken one at a time. uint8 images are shown as they are, others stretched.
    labels : sequence of str
        One for each image, of one line or more; what is too long for the tile loses its middle.
    columns : int, optional
        Tiles in a row; by default as near to a 4:3 sheet as can be.
    tile_side : int, optional
        Longer side of a tile in pixels. Smaller images are enlarged up to fourfold.
    gap : int, optional
        Pixels between tiles.

    Returns
    -------
    ndarray of uint8, shape (y, x, 3)

    Raises
    ------
    InputError
        If there is no image, or the numbers of images and labels differ.
    """
    from PIL import Image, ImageDraw

    tiles = [_tile(image, tile_side) for image in images]
    if len(tiles) != len(labels):
        raise InputError(f"a contact sheet got {len(tiles)} images and {len(labels)} labels.")
    if not tiles:
        raise InputError("a contact sheet needs at least one image.")
    width, height = (max(tile.size[axis] for tile in tiles) for axis in (0, 1))
    font_size = 13
    letters = font(font_size)
    line = font_size + 4
    band = line * max(label.count("\n") + 1 for label in labels) + 4
    cell_x, cell_y = width + gap, height + band + gap
    if columns is None:
        columns = math.ceil(math.sqrt(len(tiles) * 4 / 3 * cell_y / cell_x))
    columns = max(1, min(columns, len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    sheet = Image.new("RGB", (columns * cell_x + gap, rows * cell_y + gap), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for number, (tile, label) in enumerate(zip(tiles, labels, strict=True)):
        down, across = divmod(number, columns)
        left, top = gap + across * cell_x, gap + down * cell_y
        sheet.paste(tile, (left + (width - tile.size[0]) // 2, top + height - tile.size[1]))
        for row, text in enumerate(label.split("\n")):
            place = left + width / 2, top + height + 2 + (row + 0.5) * line
            write(draw, place, _shortened(text, letters, width), _INK, letters, "mm")
    return np.asarray(sheet, dtype=np.uint8)


def class_sheet(
    averages: npt.NDArray[Any],
    sizes: Sequence[int] | npt.NDArray[Any],
    resolutions: Sequence[float] | npt.NDArray[Any],
    qualities: Sequence[float] | npt.NDArray[Any],
    accepted: Sequence[bool] | npt.NDArray[Any],
    captions: Sequence[str] = (),
) -> npt.NDArray[np.uint8]:
    """Lay class averages out, numbered from 1 with images, resolution (Å) and quality.

    Those that are accepted are framed in green; captions make a third line.
    """
    from PIL import Image

    framed, labels = [], []
    rows = zip(averages, sizes, resolutions, qualities, accepted, strict=True)
    for number, (average, size, resolution, quality, good) in enumerate(rows, 1):
        grey = Image.fromarray(contrast_stretched(average, low=0.1, high=99.9)).convert("RGB")
        inner = _CLASS_SIDE - 2 * _FRAME
        tile = Image.new("RGB", (_CLASS_SIDE, _CLASS_SIDE), _GOOD if good else _BACKGROUND)
        tile.paste(grey.resize((inner, inner), Image.Resampling.BICUBIC), (_FRAME, _FRAME))
        framed.append(np.asarray(tile, dtype=np.uint8))
        labels.append(f"class {number}: {size} images\n{resolution:.0f} Å, quality {quality:.2f}")
    if captions:
        labels = [f"{label}\n{more}" for label, more in zip(labels, captions, strict=True)]
    columns = max(1, min(10, math.ceil(math.sqrt(len(framed) * 1.4))))
    return contact_sheet(framed, labels, columns=columns, tile_side=_CLASS_SIDE, gap=6)


def numbered_gallery(
    gallery: npt.NDArray[Any], tile_px: int, *, border_px: int = 0, tiles: int | None = None
) -> npt.NDArray[np.uint8]:
    """Draw a gallery with its rows and columns numbered, as label files count them.

    Parameters
    ----------
    gallery : ndarray, shape (y, x)
        Rows of square tiles inside a border.
    tile_px : int
        Side of a tile in pixels.
    border_px : int, optional
        Width of the border.
    tiles : int, optional
        How many tiles are filled, row by row; rows without any are left out of the picture.

    Returns
    -------
    ndarray of uint8, shape (y, x, 3)
        Tiles enlarged to 64 pixels at least, thin lines between them, numbers from 0 on the left
        and above.
    """
    from PIL import Image, ImageDraw

    inner = gallery[border_px : len(gallery) - border_px, border_px : gallery.shape[1] - border_px]
    columns = inner.shape[1] // tile_px
    rows = inner.shape[0] // tile_px
    if tiles is not None:
        rows = max(1, min(rows, -(-tiles // columns)))
    grey = Image.fromarray(contrast_stretched(inner[: rows * tile_px]))
    scale = max(1, -(-_SMALLEST_TILE // tile_px))
    side, margin = tile_px * scale, 26
    grey = grey.resize((columns * side, rows * side), Image.Resampling.BICUBIC)
    picture = Image.new("RGB", (columns * side + margin, rows * side + margin), _BACKGROUND)
    picture.paste(grey.convert("RGB"), (margin, margin))
    draw = ImageDraw.Draw(picture)
    letters = font(13)
    for column in range(columns):
        x = margin + column * side
        draw.text((x + side / 2, margin / 2), str(column), _INK, letters, anchor="mm")
        draw.line((x, margin, x, margin + rows * side), _LINE)
    for row in range(rows):
        y = margin + row * side
        draw.text((margin / 2, y + side / 2), str(row), _INK, letters, anchor="mm")
        draw.line((margin, y, margin + columns * side, y), _LINE)
    return np.asarray(picture, dtype=np.uint8)


def png_bytes(picture: npt.NDArray[np.uint8]) -> bytes:
    """Encode a picture, (y, x) or (y, x, 3), as PNG, without a time stamp."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def jpeg_url(image: npt.NDArray[Any], largest_side: int | None = None) -> str:
    """Encode an image (y, x) as the address of a JPEG that is in the page; shrunk if larger."""
    from PIL import Image

    picture = Image.fromarray(_as_grey(image))
    scale = 1.0 if largest_side is None else min(1.0, largest_side / max(picture.size))
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _as_grey(image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    image = np.asarray(image)
    return image if image.dtype == np.uint8 and image.ndim == 2 else contrast_stretched(image)


def _tile(image: npt.NDArray[Any], side: int) -> Any:
    from PIL import Image

    image = np.asarray(image)
    coloured = image.ndim == 3 and image.dtype == np.uint8
    picture = Image.fromarray(image if coloured else _as_grey(image)).convert("RGB")
    scale = min(side / max(picture.size), 4.0)
    width, height = (max(1, round(length * scale)) for length in picture.size)
    filtering = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC
    return picture.resize((width, height), filtering)


def _shortened(label: str, letters: Font, width_px: int) -> str:
    if length(label, letters) <= width_px:
        return label
    for kept in range(len(label) - 1, 1, -1):
        text = f"{label[: kept - kept // 2]}…{label[len(label) - kept // 2 :]}"
        if length(text, letters) <= width_px:
            return text
    return "…"
