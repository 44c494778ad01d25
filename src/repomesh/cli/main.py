"""`repomesh`: the entry point. It loads only what the command that was typed needs."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; the exit code tells the class of a failure."""
    words = sys.argv[1:]
    from repomesh.cli.root import run

    sys.exit(run(words))


if __name__ == "__main__":
    main()
