"""`repomesh mcp`: hands the pipes of an agent CLI to the stdio proxy, and loads nothing else."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from repomesh.client import discovery
from repomesh.kernel import places
from repomesh.kernel.errors import FAILURES, RepomeshError, Unauthenticated

_SUMMARY = "Be an agent's MCP server over standard input and output: what agent CLIs start."
_EPILOG = """\
The life of this process is the agent's presence. 'repomesh connect' writes it into the settings of the
agent CLIs that it knows; any other gets it as its MCP server over stdio.
"""


def main(words: Sequence[str]) -> int:
    """Serve until the client goes; answers the exit code. Standard output belongs to the protocol."""
    given = _parser().parse_args(words)
    try:
        marker = _marker(given.cli) if given.cli else {}
        if marker is None:
            from repomesh.proxy.idle import run as offer_nothing

            offer_nothing()
            return 0
        address = discovery.find(url=given.url, agent=given.agent)
        if address.token is None:
            raise Unauthenticated(f"no token is known for {address.url}", hint="Set REPOMESH_TOKEN.")
    except RepomeshError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return FAILURES[error.failure].exit
    from repomesh.proxy.main import run

    run(address.url, address.token, address.agent or marker.get("agent"))
    return 0


def _marker(cli: str) -> dict[str, Any] | None:
    """What 'repomesh connect' left of `cli` in this repository; None where it is not connected."""
    try:
        kept = json.loads((places.data_folder(Path.cwd()) / "connect" / f"{cli}.json").read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return kept if isinstance(kept, dict) else {}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
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
