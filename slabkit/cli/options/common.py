"""What commands share: option types, and how their values are read."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args, overload

import typer

from slabkit.errors import InputError
from slabkit.units import Contrast

Out = Annotated[str, typer.Option("--out", "-o", help="Where the result goes.", show_default=False)]
OutTable = Annotated[
    str,
    typer.Option("--out", "-o", help="Table to write; - for standard output.", show_default=False),
]
OutFolder = Annotated[
    str, typer.Option("--out", "-o", metavar="DIR", help="Folder to write to.", show_default=False)
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace results that exist.")]
Jobs = Annotated[
    int, typer.Option("--jobs", min=0, help="Workers; 0: one a processor.", show_default=False)
]
Device = Annotated[
    str,
    typer.Option(
        metavar="cpu|cuda",
        help="cuda: a graphics card, by PyTorch (extra gpu); one worker feeds it, whatever --jobs.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing but warnings and errors.")]
Json = Annotated[
    bool, typer.Option("--json", help="One JSON object on standard output, for scripts.")
]
ContrastOption = Annotated[
    str | None,
    typer.Option(
        "--contrast",
        metavar="dark|bright",
        help="How protein looks in the tomogram; default: as recorded, else dark.",
        show_default=False,
    ),
]
VoxelSizeOption = Annotated[
    float | None,
    typer.Option("--voxel-size", metavar="Å", help="Voxel size, where the file's is wrong."),
]
TomoType = Annotated[
    str | None,
    typer.Option(
        "--tomo-type",
        metavar="NAME",
        help="copick:CONFIG.json: which tomograms (wbp, denoised...); --voxel-size says the "
        "spacing.",
    ),
]
Tiles = Annotated[str, typer.Option(metavar="ROWSxCOLUMNS", help="Tiles in a gallery.")]
AxisOrder = Annotated[
    str | None,
    typer.Option(
        "--axis-order",
        metavar="zyx",
        help="What the file's axes are, slowest first, whatever it says; yzx for an IMOD volume "
        "that was not rotated.",
    ),
]
FlipZ = Annotated[
    bool, typer.Option("--flip-z", help="Read the planes from the last to the first.")
]
Uint8 = Annotated[
    bool | None,
    typer.Option(
        "--uint8/--int8", help="Bytes in MRC files are unsigned; default: as IMOD's flags say."
    ),
]
Level = Annotated[int, typer.Option("--level", min=0, help="Resolution level of an OME-Zarr.")]
AllowMissingChunks = Annotated[
    bool,
    typer.Option("--allow-missing-chunks", help="Read missing chunks of an OME-Zarr as empty."),
]
FillNonfinite = Annotated[
    str | None,
    typer.Option(
        "--fill-nonfinite",
        metavar="median",
        help="Replace NaN and infinite voxels by the median instead of stopping.",
    ),
]


@overload
def positive(value: float, option: str) -> float: ...
@overload
def positive(value: float | None, option: str) -> float | None: ...
def positive(value: float | None, option: str) -> float | None:
    """Check that a length is a positive number of Å; None passes."""
    if value is not None and not (math.isfinite(value) and value > 0):
        raise InputError(f"{option} must be a positive number of Å, not {value:g}.")
    return value


def choice(value: str | None, option: str, choices: Any) -> Any:
    """Check that a value is one of a `Literal`'s; None passes."""
    known = get_args(choices)
    if value is not None and value not in known:
        listed = " or ".join(filter(None, (", ".join(known[:-1]), known[-1])))
        raise InputError(f"{option} must be {listed}, not {value!r}.")
    return value


def parse_contrast(value: str | None) -> Any:
    """Check ``--contrast``; None passes."""
    return choice(value, "--contrast", Contrast)


def parse_range(value: str, option: str, open_ended: bool = False) -> tuple[float, float]:
    """Read ``MIN:MAX`` in Å, or one number for both; ``open_ended``: either may be empty."""
    parts = value.split(":")
    if open_ended and len(parts) == 2:
        parts = [part or default for part, default in zip(parts, ("-inf", "inf"), strict=True)]
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) == 1 and not open_ended:
        numbers *= 2
    if len(numbers) != 2 or not numbers[0] <= numbers[1]:
        raise InputError(f"{option} takes MIN:MAX in Å with MIN not above MAX, not {value!r}.")
    return numbers[0], numbers[1]


def parse_z_range(value: str | None) -> tuple[float, float] | Literal["auto"] | None:
    """Read ``--z-range``: ``auto``, or ``MIN:MAX`` of which either may be empty."""
    if value is None or value == "auto":
        return value  # type: ignore[return-value]
    return parse_range(value, "--z-range", open_ended=True)


def parse_numbers(value: str, option: str) -> tuple[float, ...]:
    """Read numbers with commas between."""
    try:
        return tuple(float(part) for part in value.split(","))
    except ValueError:
        raise InputError(f"{option} takes numbers with commas between, not {value!r}.") from None


def parse_tiles(value: str) -> tuple[int, int]:
    """Read ``--tiles``: rows and columns of a gallery."""
    match = re.fullmatch(r"\s*([1-9]\d{0,3})\s*[x×]\s*([1-9]\d{0,3})\s*", value)
    if match is None:
        raise InputError(f"--tiles takes ROWSxCOLUMNS, 16x15 for instance, not {value!r}.")
    return int(match[1]), int(match[2])


def parse_pairs(values: Sequence[str], option: str) -> dict[str, float]:
    """Read repeated ``NAME=NUMBER`` options, commas allowed between pairs."""
    pairs: dict[str, float] = {}
    for item in (part for value in values for part in value.split(",") if part):
        name, equals, number = item.rpartition("=")
        try:
            parsed = float(number)
        except ValueError:
            equals = ""
        if not equals or not name:
            raise InputError(f"{option} takes NAME=NUMBER, not {item!r}.")
        if name in pairs:
            raise InputError(f"{option} names {name} twice.")
        pairs[name] = parsed
    return pairs


def parse_distances(values: list[str]) -> dict[str, float]:
    """Read ``--distance``: numbers and NAME=NUMBER, the number alone under the empty name."""
    plain = [value for value in values if "=" not in value]
    try:
        numbers = [float(value) for value in plain]
    except ValueError:
        raise InputError(f"--distance takes Å or SPECIES=Å, not {', '.join(plain)!r}.") from None
    if len(numbers) > 1:
        raise InputError("--distance takes one number for all species; others need SPECIES=Å.")
    pairs = parse_pairs([value for value in values if "=" in value], "--distance")
    return {**pairs, **({"": numbers[0]} if numbers else {})}
