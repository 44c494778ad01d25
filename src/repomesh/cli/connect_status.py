"""`repomesh connect --status`: which agent CLIs are installed, connected and alive, and their routes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repomesh.cli import output
from repomesh.cli.with_client import ask
from repomesh.client.errors import RemoteError
from repomesh.connect import cli_registry, status
from repomesh.connect.cli import ConnectTarget
from repomesh.connect.status import CliStatus
from repomesh.kernel import data_folder, trust
from repomesh.kernel.clis import cli_of
from repomesh.kernel.errors import Unavailable

if TYPE_CHECKING:
    from repomesh.client.client import Client

_COLUMNS = (
    "cli",
    "version",
    "connected",
    "agent",
    "last_heartbeat_at",
    "start",
    "busy",
    "turn_end",
    "wake",
    "guard",
)


def show(name: str | None, *, as_json: bool, url: str | None) -> None:
    """Print what there is; without a server what the files tell."""
    start = Path.cwd()
    data = data_folder.data_folder(start)
    trust.require(data)
    place = ConnectTarget(data_folder.work_tree(start), Path.home(), os.environ)
    chosen = [cli_registry.find_cli(name)] if name else list(cli_registry.CLIS.values())
    found = status.statuses(chosen, place, data)
    try:
        agents, reached = ask(_agents, url=url), True
    except (Unavailable, RemoteError):
        agents, reached = {}, False
    rows = [_row(one, agents.get(one.cli.name)) for one in found]
    if as_json:
        output.print_json({"server": reached, "items": rows})
        return
    output.print_table([_shown(row) for row in rows], _COLUMNS)
    for row in rows:
        if row["problem"]:
            output.print_note(f"{row['cli']}: {row['problem']}")
    if not reached:
        output.print_note(
            "No server answers here, so nothing is known of who is alive: 'repomesh up --detach'."
        )


async def _agents(client: Client) -> dict[str, dict[str, Any]]:
    """By CLI the agent of it that was heard of last."""
    latest: dict[str, dict[str, Any]] = {}
    cursor = None
    while True:
        page = await client.call_json("agent.list", {"limit": 200} | ({"cursor": cursor} if cursor else {}))
        for agent in page["items"]:
            cli = cli_of(agent["program"] or "")
            seen = agent["last_seen_at"] or ""
            if cli is not None and seen >= (latest.get(cli, {}).get("last_seen_at") or ""):
                latest[cli] = agent
        cursor = page["next_cursor"]
        if cursor is None:
            return latest


def _row(found: CliStatus, agent: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "cli": found.cli.name,
        "version": found.version,
        "connected": found.connected,
        "agent": found.agent or (agent["name"] if agent is not None else None),
        "status": agent["status"] if agent is not None else None,
        "last_heartbeat_at": agent["last_seen_at"] if agent is not None else None,
        "routes": {name: list(ways) for name, ways in found.working().items()},
        "problem": found.fault or _missing(found),
    }


def _missing(found: CliStatus) -> str:
    """What was taken out of the settings since it was connected."""
    if not found.connected:
        return ""
    gone = [name for name, there in (("MCP entry", found.server), ("hooks", found.hooks)) if not there]
    again = f"'repomesh connect {found.cli.name}' writes it anew"
    return f"its settings hold no {' and no '.join(gone)} of ours any more: {again}" if gone else ""


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    ways = {name: "yes" if found else "-" for name, found in row["routes"].items()}
    return row | ways | {"version": row["version"] or "not installed"}
