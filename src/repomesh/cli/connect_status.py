"""`repomesh connect --status`: which agent CLIs are installed, connected and alive, and their routes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repomesh.cli import output
from repomesh.cli.with_client import run_with_client
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
    """Print the status of one CLI or all; without a server only what their files show."""
    start = Path.cwd()
    data = data_folder.data_folder(start)
    trust.require(data)
    target = ConnectTarget(data_folder.work_tree(start), Path.home(), os.environ)
    clis = [cli_registry.find_cli(name)] if name else list(cli_registry.CLIS.values())
    cli_statuses = status.statuses(clis, target, data)
    try:
        agents, is_reached = run_with_client(_agents, url=url), True
    except (Unavailable, RemoteError):
        agents, is_reached = {}, False
    rows = [_row(cli_status, agents.get(cli_status.cli.name)) for cli_status in cli_statuses]
    if as_json:
        output.print_json({"server": is_reached, "items": rows})
        return
    output.print_table([_as_table_row(row) for row in rows], _COLUMNS)
    for row in rows:
        if row["problem"]:
            output.print_note(f"{row['cli']}: {row['problem']}")
    if not is_reached:
        output.print_note(
            "No server answers here, so nothing is known of who is alive: 'repomesh up --detach'."
        )


async def _agents(client: Client) -> dict[str, dict[str, Any]]:
    """Return the agent last seen of each CLI, by CLI name."""
    latest: dict[str, dict[str, Any]] = {}
    cursor = None
    while True:
        page = await client.call_json("agent.list", {"limit": 200} | ({"cursor": cursor} if cursor else {}))
        for agent in page["items"]:
            cli = cli_of(agent["program"] or "")
            last_seen_at = agent["last_seen_at"] or ""
            if cli is not None and last_seen_at >= (latest.get(cli, {}).get("last_seen_at") or ""):
                latest[cli] = agent
        cursor = page["next_cursor"]
        if cursor is None:
            return latest


def _row(cli_status: CliStatus, agent: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "cli": cli_status.cli.name,
        "version": cli_status.version,
        "connected": cli_status.connected,
        "agent": cli_status.agent or (agent["name"] if agent is not None else None),
        "status": agent["status"] if agent is not None else None,
        "last_heartbeat_at": agent["last_seen_at"] if agent is not None else None,
        "routes": {name: list(ways) for name, ways in cli_status.working().items()},
        "problem": cli_status.fault or _missing(cli_status),
    }


def _missing(cli_status: CliStatus) -> str:
    """Return the problem if settings of a connected CLI were removed since; else empty."""
    if not cli_status.connected:
        return ""
    missing = [
        name
        for name, is_present in (("MCP entry", cli_status.server), ("hooks", cli_status.hooks))
        if not is_present
    ]
    fix = f"'repomesh connect {cli_status.cli.name}' writes it anew"
    return f"its settings hold no {' and no '.join(missing)} of ours any more: {fix}" if missing else ""


def _as_table_row(row: dict[str, Any]) -> dict[str, Any]:
    ways = {name: "yes" if works else "-" for name, works in row["routes"].items()}
    return row | ways | {"version": row["version"] or "not installed"}
