"""Options that the pickers and `map` share."""

from __future__ import annotations

from typing import Annotated

import typer

Slabs = Annotated[
    str, typer.Argument(help="Slab table, slabs.star; - for standard input.", show_default=False)
]
SlabTable = Annotated[
    str,
    typer.Option(
        "--slabs", metavar="SLABS", help="The slab table, slabs.star.", show_default=False
    ),
]
Mask = Annotated[
    list[str] | None,
    typer.Option(
        "--mask",
        metavar="FILE",
        help="Keep only what lies inside masks (above 0): volumes named as the tomograms, or "
        "images named as the slabs, perhaps with an ending such as _mask; files, folders or "
        "patterns, any number of times.",
        show_default=False,
    ),
]
