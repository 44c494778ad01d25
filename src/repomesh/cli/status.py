"""`repomesh status`: whether a server runs, where, and who is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from repomesh.cli import output
from repomesh.cli.calling import ask
from repomesh.cli.options import AsJson, Url
from repomesh.client import discovery
from repomesh.daemon import background
from repomesh.kernel import places

if TYPE_CHECKING:
    from repomesh.client.client import Client

_TASKS = ("open", "claimed", "blocked")  # what is still to be done

app = typer.Typer(add_completion=False)


@app.command()
def status(*, as_json: AsJson = False, url: Url = None) -> None:
    """Say where the server is and what happens there; fails when none answers."""
    address = discovery.find(url=url)
    found = ask(_status, url=url)
    note = places.read_server(address.data) if address.data else None
    where = {
        "url": address.url,
        "version": found.pop("version"),
        "pid": note["pid"] if note else None,
        "data": str(address.data) if address.data else None,
        "daemon": background.holder(address.data) if address.data else None,
    }
    told = where | found
    if as_json:
        output.print_json(told)
    else:
        output.print_object(told | {"agents": _counted(told["agents"]), "tasks": _counted(told["tasks"])})


async def _status(client: Client) -> dict[str, Any]:
    health = (await client.http.get("/healthz")).json()
    workspace = await client.call_json("workspace.show", {})
    newest = await client.call_json("event.list", {"newest": True, "limit": 1})
    return {
        "version": health["version"],
        "workspace": workspace["name"],
        "agents": {status: await _count(client, "agent.list", status) for status in ("active", "inactive")},
        "tasks": {status: await _count(client, "task.list", status) for status in _TASKS},
        "last_seq": newest["last_seq"],
        "last_event_at": newest["items"][0]["at"] if newest["items"] else None,
    }


async def _count(client: Client, name: str, status: str) -> str:
    """How many there are, as far as one page tells."""
    page = await client.call_json(name, {"status": status, "limit": 200})
    return f"{len(page['items'])}{'+' if page['next_cursor'] else ''}"


def _counted(counts: dict[str, str]) -> str:
    return ", ".join(f"{count} {status}" for status, count in counts.items() if count != "0") or "none"
