"""Options that the pickers and `map` share, and how their values are read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from slabkit.errors import InputError

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
        help="Keep only what is inside masks (above 0): volumes named as the tomograms, or "
        "images named as the slabs, perhaps with an ending such as _mask; files, folders or "
        "patterns, any number of times.",
        show_default=False,
    ),
]


def _threshold_option(default: str) -> Any:
    return typer.Option(
        metavar="SD|auto",
        help="Lowest score, in noise standard deviations; auto: where half of the picks stand out "
        "of the background by a fit to the scores, with the numbers expected. "
        f"Default: {default}.",
        show_default=False,
    )


TemplateThreshold = Annotated[str | None, _threshold_option("2.5; with --correlation-only 3")]
BlobThreshold = Annotated[
    str | None, _threshold_option("2; with --max-ridge inf or --method laplacian 3")
]
TargetPrecision = Annotated[
    float | None,
    typer.Option(
        metavar="P",
        help="Instead of --threshold: the lowest one with this share of true picks, by the labels "
        "of --labelled or else by the fit of --threshold auto.",
        show_default=False,
    ),
]
Labelled = Annotated[
    str | None,
    typer.Option(
        metavar="PICKS",
        help="For --target-precision: a pick list with decisions, made with the same picker "
        "(slabkit curate --keep all).",
        show_default=False,
    ),
]
MaxPerSlab = Annotated[int | None, typer.Option(metavar="N", help="Keep the N best of each slab.")]
MinDistance = Annotated[
    float | None,
    typer.Option(
        metavar="Å",
        help="Of two picks closer than this keep the better; default: half the larger "
        "diameter of the two.",
        show_default=False,
    ),
]
MaxRidge = Annotated[
    float,
    typer.Option(
        metavar="SHARE",
        help="Drop picks on a line (membrane, filament) that goes on at two sides and is so high "
        "as a share of the pick's own contrast; fainter lines lower the score. inf: off, for "
        "particles that sit in membranes.",
    ),
]
SlabContrast = Annotated[
    str | None,
    typer.Option(
        "--contrast",
        metavar="dark|bright",
        help="How protein looks in the slabs; default: as their table says.",
        show_default=False,
    ),
]
Png = Annotated[bool, typer.Option("--png", help="Also a picture of every slab with its picks.")]


def parse_threshold(text: str | None) -> float | Literal["auto"] | None:
    """Read ``--threshold``; None passes."""
    if text is None or text == "auto":
        return text  # type: ignore[return-value]
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--threshold takes a number or auto, not {text!r}.") from None
