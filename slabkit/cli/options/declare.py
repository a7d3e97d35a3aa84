"""How commands declare options: types and defaults are those of a step's `Options`."""

from __future__ import annotations

import dataclasses
import glob
import inspect
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import typer

from slabkit.cli.help import MORE
from slabkit.cli.options.completion import completion
from slabkit.errors import InputError

O = TypeVar("O")  # noqa: E741

_REQUIRED = inspect.Parameter.empty
# What the frame round a step takes, not the step: type and default.
_SETTINGS: dict[str, tuple[Any, Any]] = {
    "overwrite": (bool, False),
    "update": (bool, False),
    "jobs": (int, 0),
    "quiet": (bool, False),
    "json_": (bool, False),
}

_VOLUMES = ("tomograms", "mask")  # of which the steps read patterns
_FILES = (*_VOLUMES, "reuse", "labels")  # options that take any number
_FIRST = 5  # options shown before all others
_PATTERN = re.compile(r"[*?[]")
_UNIT = re.compile(r"(?<=[\d.])\s*(?:Å|\u212b|A\u030a?)(?=\s*(?:$|[:,]))")


class Several(dict[str, Any]):
    """What ``parse`` gives to fill several fields."""


@dataclass(frozen=True)
class Declared:
    """An option or argument; what it does not say, the field says that it fills."""

    make: Callable[..., Any]
    settings: dict[str, Any]
    flags: str
    parse: Callable[[Any, str], Any] | None
    kind: Any
    default: Any

    def parameter(self, name: str, hint: Any, default: Any) -> inspect.Parameter:
        """Give the parameter that Typer reads."""
        kind = self.kind or _kind(hint)
        if self.default is not None:
            default = self.default
        elif default is not _REQUIRED and kind not in (bool, int, float, str):
            default = None  # what is not typed leaves the field at its default
        if self._is_length(hint):  # typed with its unit or without
            kind, default = str, f"{default:g}" if isinstance(default, float) else default
        flags = self.flags.split()
        if kind is bool and not flags:
            dashed = name.replace("_", "-")
            flags = [f"--{dashed}/--no-{dashed}" if default else f"--{dashed}"]
        settings = dict(self.settings)
        if settings["metavar"] is None and get_origin(hint) is Literal:
            settings["metavar"] = "|".join(get_args(hint))
        elif settings["metavar"] is None and self.make is typer.Argument:
            settings["metavar"] = name.upper()
        settings["autocompletion"] = completion(name, settings["metavar"])
        return inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=default,
            annotation=Annotated[
                kind | None if default is None else kind, self.make(*flags, **settings)
            ],
        )

    def _is_length(self, hint: Any) -> bool:
        return self.settings["metavar"] == "Å" and hint is float

    def read(self, value: Any, name: str, hint: Any) -> Any:
        """Turn what was typed into what the field takes."""
        flag = self.flags.split()[0] if self.flags else f"--{name.replace('_', '-')}"
        if self._is_length(hint):
            value = length(value, flag)
        elif isinstance(value, list) and "Å" in (self.settings["metavar"] or ""):
            value = [without_unit(one) for one in value]
        elif isinstance(value, list) and (self.make is typer.Argument or name in _FILES):
            value = named_files(value, patterns=name not in _VOLUMES)
        if self.parse is not None:
            return self.parse(value, flag)
        if get_origin(hint) is Literal and value not in get_args(hint):
            *others, last = get_args(hint)
            listed = f"{', '.join(others)} or {last}" if others else last
            raise InputError(f"{flag} must be {listed}, not {value!r}.")
        return tuple(value) if isinstance(value, list) else value


def named_files(typed: Sequence[str], patterns: bool = True) -> list[str]:
    """Put the lines of FILE where ``@FILE`` is typed, and the files where a pattern is.

    A shell's argument ends at 128 KiB, which thousands of names are longer than. What exists under
    the name typed is meant itself; so is a pattern that nothing fits, of which the step will say
    that it is not there.
    """
    found: list[str] = []
    for text in typed:
        if text.startswith("@") and len(text) > 1 and not os.path.lexists(text):
            from slabkit.formats.tables.paths import read_bytes

            lines = read_bytes(text[1:]).decode("utf-8", "surrogateescape").splitlines()
            names = [line.strip() for line in lines]
            found += named_files(
                [one for one in names if one and not one.startswith("#")], patterns
            )
        elif patterns and _PATTERN.search(text) and not os.path.lexists(text):
            found += sorted(glob.glob(text, recursive=True)) or [text]
        else:
            found.append(text)
    return found


def without_unit(text: str) -> str:
    """Leave Å out behind numbers: 150Å, 150 A, 100:350Å, ribosome=150Å."""
    return _UNIT.sub("", text)


def length(text: str | float, option: str) -> float:
    """Read a number of Å, with its unit or without."""
    try:
        return float(without_unit(text) if isinstance(text, str) else text)
    except ValueError:
        raise InputError(f"{option} takes a number of Å, not {text!r}.") from None


def option(
    help: str,
    metavar: str | None = None,
    *,
    flags: str = "",
    parse: Callable[[Any, str], Any] | None = None,
    kind: Any = None,
    default: Any = None,
    **settings: Any,
) -> Declared:
    """Declare an option of a command; the metavar of choices is made of them.

    ``flags`` (``--out -o``) where they are not the field's name; ``parse`` makes the field's value
    of what was typed and the option's name, which messages say; ``kind`` of what is typed where it
    is neither the field's nor text; ``default`` as typed where it is not the field's; the rest is
    `typer.Option`'s.
    """
    settings |= {"help": help, "metavar": metavar}
    return Declared(typer.Option, settings, flags, parse, kind, default)


def argument(help: str, metavar: str | None = None, **settings: Any) -> Declared:
    """Declare an argument of a command, as `option` does an option."""
    return dataclasses.replace(option(help, metavar, **settings), make=typer.Argument)


def declare(
    act: Callable[..., Any], make: Callable[..., O], help: str, /, **declared: Declared
) -> Callable[..., None]:
    """Make a function for Typer, which calls ``act(make(...), **settings)``.

    ``act`` also takes by keyword what was declared of overwrite, jobs, quiet and json_. The
    parameters of ``make`` (the class of the options, or a function that makes them), and those of
    the dataclasses among them, are what is declared, in the order of ``--help``.
    """
    fields = _fields(make) | _SETTINGS
    for name in declared.keys() - fields:
        if declared[name].parse is None:  # which gives `Several`
            raise TypeError(f"{name} is no field of {make}.")
        fields[name] = (str, _REQUIRED)
    parameters = [one.parameter(name, *fields[name]) for name, one in _in_panels(declared).items()]

    def command(**typed: Any) -> None:
        values: dict[str, Any] = {}
        for name, value in typed.items():
            if value is not None and value != []:
                read = declared[name].read(value, name, fields[name][0])
                values |= read if isinstance(read, Several) else {name: read}
        settings = {name: values.pop(name) for name in _SETTINGS if name in values}
        act(_made(make, values), **settings)

    command.__doc__ = help
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


def _in_panels(declared: Mapping[str, Declared]) -> dict[str, Declared]:
    """Put what comes after the first options, and is in no panel of its own, into one."""
    found = {}
    shown = 0
    for name, one in declared.items():
        panel = one.settings.get("rich_help_panel")
        if one.make is typer.Option and panel is None:
            shown += 1
            panel = None if shown <= _FIRST else MORE
        found[name] = dataclasses.replace(one, settings={**one.settings, "rich_help_panel": panel})
    return found


def _parameters(make: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """Give the types (less None) and defaults of what makes options."""
    hints = get_type_hints(make)
    return {
        name: (_without_none(hints[name]), one.default)
        for name, one in inspect.signature(make).parameters.items()
    }


def _fields(make: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    found: dict[str, tuple[Any, Any]] = {}
    for name, (hint, default) in _parameters(make).items():
        found |= _fields(hint) if _nested(hint) else {name: (hint, default)}
    return found


def _made(make: Callable[..., O], values: Mapping[str, Any]) -> O:
    given = {
        name: _made(hint, values) if _nested(hint) else values.get(name, _REQUIRED)
        for name, (hint, _) in _parameters(make).items()
    }
    return make(**{name: value for name, value in given.items() if value is not _REQUIRED})


def _nested(hint: Any) -> bool:
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


def _without_none(hint: Any) -> Any:
    known = [one for one in get_args(hint) if one is not type(None)]
    return known[0] if type(None) in get_args(hint) and len(known) == 1 else hint


def _kind(hint: Any) -> Any:
    if hint in (bool, int, float):
        return hint
    return list[str] if hint == tuple[str, ...] or get_origin(hint) is Mapping else str
