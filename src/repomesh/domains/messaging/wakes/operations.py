"""Waking: which idle CLI sessions are told of what arrived, with what words, and what came of it.

The server decides and keeps the record; who stands beside the CLIs, the daemon, does it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, exists, func, select

from repomesh.domains.agents.errors import AgentNotFound, CliSessionNotFound
from repomesh.domains.agents.operations import find_agent
from repomesh.domains.agents.tables import agents, cli_sessions
from repomesh.domains.messaging.delivery import operations as delivered
from repomesh.domains.messaging.delivery.models import DeliverySent
from repomesh.domains.messaging.delivery.tables import deliveries, delivery_messages
from repomesh.domains.messaging.messages import envelope
from repomesh.domains.messaging.messages.receipts import unread_count
from repomesh.domains.messaging.messages.tables import messages, receipts
from repomesh.domains.messaging.waits.tables import waits
from repomesh.domains.messaging.wakes import rules
from repomesh.domains.messaging.wakes.models import DueWake, DueWakes, ListDueWakes, TakeWake, Wake, WakeDone
from repomesh.domains.messaging.wakes.rules import WakeCandidate
from repomesh.kernel.limits import DELIVERY_CANDIDATES_MAX, WAKE_SESSIONS_MAX
from repomesh.kernel.operation import Empty, Get, Post, command, query
from repomesh.store.transaction import Transaction

_AHEAD = "[repomesh woke you] Your user did not type this; it arrived while you were idle."
_SESSIONS = select(cli_sessions, agents.c.name.label("agent_name")).join(
    agents, agents.c.id == cli_sessions.c.agent_id
)
_NOTHING = Wake(boundary=None, text="", message_ids=[])


@query("wake.due", http=Get("/v1/wakes"), scope="messages:admin")
def list_due(tx: Transaction, request: ListDueWakes) -> DueWakes:
    """List the idle CLI sessions that something waits for which is worth a turn of their model."""
    items, later = [], []
    for session in _idle(tx, request.cli):
        due_at = rules.first(_moments(tx, session))
        if due_at is not None and due_at <= tx.now:
            items.append(DueWake(**{name: getattr(session, name) for name in DueWake.model_fields}))
        else:
            later.append(due_at)
    again_at = rules.first(later)
    return DueWakes(items=items, again_s=None if again_at is None else (again_at - tx.now).total_seconds())


@command("wake.take", http=Post("/v1/wakes"), scope="messages:admin", errors=(CliSessionNotFound,))
def take_wake(tx: Transaction, request: TakeWake) -> Wake:
    """Answer what to tell an idle session, and note that it is told; nothing when it need not be woken."""
    session = _session(tx, request)
    if session.ended_at is not None or session.state != "idle":
        return _NOTHING
    due_at = rules.first(_moments(tx, session))
    if due_at is None or due_at > tx.now:
        return _NOTHING
    boundary = envelope.new_boundary()
    with _acting(tx, session.agent_id):
        ids = delivered.candidates(tx, session.agent_id, session.cli, session.session_id)
        few = delivered.enclosed(tx, ids)
        unread = unread_count(tx, session.agent_id)
        wrapped = envelope.wrap(few, unread, boundary, ahead=_AHEAD)
        if not wrapped.message_ids:
            return _NOTHING
        delivered.record(tx, "wake", boundary, wrapped.message_ids, session.cli, session.session_id)
    return Wake(boundary=boundary, text=wrapped.text, message_ids=list(wrapped.message_ids))


@command("wake.done", http=Post("/v1/wakes/{boundary}/done"), scope="messages:admin", errors=(AgentNotFound,))
def wake_done(tx: Transaction, request: WakeDone) -> Empty:
    """Note that a session was told, or why it could not be; the trace of its messages shows that."""
    with _acting(tx, find_agent(tx, request.agent_id).id):
        return delivered.delivery_sent(tx, DeliverySent(boundary=request.boundary, failure=request.failure))


@contextmanager
def _acting(tx: Transaction, agent_id: str) -> Iterator[None]:
    """Inside, what is written is written as this agent's: a delivery is its recipient's doing."""
    before = tx.caller
    agent = find_agent(tx, agent_id)
    tx.caller = replace(before, agent_id=agent.id, agent_name=agent.name, agent_type=agent.type)
    try:
        yield
    finally:
        tx.caller = before


def _idle(tx: Transaction, clis: Sequence[str]) -> list[Row[Any]]:
    """The live sessions that are idle, the newest of each agent."""
    table = cli_sessions.c
    statement = (
        _SESSIONS.where(
            table.workspace_id == tx.workspace_id,
            table.ended_at.is_(None),
            table.state == "idle",
            table.cli.in_(clis),
            agents.c.status != "retired",
        )
        .order_by(table.last_hook_at.desc(), table.cli, table.session_id)
        .limit(WAKE_SESSIONS_MAX)
    )
    newest: dict[str, Row[Any]] = {}
    for row in tx.execute(statement):
        newest.setdefault(row.agent_id, row)
    return list(newest.values())


def _session(tx: Transaction, key: TakeWake) -> Row[Any]:
    table = cli_sessions.c
    here = table.workspace_id == tx.workspace_id, table.cli == key.cli, table.session_id == key.session_id
    row = tx.execute(_SESSIONS.where(*here)).one_or_none()
    if row is None:
        raise CliSessionNotFound(f"no hook told of a session '{key.session_id}' of {key.cli}")
    return row


def _moments(tx: Transaction, session: Row[Any]) -> list[datetime | None]:
    """When to wake a session for each of the messages that it could be given now."""
    key = session.agent_id, session.cli, session.session_id
    ids = delivered.candidates(tx, *key, most=DELIVERY_CANDIDATES_MAX)
    if not ids:
        return []
    waiting = _has_wait(tx, session.agent_id)
    return [rules.due_at(candidate, waits=waiting) for candidate in _candidates(tx, session, ids)]


def _candidates(tx: Transaction, session: Row[Any], ids: Sequence[str]) -> list[WakeCandidate]:
    tried = _tried(tx, session, ids)
    statement = (
        select(messages.c.id, messages.c.priority, messages.c.ack_required, messages.c.addressed_to)
        .add_columns(receipts.c.stored_at)
        .join(
            receipts,
            and_(
                receipts.c.workspace_id == messages.c.workspace_id,
                receipts.c.message_id == messages.c.id,
                receipts.c.agent_id == session.agent_id,
            ),
        )
        .where(messages.c.workspace_id == tx.workspace_id, messages.c.id.in_(ids))
        .where(receipts.c.read_at.is_(None))
    )
    found = []
    for row in tx.execute(statement):
        wakes = tried.get(row.id)
        found.append(
            WakeCandidate(
                priority=row.priority,
                ack_required=row.ack_required,
                direct=session.agent_name in row.addressed_to,
                stored_at=row.stored_at,
                arrived=wakes is not None and wakes.count > wakes.failures,
                failures=wakes.failures if wakes is not None else 0,
                failed_at=wakes.failed_at if wakes is not None else None,
            )
        )
    return found


def _tried(tx: Transaction, session: Row[Any], ids: Sequence[str]) -> dict[str, Row[Any]]:
    """What was tried to wake a session for each of the messages."""
    part, whole = delivery_messages.c, deliveries.c
    statement = (
        select(
            part.message_id,
            func.count().label("count"),
            func.count(whole.failed_at).label("failures"),
            func.max(whole.failed_at).label("failed_at"),
        )
        .join(
            deliveries,
            and_(whole.workspace_id == part.workspace_id, whole.boundary == part.boundary),
        )
        .where(
            part.workspace_id == tx.workspace_id,
            part.message_id.in_(ids),
            part.agent_id == session.agent_id,
            whole.route == "wake",
            whole.cli == session.cli,
            whole.session_id == session.session_id,
        )
        .group_by(part.message_id)
    )
    return {row.message_id: row for row in tx.execute(statement)}


def _has_wait(tx: Transaction, agent_id: str) -> bool:
    table = waits.c
    open_one = exists().where(
        table.workspace_id == tx.workspace_id,
        table.agent_id == agent_id,
        table.status == "waiting",
        table.until > tx.now,
    )
    return bool(tx.execute(select(open_one)).scalar_one())
