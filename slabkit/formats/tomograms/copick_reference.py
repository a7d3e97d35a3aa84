"""Names of files in copick projects that are on no disk of this machine.

Tables, records and messages name such a file ``copick:CONFIG.json::ExperimentRuns/...``: the
project's JSON file, which stands on this machine, and the place below the project's root.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

PREFIX = "copick:"
RUNS = "ExperimentRuns"
_REFERENCE = re.compile(rf"{PREFIX}(.+)::({RUNS}/[^/]+/[^/]+/[^/]+)", re.DOTALL)


def is_reference(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is of a file that only copick can reach.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    bool
    """
    return _REFERENCE.fullmatch(os.fspath(path)) is not None


def split_reference(path: str | os.PathLike[str]) -> tuple[Path, str]:
    """Take a reference apart.

    Parameters
    ----------
    path : path-like
        One that `is_reference`.

    Returns
    -------
    config : Path
    inner : str
        ``ExperimentRuns/RUN/FOLDER/FILE``.
    """
    match = _REFERENCE.fullmatch(os.fspath(path))
    assert match is not None
    return Path(match[1]), match[2]


def make_reference(config: str | os.PathLike[str], inner: str) -> Path:
    """Name a file of a project.

    Parameters
    ----------
    config : path-like
        The project's JSON file.
    inner : str
        ``ExperimentRuns/RUN/FOLDER/FILE``.

    Returns
    -------
    Path
    """
    return Path(f"{PREFIX}{Path(config).as_posix()}::{inner}")
