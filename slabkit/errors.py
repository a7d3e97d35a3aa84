"""What slabkit raises and warns with.

::

    SlabkitError                 one clear sentence; the command line exits with 2
    ├── InputError               a file, table or value that cannot be used
    │   └── FormatError          a file that is not what its format demands
    ├── OutputExistsError        a result exists already and --overwrite was not given
    ├── TryAgainError            the same may work later (disk full, locked, input gone); exit 75
    └── MissingDependencyError   an optional package is needed and not installed

    SlabkitWarning               something a user should know; the result is still right
"""

from __future__ import annotations

import errno
import sys
import warnings
from types import FrameType

_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.EAGAIN, errno.ENOLCK)


class SlabkitError(Exception):
    """Base of every error that slabkit raises on purpose."""


class InputError(SlabkitError, ValueError):
    """A file, table or value cannot be used; the message says what to do."""


class FormatError(InputError):
    """A file is not what its format demands; the message names file and place."""


class OutputExistsError(SlabkitError):
    """A result is already there and must not be replaced unasked."""


class TryAgainError(SlabkitError):
    """Nothing is wrong with what was asked; the same may work when tried again."""


class MissingDependencyError(SlabkitError, ImportError):
    """An optional dependency is needed; the message names the extra to install."""


class SlabkitWarning(UserWarning):
    """Something a user should know, although the result is right."""


def warn(text: str) -> None:
    """Warn with `SlabkitWarning`, at the line outside slabkit from which it was called."""
    frame: FrameType | None = sys._getframe(1)
    level = 2
    while frame is not None and frame.f_globals["__name__"].startswith("slabkit."):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, SlabkitWarning, stacklevel=level)


def may_pass(error: BaseException) -> bool:
    """Tell whether an error is of the moment: no room on the disk, a file server that lost it."""
    return isinstance(error, OSError) and error.errno in _PASSING


def write_error(what: object, error: OSError) -> SlabkitError:
    """Say that something cannot be written; `TryAgainError` where it may work later."""
    kind = TryAgainError if may_pass(error) else SlabkitError
    return kind(f"{what}: cannot be written ({error.strerror or error}).")
