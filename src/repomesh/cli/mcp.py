"""`repomesh mcp`: hands the pipes of an agent CLI to the stdio proxy, and loads nothing else."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from repomesh.cli import command
from repomesh.client import discovery
from repomesh.kernel import data_folder, trust
from repomesh.kernel.errors import FAILURES, Failure, RepomeshError, Unauthenticated
from repomesh.kernel.git import RepositoryUnreadable

_SUMMARY = "Be an agent's MCP server over standard input and output: what agent CLIs start."
_EPILOG = """\
The life of this process is the agent's presence. 'repomesh connect' writes it into the settings of the
agent CLIs that it knows; any other gets it as its MCP server over stdio.
"""


def main(words: Sequence[str]) -> int:
    """Serve until the client disconnects; return the exit code. Standard output belongs to the protocol.

    Raises Unauthenticated when no token is known for the server.
    """
    options = _parser().parse_args(words)
    try:
        marker = _read_marker(options.cli) if options.cli else {}
        if marker is None:
            from repomesh.proxy.idle import run as offer_nothing

            offer_nothing()
            return 0
        address = discovery.find(url=options.url, agent=options.agent)
        if address.token is None:
            raise Unauthenticated(f"no token is known for {address.url}", hint="Set REPOMESH_TOKEN.")
    except RepomeshError as error:
        _print_error(error)
        return FAILURES[error.failure].exit
    from repomesh.proxy.main import run

    # Several runs of a CLI may be connected under one configured name, so they are numbered.
    run(
        address.url,
        address.token,
        address.agent or marker.get("agent"),
        numbered=address.agent is None,
        served_url=address.served_url,
    )
    return 0


def _read_marker(cli: str) -> dict[str, Any] | None:
    """Return the record of 'repomesh connect' for `cli` in this repository; None where it is not connected.

    An untrusted data folder or an unreadable repository counts as not connected; the error is printed.
    """
    try:
        trusted_folder = trust.require(data_folder.data_folder(Path.cwd()))
    except (trust.UntrustedFolder, RepositoryUnreadable) as error:
        _print_error(error)
        return None
    if trusted_folder is None:
        return None
    path = trusted_folder / data_folder.CONNECT / f"{cli}.json"
    marker = trust.read_note(path)
    return {} if marker is None and path.exists() else marker  # the file exists and can't be read


def _print_error(error: RepomeshError) -> None:
    print(f"error: {error.message}\nhint: {command.replace_program_name(error.hint)}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """A parser that prints errors in the form of the other commands."""

    def error(self, message: str) -> NoReturn:
        """Print the error and end with the exit code of wrong usage."""
        print(f"error: {message}\nhint: '{self.prog} --help' shows how it is used.", file=sys.stderr)
        sys.exit(FAILURES[Failure.INVALID].exit)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        "repomesh mcp",
        description=_SUMMARY,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--agent", help="agent to be; else REPOMESH_AGENT, else a free name")
    parser.add_argument(
        "--cli", metavar="CLI", help="serve this agent CLI where it is connected, and offer nothing elsewhere"
    )
    parser.add_argument("--url", help="server to use; else REPOMESH_URL, else this repository's")
    return parser
