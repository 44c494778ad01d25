"""Waking: which idle CLI sessions to wake, with what text, and the outcome of each attempt.

The server decides and records; the daemon, which runs beside the CLIs, wakes them.
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
from repomesh.domains.messaging.delivery import operations as delivery_operations
from repomesh.domains.messaging.delivery.models import DeliverySent
from repomesh.domains.messaging.delivery.tables import deliveries, delivery_messages
from repomesh.domains.messaging.messages import envelope
from repomesh.domains.messaging.messages.receipts import unread_count
from repomesh.domains.messaging.messages.rules import earliest
from repomesh.domains.messaging.messages.tables import messages, receipts
from repomesh.domains.messaging.waits.tables import waits
from repomesh.domains.messaging.wakes import rules
from repomesh.domains.messaging.wakes.models import DueWake, DueWakes, ListDueWakes, TakeWake, Wake, WakeDone
from repomesh.domains.messaging.wakes.rules import WakeCandidate
from repomesh.kernel.limits import DELIVERY_CANDIDATES_MAX, WAKE_SESSIONS_MAX
from repomesh.kernel.operation import Empty, Get, Post, command, query
from repomesh.store.transaction import Transaction

_FIRST_LINE = "[repomesh woke you] Your user did not type this; it arrived while you were idle."
_SESSIONS = select(cli_sessions, agents.c.name.label("agent_name")).join(
    agents, agents.c.id == cli_sessions.c.agent_id
)
_EMPTY_WAKE = Wake(boundary=None, text="", message_ids=[])


@query("wake.due", http=Get("/v1/wakes"), scope="messages:admin")
def list_due(tx: Transaction, request: ListDueWakes) -> DueWakes:
    """List idle CLI sessions for which something waits that is worth a turn of their model."""
    items, other_due_times = [], []
    for session in _find_idle_sessions(tx, request.cli):
        due_at = earliest(*_due_times(tx, session))
        if due_at is not None and due_at <= tx.now:
            items.append(DueWake(**{name: getattr(session, name) for name in DueWake.model_fields}))
        else:
            other_due_times.append(due_at)
    again_at = earliest(*other_due_times)
    return DueWakes(items=items, again_s=None if again_at is None else (again_at - tx.now).total_seconds())


@command("wake.take", http=Post("/v1/wakes"), scope="messages:admin", errors=(CliSessionNotFound,))
def take_wake(tx: Transaction, request: TakeWake) -> Wake:
    """Return the text for an idle session and record its delivery; nothing when it need not be woken."""
    session = _find_session(tx, request)
    if session.ended_at is not None or session.state != "idle":
        return _EMPTY_WAKE
    due_at = earliest(*_due_times(tx, session))
    if due_at is None or due_at > tx.now:
        return _EMPTY_WAKE
    boundary = envelope.new_boundary()
    with _act_as(tx, session.agent_id):
        message_ids = delivery_operations.candidates(tx, session.agent_id, session.cli, session.session_id)
        enclosed = delivery_operations.load_enclosed(tx, message_ids)
        unread = unread_count(tx, session.agent_id)
        wrapped = envelope.wrap(enclosed, unread, boundary, ahead=_FIRST_LINE)
        if not wrapped.message_ids:
            return _EMPTY_WAKE
        delivery_operations.record(tx, "wake", boundary, wrapped.message_ids, session.cli, session.session_id)
    return Wake(boundary=boundary, text=wrapped.text, message_ids=list(wrapped.message_ids))


@command("wake.done", http=Post("/v1/wakes/{boundary}/done"), scope="messages:admin", errors=(AgentNotFound,))
def wake_done(tx: Transaction, request: WakeDone) -> Empty:
    """Record that a session was woken, or why it could not be. The trace of its messages shows it."""
    with _act_as(tx, find_agent(tx, request.agent_id).id):
        return delivery_operations.delivery_sent(
            tx, DeliverySent(boundary=request.boundary, failure=request.failure)
        )


@contextmanager
def _act_as(tx: Transaction, agent_id: str) -> Iterator[None]:
    """Write as this agent inside the block: a delivery is recorded by its recipient."""
    previous_caller = tx.caller
    agent = find_agent(tx, agent_id)
    tx.caller = replace(previous_caller, agent_id=agent.id, agent_name=agent.name, agent_type=agent.type)
    try:
        yield
    finally:
        tx.caller = previous_caller


def _find_idle_sessions(tx: Transaction, clis: Sequence[str]) -> list[Row[Any]]:
    """The newest idle live session of each agent."""
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


def _find_session(tx: Transaction, key: TakeWake) -> Row[Any]:
    table = cli_sessions.c
    conditions = (
        table.workspace_id == tx.workspace_id,
        table.cli == key.cli,
        table.session_id == key.session_id,
    )
    row = tx.execute(_SESSIONS.where(*conditions)).one_or_none()
    if row is None:
        raise CliSessionNotFound(f"no hook told of a session '{key.session_id}' of {key.cli}")
    return row


def _due_times(tx: Transaction, session: Row[Any]) -> list[datetime | None]:
    """When to wake a session, for each message that could be delivered to it now; None for never."""
    key = session.agent_id, session.cli, session.session_id
    message_ids = delivery_operations.candidates(tx, *key, most=DELIVERY_CANDIDATES_MAX)
    if not message_ids:
        return []
    has_wait = _has_wait(tx, session.agent_id)
    return [
        rules.due_at(candidate, has_wait=has_wait) for candidate in _wake_candidates(tx, session, message_ids)
    ]


def _wake_candidates(tx: Transaction, session: Row[Any], message_ids: Sequence[str]) -> list[WakeCandidate]:
    attempts_by_message = _wake_attempts(tx, session, message_ids)
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
        .where(messages.c.workspace_id == tx.workspace_id, messages.c.id.in_(message_ids))
        .where(receipts.c.read_at.is_(None))
    )
    candidates = []
    for row in tx.execute(statement):
        attempts = attempts_by_message.get(row.id)
        candidates.append(
            WakeCandidate(
                priority=row.priority,
                ack_required=row.ack_required,
                direct=session.agent_name in row.addressed_to,
                stored_at=row.stored_at,
                arrived=attempts is not None and attempts.count > attempts.failures,
                failures=attempts.failures if attempts is not None else 0,
                failed_at=attempts.failed_at if attempts is not None else None,
            )
        )
    return candidates


def _wake_attempts(tx: Transaction, session: Row[Any], message_ids: Sequence[str]) -> dict[str, Row[Any]]:
    """The attempts to wake a session by message id, as rows of (message_id, count, failures, failed_at)."""
    link, delivery = delivery_messages.c, deliveries.c
    statement = (
        select(
            link.message_id,
            func.count().label("count"),
            func.count(delivery.failed_at).label("failures"),
            func.max(delivery.failed_at).label("failed_at"),
        )
        .join(
            deliveries,
            and_(delivery.workspace_id == link.workspace_id, delivery.boundary == link.boundary),
        )
        .where(
            link.workspace_id == tx.workspace_id,
            link.message_id.in_(message_ids),
            link.agent_id == session.agent_id,
            delivery.route == "wake",
            delivery.cli == session.cli,
            delivery.session_id == session.session_id,
        )
        .group_by(link.message_id)
    )
    return {row.message_id: row for row in tx.execute(statement)}


def _has_wait(tx: Transaction, agent_id: str) -> bool:
    table = waits.c
    open_wait = exists().where(
        table.workspace_id == tx.workspace_id,
        table.agent_id == agent_id,
        table.status == "waiting",
        table.until > tx.now,
    )
    return bool(tx.execute(select(open_wait)).scalar_one())
