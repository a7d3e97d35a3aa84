"""How ``--help`` is laid out: panels with headings, plain text, sentences that are not cut."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

# What Typer calls the types of values without a metavar.
_TYPES = {"int": "N", "int range": "N", "float": "X", "float range": "X", "str": "TEXT"}


class Panels:
    """Gives a command's options in panels, and an example as its last words."""

    def collect_usage_pieces(self, context: Any) -> list[str]:
        """Give the arguments as they are typed: PICKS..., not {PICKS...}... ."""
        pieces = super().collect_usage_pieces(context)  # type: ignore[misc]
        plain = [re.sub(r"^\{(.*)\}", r"\1", one) for one in pieces]
        return [re.sub(r"(\.\.\.\S* ?.*?)\.\.\.$", r"\1", one) for one in plain]

    def format_options(self, context: Any, formatter: Any) -> None:
        """Write arguments, then options by the panel that they were declared in."""
        panels: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for one in self.get_params(context):  # type: ignore[attr-defined]
            record = one.get_help_record(context)
            if record is None:
                continue
            panel = getattr(one, "rich_help_panel", None) or "Options"
            if one.param_type_name == "argument":
                panel, record = "Arguments", (re.sub(r" <[^>]*>$", "", record[0]), record[1])
            if "--help" in one.opts and RUNNING in panels:
                panel = RUNNING
            panels.setdefault(panel, []).append(_plain(*record))
        for name in sorted(panels, key=_ORDER.get):  # type: ignore[arg-type]
            write_panel(formatter, name, panels[name])

    def format_epilog(self, context: Any, formatter: Any) -> None:
        """Write the example as it is typed, in one line."""
        epilog = self.epilog  # type: ignore[attr-defined]
        if epilog:
            write_panel(formatter, "Example", [])
            formatter.write(f"  {epilog}\n")


MORE, VOLUMES, LISTS, RUNNING = (
    "More options",
    "How volumes are read",
    "How pick lists are read",
    "Running",
)
_ORDER = {
    name: place
    for place, name in enumerate(("Arguments", "Options", MORE, VOLUMES, LISTS, RUNNING))
}


def write_commands(
    formatter: Any, panels: Mapping[str, Sequence[str]], summaries: Mapping[str, str]
) -> None:
    """Write commands by panel, their summaries whole; the last panel also has what none names."""
    named = {name for names in panels.values() for name in names}
    others = [name for name in summaries if name not in named]
    last = list(panels)[-1]
    width = max(map(len, summaries))
    for panel, names in panels.items():
        known = [name for name in names if name in summaries] + (others if panel == last else [])
        rows = [(name.ljust(width), summaries[name]) for name in known]
        write_panel(formatter, panel, rows)


def write_panel(formatter: Any, name: str, rows: Sequence[tuple[str, str]]) -> None:
    """Write a heading and what is under it."""
    if rows:
        with formatter.section(name):
            formatter.write_dl(rows)
    elif name == "Example":
        formatter.write_paragraph()
        formatter.write_heading(name)


def _plain(name: str, text: str) -> tuple[str, str]:
    """Say what kind of value is typed, and defaults, in the letters that they need."""
    name = re.sub(r"<([^>]*)>", lambda kind: _TYPES.get(kind[1], kind[1].upper()), name)
    text = re.sub(r"(\[default: -?\d+)\.0(?=[;\]])", r"\1", text)
    # What a range allows is said where it is refused.
    text = re.sub(r"; [\d.<=]*x[\d.<>=]+(?=\])|  \[x>=[\d.]+\]|(?<=\[)x>=[\d.]+; ", "", text)
    return name, text
