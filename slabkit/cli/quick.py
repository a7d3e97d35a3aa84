"""What is typed, read without pydantic, which takes as long to import as all else that starts."""

from __future__ import annotations

import functools
import re
from typing import Any

_NUMBERS = {
    int: re.compile(r"[+-]?[0-9]+"),
    float: re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"),
}


class Quick:
    """Lets plain values of a command's parameters pass; Typer has the others, and refuses some.

    Versions of Typer that do not read values with pydantic are left as they are.
    """

    def get_params(self, context: Any) -> Any:
        """Give the parameters, the one of ``--help`` too."""
        found = super().get_params(context)  # type: ignore[misc]
        for one in found:
            if hasattr(one, "type_descriptor") and "process_value" not in vars(one):
                one.process_value = functools.partial(_process, one, one.process_value)
        return found


def _process(parameter: Any, thorough: Any, context: Any, value: Any) -> Any:
    kind = parameter.type_descriptor.annotation
    several = parameter.multiple or parameter.nargs == -1
    if value in (None, (), []) and not parameter.required:
        value = () if several else None
    elif several and kind == list[str] and isinstance(value, (list, tuple)) and value:
        value = list(value)
    elif kind in _NUMBERS and isinstance(value, (str, kind)):
        if isinstance(value, str) and not _NUMBERS[kind].fullmatch(value):
            return thorough(context, value)
        value = kind(value)
        info = parameter.type_descriptor.parameter_info
        if (info.min is not None and value < info.min) or (
            info.max is not None and value > info.max
        ):
            return thorough(context, value)
    elif kind is not str or not isinstance(value, str):
        return thorough(context, value)
    return value if parameter.callback is None else parameter.callback(context, parameter, value)
