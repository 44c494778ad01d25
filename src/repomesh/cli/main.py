"""`repomesh`: the entry point. It loads only what the command that was typed needs."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line; the exit code tells the class of a failure."""
    words = sys.argv[1:]
    if words[:1] == ["mcp"]:  # an agent CLI waits for it: neither Typer nor Rich is loaded
        from repomesh.cli.mcp import main as be_agent

        sys.exit(be_agent(words[1:]))
    if not (sys.stdout.isatty() and sys.stderr.isatty()):
        os.environ.setdefault("TYPER_USE_RICH", "0")  # help and usage errors without boxes, and sooner
    # httpx would load a command line of its own with Rich and Pygments: a tenth of what most commands take.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    from repomesh.cli.root import run

    sys.exit(run(words))


def session() -> None:
    """`session-cli`: the same as `repomesh session`."""
    sys.argv.insert(1, "session")
    main()


if __name__ == "__main__":
    main()
