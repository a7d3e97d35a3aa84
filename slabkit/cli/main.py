"""Where the `slabkit` command begins: light, so that Ctrl-C is answered from the first moment."""

from __future__ import annotations

import atexit
import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_WHEN_USED = (
    "numpy.f2py",
    "numpy.testing",
    "numpy._core._add_newdocs",
    "numpy._core._add_newdocs_scalars",
)
_OBJECTS = 200_000  # more than what a command imports is made of

# What is left at the end goes with the process; searching it for reference cycles takes 0.1 s.
atexit.register(gc.freeze)


def main() -> None:
    """Run the command line; every foreseen error ends in one sentence and a code of the README."""
    _open_standard_streams()
    # Importing makes many objects and no garbage; collecting in the meantime takes 0.1 s, too.
    gc.set_threshold(_OBJECTS, 10, 10)
    if _WhenUsed not in sys.meta_path:
        sys.meta_path.insert(0, _WhenUsed)
    try:
        from slabkit.cli.commands import run

        code = run()
    except KeyboardInterrupt:  # before the commands were there, which take Ctrl-C themselves
        sys.stderr.write("interrupted; nothing was begun.\n")
        sys.stderr.flush()
        os._exit(130)  # sys.exit would end with the signal: Python remembers it
    sys.exit(code)


class _WhenUsed:
    """Finds some modules so that they are loaded when they are first used.

    SciPy imports all names of NumPy, f2py and testing among them, which no command uses, and NumPy
    imports what its functions say of themselves.
    """

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        """Find a module, as an import does."""
        if name not in _WHEN_USED:
            return None
        from importlib.machinery import PathFinder
        from importlib.util import LazyLoader

        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def _open_standard_streams() -> None:
    """Give closed standard streams a place, lest the next file opened takes theirs.

    Python has None for a stream that is closed: of input and output messages say so.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


if __name__ == "__main__":
    main()
