"""Where the `slabkit` command begins: light, so that Ctrl-C is answered from the first moment."""

import os
import sys


def main() -> None:
    """Run the command line; every foreseen error ends in one sentence and a code of the README."""
    _open_standard_streams()
    try:
        from slabkit.cli.commands import run

        code = run()
    except KeyboardInterrupt:  # before the commands were there, which take Ctrl-C themselves
        sys.stderr.write("interrupted; nothing was begun.\n")
        sys.stderr.flush()
        os._exit(130)  # sys.exit would end with the signal: Python remembers it
    sys.exit(code)


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
