"""`repomesh status`: the server and its repository, agents, locks, tasks, questions and meetings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import typer

from repomesh.cli import output
from repomesh.cli.options import AsJson, Url
from repomesh.cli.with_client import run_with_client
from repomesh.client import discovery
from repomesh.client.errors import RemoteError
from repomesh.daemon import background
from repomesh.kernel import data_folder
from repomesh.store import folder
from repomesh.views.status_view import status_lines

if TYPE_CHECKING:
    from repomesh.client.client import Client

T = TypeVar("T")

app = typer.Typer(add_completion=False)

ITEMS_MAX: Final = 200
"""Items counted of each kind: one page of the server. `more` names the kinds that have further ones.

`damaged` names the kinds that can't be read.
"""
URGENT_MAX: Final = 20
"""Newest urgent messages whose receipts are checked, one request each."""

_TASKS: Final[dict[str, dict[str, Any]]] = {
    "claimed": {"status": "claimed"},
    "ready": {"status": "open", "ready": True},
    "waiting": {"status": "open", "ready": False},
    "blocked": {"status": "blocked"},
}
"""By state, the criteria of unfinished tasks; `waiting` ones have unfinished dependencies."""


@app.command()
def status(*, as_json: AsJson = False, url: Url = None) -> None:
    """Show the server, its agents, locks and waiting work; fails when no server answers.

    A warning says when the server is not that of the repository that you stand in.
    """
    address = discovery.find(url=url)
    report = run_with_client(_status, url=url)
    own_data = data_folder.data_folder(Path.cwd())
    data = _find_data_folder(address.url, own_data, report["workspace"]["path"])
    note = data_folder.read_server(data) if data is not None else None
    document = {
        "url": address.url,
        "version": report.pop("version"),
        "pid": note["pid"] if note is not None else None,
        "data": str(data) if data is not None else None,
        "daemon": background.holder(data) if data is not None else None,
        "warning": _foreign_warning(own_data, data, report["workspace"]["path"]),
        **report,
    }
    if as_json:
        output.print_json(document | {"workspace": document["workspace"]["name"]})
    else:
        output.print_lines(status_lines(output.style(), document))
    if document["warning"] and not as_json:
        output.print_note(f"warning: {document['warning']}")


def _find_data_folder(url: str, own_data: Path, repository: str | None) -> Path | None:
    """Return the data folder of the server at `url`, found by its process's note; None if not found."""
    candidates = [own_data, *([Path(repository) / data_folder.DATA] if repository else [])]
    for data in candidates:
        note = data_folder.read_server(data)
        if note is not None and note["url"] == url and folder.holder(data) == note["pid"]:
            return data
    return None


def _foreign_warning(own_data: Path, data: Path | None, repository: str | None) -> str | None:
    """Return the warning that the server is another repository's; None if it is this one's, or unknown."""
    if data_folder.repository(Path.cwd()) is None and not own_data.exists():
        return None
    is_ours = (
        data == own_data if data is not None else repository is None or Path(repository) == own_data.parent
    )
    if is_ours:
        return None
    other = repository or str(data)
    return f"this is the server of {other}, not that of {own_data.parent}; look at REPOMESH_URL and '--url'"


async def _status(client: Client) -> dict[str, Any]:
    health = await client.about("/healthz")
    ready = await client.about("/readyz")
    damaged: list[str] = []
    unknown = {"name": "?", "path": None}
    workspace = await _or_damaged(client.call_json("workspace.show", {}), "workspace", unknown, damaged)
    no_events: dict[str, Any] = {"items": [], "last_seq": None}
    newest, urgent, queue_notes, *pages = await asyncio.gather(
        _or_damaged(
            client.call_json("event.list", {"newest": True, "limit": 1}), "events", no_events, damaged
        ),
        _or_damaged(_unacknowledged(client), "urgent", [], damaged),
        _or_damaged(_queue_notes(client), "queue", [], damaged),
        *(_or_damaged(_page(client, *page), name, _NO_ITEMS, damaged) for name, page in _PAGES.items()),
    )
    items = dict(zip(_PAGES, pages, strict=True))
    agents = [agent for agent in items["agents"]["items"] if agent["status"] != "retired"]
    return {
        "version": health["version"],
        "database": ready["status"].replace("_", " "),
        "workspace": workspace,
        "agents": _counts(agents, "status", ("active", "inactive")) | {"items": _pick(agents, _AGENT)},
        "locks": _pick(items["locks"]["items"], _LOCK),
        "tasks": {name: len(items[name]["items"]) for name in _TASKS}
        | {"items": [task for name in _TASKS for task in _pick(items[name]["items"], _TASK, state=name)]},
        "questions": _pick(items["questions"]["items"], _QUESTION),
        "urgent": urgent,
        "meetings": _pick(items["meetings"]["items"], _MEETING),
        "changes": _pick(items["changes"]["items"], _CHANGE),
        "queue": queue_notes,
        "more": [name for name in _PAGES if items[name]["next_cursor"]],
        "damaged": damaged,
        "last_seq": newest["last_seq"],
        "last_event_at": newest["items"][0]["at"] if newest["items"] else None,
    }


_AGENT = ("name", "type", "status", "program", "status_text", "last_seen_at")
_LOCK = ("resource", "mode", "agent_name", "expires_at", "note")
_TASK = ("id", "goal", "priority", "agent_name", "percent", "reason")
_QUESTION = ("id", "asker_name", "asked_name", "question", "deadline_at")
_MEETING = ("id", "topic", "phase", "speaker_name", "due_at")
_CHANGE = ("id", "summary", "state", "author_name", "reason")


_OPEN_CHANGES: Final[dict[str, Any]] = {"open": True}
_PAGES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "agents": ("agent.list", {}),
    "changes": ("change.list", _OPEN_CHANGES),
    "locks": ("lock.list", {}),
    "questions": ("question.list", {"status": "open"}),
    "meetings": ("meeting.list", {"status": "in_progress"}),
} | {name: ("task.list", criteria) for name, criteria in _TASKS.items()}
"""By name, the operation that lists the items, and its criteria."""
_NO_ITEMS: Final[dict[str, Any]] = {"items": [], "next_cursor": None}
_DAMAGES: Final = frozenset({"database_damaged", "damaged_record"})


async def _or_damaged(answer: Awaitable[T], name: str, substitute: T, damaged: list[str]) -> T:
    """The answer; `substitute` where damage keeps it from being read, and `name` in `damaged`."""
    try:
        return await answer
    except RemoteError as error:
        if error.code not in _DAMAGES:
            raise
        damaged.append(name)
        return substitute


async def _page(client: Client, name: str, criteria: dict[str, Any]) -> dict[str, Any]:
    page: dict[str, Any] = await client.call_json(name, criteria | {"limit": ITEMS_MAX})
    return page


async def _queue_notes(client: Client) -> list[str]:
    """What people must know about the merge queue once it is used: paused lanes, and missing checks."""
    lanes = (await client.call_json("queue.show", {}))["lanes"]
    notes = [f"{lane['target']} is paused: {lane['paused_reason']}" for lane in lanes if lane["paused"]]
    if not lanes:
        return notes
    try:
        return notes + list((await client.call_json("queue.config", {}))["warnings"])
    except RemoteError as error:  # its message says what is wrong with the repository or its repomesh.toml
        return [*notes, error.message]


async def _unacknowledged(client: Client) -> list[dict[str, Any]]:
    """Return the newest urgent messages that lack an acknowledgement; `waits_for` names the agents."""
    page = await client.call_json("message.list", {"priority": "urgent", "limit": URGENT_MAX})
    receipt_pages = await asyncio.gather(
        *(
            client.call_json("message.receipts", {"message_id": message["id"], "limit": ITEMS_MAX})
            for message in page["items"]
        )
    )
    unacknowledged = []
    for message, receipt_page in zip(page["items"], receipt_pages, strict=True):
        missing = [receipt["agent_name"] for receipt in receipt_page["items"] if receipt["acked_at"] is None]
        if missing:
            names = ("id", "sender_name", "subject", "body", "created_at")
            unacknowledged.append({name: message[name] for name in names} | {"waits_for": missing})
    return unacknowledged


def _pick(items: Sequence[Mapping[str, Any]], names: Sequence[str], **extra: str) -> list[dict[str, Any]]:
    return [{name: item.get(name) for name in names} | extra for item in items]


def _counts(items: Sequence[Mapping[str, Any]], field: str, values: Sequence[str]) -> dict[str, Any]:
    return {value: sum(item[field] == value for item in items) for value in values}
