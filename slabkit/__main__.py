"""``python -m slabkit``: the command, where it is not on the path."""

from slabkit.cli.main import main

if __name__ == "__main__":
    main()
