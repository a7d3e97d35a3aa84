"""Commands as `slabkit.cli.options.declare` makes them of the options of a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
import typer

from slabkit.cli.commands import _Command
from slabkit.cli.options.declare import Several, argument, declare, option
from slabkit.errors import InputError


@dataclass(frozen=True)
class Inner:
    level: int = 0
    colour: Literal["red", "blue"] | None = None


@dataclass(frozen=True)
class Options:
    files: tuple[str, ...]
    step: float
    inner: Inner
    names: tuple[str, ...] = ("all",)
    range: tuple[float, float] | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    rows: int = 16
    columns: int = 15
    fast: bool = False
    check: bool = True


def layout(value: str, flag: str) -> Several:
    if "x" not in value:
        raise InputError(f"{flag} takes ROWSxCOLUMNS.")
    rows, columns = value.split("x")
    return Several(rows=int(rows), columns=int(columns))


DECLARED = {
    "files": argument("Files.", "FILE..."),
    "step": option("Step.", "Å", flags="--step -s"),
    "level": option("Level.", min=0, max=9),
    "colour": option("Colour."),
    "names": option("Names."),
    "range": option("Range.", parse=lambda value, _: tuple(map(float, value.split(":")))),
    "weights": option("Weights.", parse=lambda values, _: dict.fromkeys(values, 1.0)),
    "tiles": option("Tiles.", parse=layout, default="16x15"),
    "fast": option("Fast."),
    "check": option("Check."),
    "quiet": option("Quiet."),
}


def called(*arguments: str) -> tuple[Options, dict[str, Any]]:
    """Give what a command line makes of the options above, and what it says to the frame."""
    got: list[Any] = []
    app = typer.Typer(add_completion=False)
    act = declare(lambda options, **said: got.append((options, said)), Options, "", **DECLARED)
    app.command(cls=_Command)(act)
    app(list(arguments), standalone_mode=False)
    return got[0]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ([], {}),
        (["--level", "9", "--colour", "blue"], {"inner": Inner(9, "blue")}),
        (["--level", "+1"], {"inner": Inner(1)}),
        (["--names", "a", "--names", "b"], {"names": ("a", "b")}),
        (["--range", "1:2.5"], {"range": (1.0, 2.5)}),
        (["--weights", "kim"], {"weights": {"kim": 1.0}}),
        (["--tiles", "2x3"], {"rows": 2, "columns": 3}),
        (["--fast", "--no-check"], {"fast": True, "check": False}),
    ],
)
def test_options_are_what_is_typed_or_the_default(typed, expected):
    wanted = {"files": ("f", "-"), "step": 1.5, "inner": Inner(), **expected}
    assert called("f", "-", "-s", "1.5", *typed) == (Options(**wanted), {"quiet": False})
    assert called("f", "--step", "1.5", "--quiet")[1] == {"quiet": True}


@pytest.mark.parametrize("step", ["2", "-2", "+2.", ".2", "2e-3", "2E3", " 2", "inf", "1_0"])
def test_numbers_are_read_as_typer_reads_them(step):
    assert called("f", "-s", step)[0].step == float(step)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["--level", "x"], "valid integer"),
        (["--level", "1.5"], "valid integer"),
        (["--level", "10"], "less than or equal to 9"),
        (["--level", "-1"], "greater than or equal to 0"),
        (["-s", "x"], "must be a number|takes a number of Å"),
        (["--colour", "green"], "--colour must be red or blue, not 'green'"),
        (["--tiles", "4"], "--tiles takes ROWSxCOLUMNS"),
    ],
)
def test_what_is_refused(typed, message):
    with pytest.raises(Exception, match=message):
        called("f", "-s", "1.5", *typed)


def test_missing_and_misspelt():
    for arguments in ((), ("f",)):
        with pytest.raises(Exception, match=r"(?i)missing"):
            called(*arguments)
    with pytest.raises(TypeError, match="treshold is no field of"):
        declare(print, Options, "", treshold=option("Lowest score."))
