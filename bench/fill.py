"""Fills a store with what a busy year leaves behind, through the store itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, text, update

from repomesh.app import Server, prepare
from repomesh.domains.messaging.messages.tables import messages, receipts
from repomesh.domains.tasks.tables import tasks
from repomesh.kernel.identity import Caller, Role
from repomesh.kernel.ids import new_id
from repomesh.kernel.settings import Settings
from repomesh.operations import registry
from repomesh.store import folder
from repomesh.store.prepared import PreparedStatement
from repomesh.store.tables import counters, events
from repomesh.store.transaction import Transaction

UNREAD = 20
_CHUNK = 5_000
_AGENTS = 20
_WORDS = (
    "parser token branch merge review cache index retry lease queue socket schema".split()  # noqa: SIM905
)

_MESSAGES, _RECEIPTS = PreparedStatement(insert(messages)), PreparedStatement(insert(receipts))
_EVENTS, _TASKS = PreparedStatement(insert(events)), PreparedStatement(insert(tasks))


@dataclass(frozen=True, slots=True)
class Filled:
    """The agent to measure with, and the plans of its queries."""

    agent: str
    plans: dict[str, list[str]]


def fill(data: Path, message_count: int, task_count: int, received: int) -> Filled:
    """Store messages among a score of agents, the first of which received `received` and read all but 20."""
    folder.prepare(data)
    settings = Settings(data=data)
    server = Server(settings)
    try:
        workspace_id = prepare(settings, server.store, "bench", None)
        owner = Caller(workspace_id, Role.OWNER, "system")
        names = [f"agent-{number}" for number in range(_AGENTS)]
        ids = server.store.write_now(owner, lambda tx: _agents(tx, names))
        numbers = iter(range(message_count))
        while chunk := list(islice(numbers, _CHUNK)):
            server.store.write_now(owner, lambda tx, chunk=chunk: _messages(tx, chunk, ids, received))  # type: ignore[misc]
        numbers = iter(range(task_count))
        while chunk := list(islice(numbers, _CHUNK)):
            server.store.write_now(owner, lambda tx, chunk=chunk: _tasks(tx, chunk))  # type: ignore[misc]
        me = Caller(workspace_id, Role.AGENT, "system", agent_id=ids[0], agent_name=names[0], agent_type="ai")
        plans = server.store.read_now(me, _plans)
    finally:
        server.store.close()
    return Filled(names[0], plans)


def _agents(tx: Transaction, names: list[str]) -> list[str]:
    register = registry["agent.register"]
    return [register.function(tx, register.request(name=name)).agent.id for name in names]


def _messages(tx: Transaction, numbers: list[int], ids: list[str], received: int) -> None:
    last: int = tx.execute(
        select(counters.c.last_seq).where(counters.c.workspace_id == tx.workspace_id)
    ).scalar_one()
    rows = list(_message_rows(tx, numbers, ids, received))
    tx.execute(_MESSAGES, [message for message, _ in rows])
    tx.execute(_RECEIPTS, [receipt for _, receipt in rows])
    tx.execute(_EVENTS, [_event(tx, last + 1 + at, message) for at, (message, _) in enumerate(rows)])
    counted = update(counters).where(counters.c.workspace_id == tx.workspace_id)
    tx.execute(counted.values(last_seq=last + len(rows)))
    for message, _ in rows:
        tx.index_text("message", message["id"], message["body"])


def _message_rows(
    tx: Transaction, numbers: list[int], ids: list[str], received: int
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for number in numbers:
        mine = number < received
        sender = ids[1 + number % (len(ids) - 1)]
        recipient = ids[0] if mine else ids[1 + (number + 7) % (len(ids) - 1)]
        # The unread ones lie among the oldest, where a scan from either end would find them last.
        unread = mine and number % (received // UNREAD) == 0
        words = " ".join(_WORDS[(number * step) % len(_WORDS)] for step in range(1, 41))
        message = _message(tx, sender, words)
        yield message, _receipt(tx, message, recipient, unread=unread)


def _message(tx: Transaction, sender: str, body: str) -> dict[str, Any]:
    id_ = new_id()
    blank = {column.name: None for column in messages.columns}
    return blank | {
        "workspace_id": tx.workspace_id,
        "id": id_,
        "sender_id": sender,
        "sender_name": "agent",
        "addressed_to": ["agent"],
        "recipient_count": 1,
        "broadcast": False,
        "subject": "Parser",
        "body": body,
        "body_chars": len(body),
        "topic": "",
        "tags": [],
        "priority": 1,
        "thread_id": id_,
        "hop": 0,
        "ack_required": False,
        "created_at": tx.now - timedelta(days=1),
    }


def _receipt(tx: Transaction, message: dict[str, Any], recipient: str, *, unread: bool) -> dict[str, Any]:
    seen = None if unread else tx.now
    return {
        "workspace_id": tx.workspace_id,
        "agent_id": recipient,
        "message_id": message["id"],
        "sender_id": message["sender_id"],
        "priority": 1,
        "expires_at": None,
        "stored_at": tx.now - timedelta(days=1),
        "offered_at": seen,
        "injected_at": seen,
        "read_at": seen,
        "acked_at": None,
    }


def _event(tx: Transaction, seq: int, message: dict[str, Any]) -> dict[str, Any]:
    blank = {column.name: None for column in events.columns}
    return blank | {
        "workspace_id": tx.workspace_id,
        "seq": seq,
        "id": new_id(),
        "type": "message.sent",
        "version": 1,
        "subject": f"message/{message['id']}",
        "principal": "owner:system",
        "actor": message["sender_id"],
        "audience": "agents",
        "audience_ids": "",
        "severity": "info",
        "correlation_id": message["thread_id"],
        "hop": 0,
        "data": "{}",
        "at": tx.now,
    }


def _tasks(tx: Transaction, numbers: list[int]) -> None:
    blank = {column.name: None for column in tasks.columns}
    rows = [
        blank
        | {
            "workspace_id": tx.workspace_id,
            "id": new_id(),
            "goal": f"Task {number}",
            "description": "",
            "type": "feature",
            "rank": -(number % 10),
            "status": "open" if number % 2 else "done",
            "dependencies": [],
            "unmet": 0,
            "scope": [],
            "tags": [],
            "capabilities": [],
            "review_required": False,
            "max_attempts": 3,
            "attempts": 0,
            "note": "",
            "reason": "",
            "created_at": tx.now,
            "updated_at": tx.now,
            "version": 1,
        }
        for number in numbers
    ]
    tx.execute(_TASKS, rows)


def _plans(tx: Transaction) -> dict[str, list[str]]:
    """How the engine means to run the statements of an inbox."""
    spoken: list[str] = []
    driver = tx.connection.connection.driver_connection
    driver.set_trace_callback(spoken.append)  # type: ignore[union-attr]
    inbox = registry["message.inbox"]
    inbox.function(tx, inbox.request(unread=True, limit=20))
    driver.set_trace_callback(None)  # type: ignore[union-attr]
    return {
        " ".join(statement.split()): [
            str(row[-1]) for row in tx.execute(text("EXPLAIN QUERY PLAN " + statement.replace(":", "\\:")))
        ]
        for statement in spoken
        if statement.lstrip().startswith("SELECT")
    }
