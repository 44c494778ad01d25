"""Tracing: the path of a message with times, by recipient, and why it did not get through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, and_, exists, select

from repomesh.domains.agents.tables import agents, cli_sessions
from repomesh.domains.messaging.delivery import rules
from repomesh.domains.messaging.delivery.models import (
    Delivery,
    MessageTrace,
    TracedNotice,
    TracedRecipient,
    TraceMessage,
)
from repomesh.domains.messaging.delivery.tables import deliveries, delivery_messages
from repomesh.domains.messaging.messages import rows as message_rows
from repomesh.domains.messaging.messages import rules as message_rules
from repomesh.domains.messaging.messages.errors import MessageNotFound, ReceiptsPrivate
from repomesh.domains.messaging.messages.receipts import require_receipts
from repomesh.domains.messaging.messages.tables import messages, receipts
from repomesh.kernel.limits import PAGE_ITEMS_MAX
from repomesh.kernel.operation import Get, query
from repomesh.store.paging import read_items
from repomesh.store.transaction import Transaction

_DELIVERY_FIELDS = tuple(Delivery.model_fields)


@query(
    "message.trace",
    http=Get("/v1/messages/{message_id}/trace"),
    scope="messages:read",
    errors=(MessageNotFound, ReceiptsPrivate),
)
def trace_message(tx: Transaction, request: TraceMessage) -> MessageTrace:
    """Trace a message: when it was stored, handed out by which routes, seen, read and acknowledged, by whom.

    For its sender, its recipients and the owner. Where the message did not reach a model, the trace gives the
    reason, as far as it is known.
    """
    message = message_rows.find(tx, request.message_id)
    require_receipts(tx, message)
    table = receipts.c
    statement = (
        select(receipts, agents.c.name.label("agent_name"), agents.c.status.label("agent_status"))
        .join(agents, agents.c.id == table.agent_id)
        .where(table.workspace_id == tx.workspace_id, table.message_id == message.id)
    )
    read = read_items(tx, statement, request, [table.agent_id], lambda row: row)
    deliveries_by_agent = deliveries_of(tx, message.id, [row.agent_id for row in read.items])
    return MessageTrace(
        message_id=message.id,
        sender_name=message.sender_name,
        created_at=message.created_at,
        expires_at=message.expires_at,
        ack_deadline=message.ack_deadline,
        undelivered_at=message.undelivered_at,
        recipient_count=message.recipient_count,
        recipients=[_recipient(tx, row, deliveries_by_agent.get(row.agent_id, [])) for row in read.items],
        notices=_notices(tx, message),
        next_cursor=read.next_cursor,
    )


def deliveries_of(tx: Transaction, message_id: str, agent_ids: Sequence[str]) -> Mapping[str, list[Delivery]]:
    """The deliveries of a message by agent id, oldest first; agents without a delivery are left out."""
    link, delivery = delivery_messages.c, deliveries.c
    statement = (
        select(deliveries)
        .join(
            delivery_messages,
            and_(link.workspace_id == delivery.workspace_id, link.boundary == delivery.boundary),
        )
        .where(
            link.workspace_id == tx.workspace_id,
            link.message_id == message_id,
            link.agent_id.in_(agent_ids),
        )
        .order_by(delivery.at)
        .limit(PAGE_ITEMS_MAX)
    )
    by_agent: dict[str, list[Delivery]] = {}
    for row in tx.execute(statement):
        attempt = Delivery(**{name: getattr(row, name) for name in _DELIVERY_FIELDS})
        by_agent.setdefault(row.agent_id, []).append(attempt)
    return by_agent


def why_missed(tx: Transaction, agent_id: str, agent_status: str, attempts: Sequence[Delivery]) -> str:
    """Why a message has not reached an agent's model, in words."""
    live_session = exists().where(
        cli_sessions.c.workspace_id == tx.workspace_id,
        cli_sessions.c.agent_id == agent_id,
        cli_sessions.c.ended_at.is_(None),
    )
    hooked = bool(tx.execute(select(live_session)).scalar_one())
    return rules.why_missed(agent_status, attempts[-1].failure if attempts else None, bool(attempts), hooked)


def _recipient(tx: Transaction, row: Row[Any], attempts: list[Delivery]) -> TracedRecipient:
    reached = row.injected_at is not None
    return TracedRecipient(
        agent_id=row.agent_id,
        agent_name=row.agent_name,
        agent_status=row.agent_status,
        status=message_rules.status(row._asdict()),
        stored_at=row.stored_at,
        **{name: getattr(row, name) for name in message_rules.TIMES},
        deliveries=attempts,
        reason="" if reached else why_missed(tx, row.agent_id, row.agent_status, attempts),
    )


def _notices(tx: Transaction, message: Row[Any]) -> list[TracedNotice]:
    """The notices to the sender about this message."""
    if message.undelivered_at is None or message.sender_id is None:
        return []
    table = messages.c
    statement = (
        select(table.id, table.subject, table.created_at)
        .join(
            receipts,
            and_(receipts.c.workspace_id == table.workspace_id, receipts.c.message_id == table.id),
        )
        .where(
            receipts.c.workspace_id == tx.workspace_id,
            receipts.c.agent_id == message.sender_id,
            # A notice is newer than its message, and so is its id.
            receipts.c.message_id > message.id,
            table.related_message_id == message.id,
            table.sender_id.is_(None),
        )
        .order_by(table.id)
        .limit(PAGE_ITEMS_MAX)
    )
    return [
        TracedNotice(message_id=row.id, subject=row.subject, created_at=row.created_at)
        for row in tx.execute(statement)
    ]
