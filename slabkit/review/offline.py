"""One page with everything inside it: decisions stay in the browser and come back as CSV."""

from __future__ import annotations

import base64
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from slabkit.errors import InputError
from slabkit.review.listing import Listing
from slabkit.review.ordering import suggested_order
from slabkit.review.packing import pack
from slabkit.tables import LABELS, empty_table

_MOST = 60_000
_LARGEST_SIDE = 64  # larger tiles are shrunk, so that the page opens at once
_BATCH = 4096
# Everything is in the page; nothing may be fetched.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)
_MODULES = re.compile(r"""(from\s+|import\()"\./([a-z]+\.js)\"""")


def write_page(path: str, listing: Listing, head: dict[str, Any], beta: float) -> None:
    """Write the page; ``head`` is what the page shows of the options.

    Raises `InputError`: there are too many minislabs for one file.
    """
    from slabkit.formats.tables.atomic import atomic_path

    if len(listing) > _MOST:
        raise InputError(
            f"{len(listing)} minislabs are too many for one page (at most {_MOST}); review them "
            "with the server, or take a selection."
        )
    arrays = {**listing.columns, **_averages(listing)}
    suggested = suggested_order(listing, empty_table(LABELS), beta)
    if suggested is not None:
        arrays |= {"suggested": suggested[0], "probability": suggested[1]}
    files = resources.files("slabkit.review").joinpath("static")
    texts = {one.name: one.read_text(encoding="utf-8") for one in files.iterdir() if one.is_file()}
    bins = -(-listing.side // _LARGEST_SIDE)
    side = listing.side // bins
    header = {
        **head,
        "side": side,
        "pixel": listing.pixel_size * bins,
        "ids": [str(one) for one in listing.ids],
    }
    modules = {
        name: _MODULES.sub(r'\1"review/\2"', text)
        for name, text in texts.items()
        if name.endswith(".js")
    }
    imports = {
        f"review/{name}": f"data:text/javascript;base64,{_base64(text.encode())}"
        for name, text in modules.items()
        if name != "main.js"
    }
    page = texts["index.html"]
    page = re.sub(r'<link rel="stylesheet"[^>]*>', "", page)
    page = re.sub(r'<script type="module"[^>]*></script>', "", page)
    before, after = page.split("</head>")
    with atomic_path(Path(path)) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(f'{before}<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n')
        file.write(f"<style>\n{texts['style.css']}</style>\n")
        file.write(f'<script type="importmap">{json.dumps({"imports": imports})}</script>\n</head>')
        body, end = after.split("</body>")
        file.write(body)
        file.write('<script type="application/octet-stream" id="embedded">')
        file.write(_base64(pack(header, arrays)))
        file.write("</script>\n")
        for start in range(0, len(listing), _BATCH):
            rows = np.arange(start, min(start + _BATCH, len(listing)))
            tiles = listing.tiles(rows)[:, : side * bins, : side * bins]
            shape = (len(rows), side, bins, side, bins)
            small = tiles.reshape(shape).mean(axis=(2, 4)).round().astype(np.uint8)
            file.write('<script type="application/octet-stream" class="tiles">')
            file.write(_base64(small.tobytes()))
            file.write("</script>\n")
        file.write(f'<script type="module">\n{modules["main.js"]}</script>\n</body>{end}')


def _averages(listing: Listing) -> dict[str, Any]:
    found = {}
    for number, name in enumerate(listing.classes):
        image = listing.average(name)
        if image is not None:
            found[f"average{number}"] = image
    return found


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
