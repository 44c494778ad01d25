"""`repomesh mcp`: hands the pipes of an agent CLI to the stdio proxy, and loads nothing else."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from repomesh.client import discovery
from repomesh.kernel.errors import FAILURES, RepomeshError, Unauthenticated

_SUMMARY = "Be an agent's MCP server over standard input and output: what agent CLIs start."
_EPILOG = """\
The life of this process is the agent's presence. Connect an agent CLI with it, such as
  claude mcp add repomesh -- repomesh mcp --agent alice
"""


def main(words: Sequence[str]) -> int:
    """Serve until the client goes; answers the exit code. Standard output belongs to the protocol."""
    given = _parser().parse_args(words)
    try:
        address = discovery.find(url=given.url, agent=given.agent)
        if address.token is None:
            raise Unauthenticated(f"no token is known for {address.url}", hint="Set REPOMESH_TOKEN.")
    except RepomeshError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return FAILURES[error.failure].exit
    from repomesh.proxy.main import run

    run(address.url, address.token, address.agent)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "repomesh mcp",
        description=_SUMMARY,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--agent", help="agent to be; else REPOMESH_AGENT, else a free name")
    parser.add_argument("--url", help="server to use; else REPOMESH_URL, else this repository's")
    return parser
