"""The documentation as a site: `make docs`. The two references are generated from the code."""

from __future__ import annotations

import inspect
import re
from contextlib import contextmanager

import slabkit
from slabkit.cli.commands import _COMMANDS, _load

project = "slabkit"
author = "the slabkit developers"
version = release = slabkit.__version__
html_title = f"slabkit {version}"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["images", "static"]
myst_enable_extensions = ["attrs_block", "colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["ref.python"]  # "shape (n, m)" in docstrings names no attribute
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_preprocess_types = False
autodoc_typehints = "none"
nitpicky = False
highlight_language = "bash"
html_theme = "furo"
toc_object_entries_show_parents = "hide"
html_static_path = ["static"]
html_css_files = ["slabkit.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
copybutton_exclude = ".linenos, .gp, .go"
linkcheck_timeout = 20

STAGES = {
    "tomogram": "Tomograms",
    "slabs": "Slabs",
    "picking": "Picking",
    "mapping": "Depth",
    "minislabs": "Minislabs",
    "classification": "Classification",
    "labels": "Labels",
    "learning": "Learning and naming",
    "curation": "Curation",
    "merging": "Merging",
    "scoring": "Scoring",
    "splitting": "Splitting",
    "simulation": "Simulation",
    "formats": "Reading and writing",
    "tables": "What was recorded",
    "execution": "What was recorded",
    "errors": "Errors",
}


class _Panels:
    """Takes what a command's help writes, panel by panel."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @contextmanager
    def section(self, name: str):
        self.lines += ["", f"| {name} | |", "|---|---|"]
        yield

    def write_dl(self, rows: list[tuple[str, str]]) -> None:
        self.lines += [f"| `{_cell(name)}` | {_sentence(text)} |" for name, text in rows]


def _cell(text: str) -> str:
    plain = " ".join(text.split())
    return plain.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _sentence(text: str) -> str:
    return re.sub(r"(?<![\w-])--[a-z][\w-]*", r"`\g<0>`", _cell(text))


def _command_reference() -> str:
    lines = []
    for path in _COMMANDS:
        if any(other.startswith(f"{path} ") for other in _COMMANDS):
            continue
        command = _load(path)
        with command.context_class(
            command, info_name=f"slabkit {path}", help_option_names=["-h", "--help"]
        ) as context:
            panels = _Panels()
            command.format_options(context, panels)
            usage = " ".join([f"slabkit {path}", *command.collect_usage_pieces(context)])
        lines += [
            "",
            f"## slabkit {path}",
            "",
            "\n\n".join(map(_sentence, command.help.split("\n\n"))),
        ]
        lines += ["", "```", usage, "```", *panels.lines]
        if command.epilog:
            lines += ["", "Example:", "", "```", command.epilog, "```"]
    return "\n".join(lines)


def _function_reference() -> str:
    lines, heading = [], ""
    stages = list(STAGES)
    homes = {name: slabkit._HOMES[name].split(".")[1] for name in slabkit.__all__}
    for name in sorted(slabkit.__all__, key=lambda name: (stages.index(homes[name]), name)):
        if STAGES[homes[name]] != heading:
            heading = STAGES[homes[name]]
            lines += ["", f"## {heading}", ""]
        thing = getattr(slabkit, name)
        kind = "autofunction" if inspect.isroutine(thing) else "autoclass"
        kind = "autoexception" if isinstance(thing, type) and issubclass(thing, Exception) else kind
        members = ["   :members:"] if kind == "autoclass" else []
        lines += ["", "```{eval-rst}", f".. {kind}:: slabkit.{name}", *members, "```"]
    return "\n".join(lines)


def _generate(app, name: str, source: list[str]) -> None:
    """Put the references where the pages ask for them."""
    if name == "commands":
        source[0] = source[0].replace("<!-- the commands -->", _command_reference())
    if name == "python":
        source[0] = source[0].replace("<!-- the functions -->", _function_reference())


def setup(app) -> None:
    """Tell Sphinx."""
    app.connect("source-read", _generate)
