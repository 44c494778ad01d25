"""Non-delivery: notify the sender of a message that expired or was not acknowledged in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import Row, select, update

from repomesh.domains.agents.tables import agents
from repomesh.domains.messaging.delivery import rules
from repomesh.domains.messaging.delivery.models import (
    MESSAGE_UNDELIVERED,
    ExpiredMessages,
    ExpireMessages,
    MessageUndelivered,
    MissedRecipient,
)
from repomesh.domains.messaging.delivery.tracing import deliveries_of, why_missed
from repomesh.domains.messaging.messages import rules as message_rules
from repomesh.domains.messaging.messages.sending import system_notice
from repomesh.domains.messaging.messages.tables import messages, receipts
from repomesh.kernel import limits
from repomesh.kernel.operation import Due, command
from repomesh.store.damage import apply_to_each
from repomesh.store.due import due_at
from repomesh.store.log import Audience, NewEvent
from repomesh.store.transaction import Transaction

_DUE = select(
    messages.c.id,
    messages.c.sender_id,
    messages.c.subject,
    messages.c.thread_id,
    messages.c.task_id,
    messages.c.recipient_count,
    messages.c.ack_required,
    messages.c.expires_at,
    messages.c.created_at,
)


_DUE_ANYWHERE = due_at(messages.c.workspace_id, messages.c.due_at, messages.c.due_at.is_not(None))


@command("message.expire", scope="messages:admin", due=(Due(lambda _: _DUE_ANYWHERE),))
def expire_messages(tx: Transaction, request: ExpireMessages) -> ExpiredMessages:
    """Send the senders of messages whose time has passed a notice, if a recipient missed the message.

    A recipient missed a message that wants acknowledging by not acknowledging it, and any other message that
    expired if it was not shown to the recipient's model. There is one notice for a message.
    """
    table = messages.c
    statement = _DUE.where(table.workspace_id == tx.workspace_id, table.due_at <= tx.now)
    due_rows = tx.execute(statement.order_by(table.due_at, table.id).limit(limits.UNDELIVERED_MAX + 1)).all()
    rows = _first_batch(due_rows)
    in_workspace = table.workspace_id == tx.workspace_id

    def report(row: Row[Any]) -> None:
        missed = _find_missed(tx, row)
        notified = bool(missed) and row.sender_id is not None
        if notified:
            _send_notice(tx, row, missed)
        undelivered_at = tx.now if notified else None
        tx.execute(
            update(messages)
            .where(in_workspace, table.id == row.id)
            .values(due_at=None, undelivered_at=undelivered_at)
        )

    damaged = [row.id for row in apply_to_each(tx, rows, report, lambda row: f"message/{row.id}")]
    if damaged:  # else they would stay due for ever
        tx.execute(update(messages).where(in_workspace, table.id.in_(damaged)).values(due_at=None))
    reported = [row.id for row in rows if row.id not in damaged]
    return ExpiredMessages(message_ids=reported, complete=len(rows) == len(due_rows))


def _first_batch(rows: Sequence[Row[Any]]) -> list[Row[Any]]:
    """The first of the due messages: at least one, and no more than one transaction handles."""
    batch: list[Row[Any]] = []
    recipients = 0
    for row in rows[: limits.UNDELIVERED_MAX]:
        recipients += row.recipient_count
        if batch and recipients > limits.UNDELIVERED_RECIPIENTS_MAX:
            break
        batch.append(row)
    return batch


def _find_missed(tx: Transaction, message: Any) -> list[MissedRecipient]:
    required_time = receipts.c.acked_at if message.ack_required else receipts.c.injected_at
    statement = (
        select(receipts, agents.c.name, agents.c.status.label("agent_status"))
        .join(agents, agents.c.id == receipts.c.agent_id)
        .where(
            receipts.c.workspace_id == tx.workspace_id,
            receipts.c.message_id == message.id,
            required_time.is_(None),
        )
        .order_by(agents.c.name)
    )
    rows = tx.execute(statement).all()
    deliveries_by_agent = deliveries_of(tx, message.id, [row.agent_id for row in rows])
    return [
        MissedRecipient(
            agent_id=row.agent_id,
            agent_name=row.name,
            status=message_rules.status(row._asdict()),
            reason=""
            if row.injected_at
            else why_missed(tx, row.agent_id, row.agent_status, deliveries_by_agent.get(row.agent_id, [])),
        )
        for row in rows
    ]


def _send_notice(tx: Transaction, message: Any, missed: list[MissedRecipient]) -> None:
    expired = message.expires_at is not None and message.expires_at <= tx.now
    reason: Literal["expired", "unacknowledged"] = "expired" if expired else "unacknowledged"
    subject, body = rules.notice(message.subject, message.created_at, reason, missed, message.recipient_count)
    notice = system_notice(
        tx,
        [message.sender_id],
        subject,
        body,
        tags=["non-delivery"],
        related_message_id=message.id,
        task_id=message.task_id,
    )
    data = MessageUndelivered(
        message_id=message.id,
        subject=message.subject,
        reason=reason,
        missed=missed,
        notice_id=notice.id,
        at=tx.now,
    )
    tx.emit(
        NewEvent(
            MESSAGE_UNDELIVERED,
            f"message/{message.id}",
            data,
            Audience("agents", (message.sender_id,)),
            severity="warning",
            task_id=message.task_id,
            recipient_id=message.sender_id,
            correlation_id=message.thread_id,
        )
    )
