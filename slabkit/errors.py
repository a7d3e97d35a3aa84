"""What slabkit raises and warns with.

::

    SlabkitError                 one clear sentence; the command line exits with 2
    ├── InputError               a file, table or value that cannot be used
    │   └── FormatError          a file that is not what its format demands
    ├── OutputExistsError        a result exists already and --overwrite was not given
    └── MissingDependencyError   an optional package is needed and not installed

    SlabkitWarning               something a user should know; the result is still right
"""

from __future__ import annotations


class SlabkitError(Exception):
    """Base of every error that slabkit raises on purpose."""


class InputError(SlabkitError, ValueError):
    """A file, table or value cannot be used; the message says what to do."""


class FormatError(InputError):
    """A file is not what its format demands; the message names file and place."""


class OutputExistsError(SlabkitError):
    """A result is already there and must not be replaced unasked."""


class MissingDependencyError(SlabkitError, ImportError):
    """An optional dependency is needed; the message names the extra to install."""


class SlabkitWarning(UserWarning):
    """Something a user should know, although the result is right."""
