"""`repomesh`: the entry point. It loads only what the command that was typed needs."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line; the exit code shows the class of a failure.

    A reader that closes the pipe early, such as `head`, ends the command without a message.

    Raises SystemExit, with a message if Python removed the docstrings: help, error titles and the API's
    documents are made of them.
    """
    if sys.flags.optimize > 1:
        sys.exit("repomesh needs its docstrings: run it without 'python -OO' or PYTHONOPTIMIZE=2; -O works")
    try:
        code = _run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        code = _PIPE_CLOSED
    finally:
        _leave_closed_pipe()
    sys.exit(code)


_PIPE_CLOSED = 1


def _leave_closed_pipe() -> None:
    """Discard unwritten output of a closed pipe; otherwise Python reports the pipe at exit."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(words: list[str]) -> int:
    if words[:1] == ["mcp"]:  # an agent CLI waits for it: neither Typer nor Rich is loaded
        from repomesh.cli.mcp import main as serve_agent

        return serve_agent(words[1:])
    if not (sys.stdout.isatty() and sys.stderr.isatty()) or os.environ.get("NO_COLOR"):
        os.environ.setdefault("TYPER_USE_RICH", "0")  # help and usage errors without boxes, and sooner
    words = words or ["--help"]
    if words in (["--help"], ["-h"]) and os.environ.get("TYPER_USE_RICH") == "0":
        from repomesh.cli.first_level import help_text, terminal_columns

        if not any(name.endswith("REPOMESH_COMPLETE") for name in os.environ):
            print(help_text(terminal_columns()))
            return 0
    # httpx would load its command line with Rich and Pygments: a tenth of the time of most commands.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    from repomesh.cli.root import run

    return run(words)


def session() -> None:
    """`session-cli`: the same as `repomesh session`."""
    sys.argv.insert(1, "session")
    main()


if __name__ == "__main__":
    main()
