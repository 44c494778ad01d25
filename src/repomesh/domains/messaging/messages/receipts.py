"""Receipts: how far each message got with each of its recipients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, bindparam, func, literal, or_, select, update

from repomesh.domains.agents.tables import agents
from repomesh.domains.messaging.messages import rows, rules
from repomesh.domains.messaging.messages.errors import MessageNotFound, NotARecipient, ReceiptsPrivate
from repomesh.domains.messaging.messages.models import (
    MESSAGE_ACKED,
    MESSAGE_INJECTED,
    MESSAGE_OFFERED,
    MESSAGE_READ,
    ListReceipts,
    MessageChosen,
    MessageIds,
    MessagesAdvanced,
    Receipt,
    ReceiptsAdvanced,
    ReceiptStatus,
)
from repomesh.domains.messaging.messages.tables import receipts
from repomesh.kernel.fields import Page
from repomesh.kernel.operation import Get, Post, Tool, command, query
from repomesh.store.listing import Listing
from repomesh.store.log import Audience, NewEvent
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction
from repomesh.store.types import Timestamp

_EVENTS = {
    "offered": MESSAGE_OFFERED,
    "injected": MESSAGE_INJECTED,
    "read": MESSAGE_READ,
    "acked": MESSAGE_ACKED,
}
_OWN_RECEIPT = PreparedStatement(
    select(receipts).where(
        receipts.c.workspace_id == bindparam("ws"),
        receipts.c.agent_id == bindparam("agent"),
        receipts.c.message_id == bindparam("message"),
    )
)
_SET_TIMES = PreparedStatement(
    update(receipts)
    .where(
        receipts.c.workspace_id == bindparam("ws"),
        receipts.c.agent_id == bindparam("agent"),
        receipts.c.message_id == bindparam("message"),
    )
    .values({name: bindparam(f"new_{name}", type_=Timestamp()) for name in rules.TIMES})
)
_UNREAD = (
    select(func.count())
    .select_from(receipts)
    .where(
        receipts.c.workspace_id == bindparam("ws"),
        receipts.c.agent_id == bindparam("agent"),
        receipts.c.read_at.is_(None),
        or_(receipts.c.expires_at.is_(None), receipts.c.expires_at > bindparam("now")),
    )
)
_COUNT_UNREAD = PreparedStatement(_UNREAD)
_COUNT_IMPORTANT = PreparedStatement(_UNREAD.where(receipts.c.priority >= rules.IMPORTANT))


@command(
    "message.read",
    http=Post("/v1/messages/{message_id}/read"),
    scope="messages:write",
    errors=(MessageNotFound, NotARecipient),
    needs_agent=True,
)
def read_message(tx: Transaction, request: MessageChosen) -> Receipt:
    """Mark a message as read by the acting agent. Repeating this changes nothing."""
    return _advance_own(tx, request.message_id, "read")


@command(
    "message.ack",
    http=Post("/v1/messages/{message_id}/ack"),
    tool=Tool(
        "acknowledge_message",
        "Say that you dealt with a message: it is no longer unread, and its sender knows.",
        fields=("message_id",),
        idempotent=True,
    ),
    scope="messages:write",
    errors=(MessageNotFound, NotARecipient),
    needs_agent=True,
)
def ack_message(tx: Transaction, request: MessageChosen) -> Receipt:
    """Acknowledge a message as the acting agent. The message then counts as read, too."""
    return _advance_own(tx, request.message_id, "acked")


@query(
    "message.receipts",
    http=Get("/v1/messages/{message_id}/receipts"),
    scope="messages:read",
    errors=(MessageNotFound, ReceiptsPrivate),
)
def list_receipts(tx: Transaction, request: ListReceipts) -> Page[Receipt]:
    """List how far a message got with each recipient. For its sender, its recipients and the owner."""
    message = rows.find(tx, request.message_id)
    require_receipts(tx, message)
    table = receipts.c
    statement = (
        select(receipts, agents.c.name.label("agent_name"))
        .join(agents, agents.c.id == table.agent_id)
        .where(table.workspace_id == tx.workspace_id, table.message_id == message.id)
    )
    if request.never_offered:
        statement = statement.where(table.offered_at.is_(None))
    return Listing(Page[Receipt], _as_listed_receipt, keys=(table.agent_id,)).read(tx, statement, request)


@command("message.mark_offered", scope="messages:write", needs_agent=True)
def mark_offered(tx: Transaction, request: MessageIds) -> MessagesAdvanced:
    """Record that messages were handed to the acting agent's program."""
    return MessagesAdvanced(message_ids=advance_seen(tx, request.message_ids, "offered"))


def acknowledge(tx: Transaction, message: Any) -> None:
    """Acknowledge a message, if the acting agent is one of its recipients."""
    receipt = _own_receipt(tx, message.id)
    if receipt is not None:
        _advance(tx, receipt, message.thread_id, "acked")


def unread_count(tx: Transaction, agent_id: str) -> int:
    """How many messages an agent has not read, without those that expired."""
    return _count_unread(tx, _COUNT_UNREAD, agent_id)


def important_unread_count(tx: Transaction, agent_id: str) -> int:
    """How many of an agent's unread messages have the priority 'high' or 'urgent'."""
    return _count_unread(tx, _COUNT_IMPORTANT, agent_id)


def _count_unread(tx: Transaction, statement: PreparedStatement, agent_id: str) -> int:
    key = {"ws": tx.workspace_id, "agent": agent_id, "now": tx.now}
    return int(tx.execute(statement, key).scalar_one())


def _own_receipt(tx: Transaction, message_id: str) -> Any:
    key = {"ws": tx.workspace_id, "agent": tx.caller.acting_agent(), "message": message_id}
    return tx.execute(_OWN_RECEIPT, key).one_or_none()


def _advance_own(tx: Transaction, message_id: str, status: ReceiptStatus) -> Receipt:
    receipt = _own_receipt(tx, message_id)
    if receipt is None:
        rows.find(tx, message_id)  # what the caller may not see does not exist for it
        raise NotARecipient("the acting agent did not receive this message")
    times = _advance(tx, receipt, rows.thread_of(tx, message_id), status)
    return _as_receipt(receipt._asdict() | times, str(tx.caller.agent_name))


def _advance(tx: Transaction, receipt: Any, thread_id: str, status: ReceiptStatus) -> dict[str, Any]:
    """Set the time of `status` and each earlier time that is not set; returns all times of the receipt."""
    before = {name: getattr(receipt, name) for name in rules.TIMES}
    after = rules.advance_times(before, status, tx.now)
    if after != before:
        key = {"ws": tx.workspace_id, "agent": receipt.agent_id, "message": receipt.message_id}
        tx.execute(_SET_TIMES, key | {f"new_{name}": moment for name, moment in after.items()})
        _emit_advanced(tx, status, [receipt.message_id], receipt.sender_id, thread_id)
    return after


def advance_seen(tx: Transaction, message_ids: Sequence[str], status: ReceiptStatus) -> list[str]:
    """Advance receipts of the acting agent to `status`, with one event per sender.

    Returns the ids of the messages whose receipts had not got so far, sorted.
    """
    table = receipts.c
    implied = rules.TIMES[: rules.STATUSES.index(status)]
    now = literal(tx.now, Timestamp())
    statement = (
        update(receipts)
        .where(
            table.workspace_id == tx.workspace_id,
            table.agent_id == tx.caller.acting_agent(),
            table.message_id.in_(message_ids),
            table[implied[-1]].is_(None),
        )
        .values({name: func.coalesce(table[name], now) for name in implied})
        .returning(table.message_id, table.sender_id)
    )
    by_sender: dict[str | None, list[str]] = {}
    for row in tx.execute(statement):
        by_sender.setdefault(row.sender_id, []).append(row.message_id)
    for sender_id, ids in by_sender.items():
        _emit_advanced(tx, status, sorted(ids), sender_id)
    return sorted(message_id for ids in by_sender.values() for message_id in ids)


def _emit_advanced(
    tx: Transaction,
    status: ReceiptStatus,
    message_ids: list[str],
    sender_id: str | None,
    thread_id: str | None = None,
) -> None:
    """Emit the event of `status` to the sender and the recipient."""
    caller = tx.caller
    agent_id = caller.acting_agent()
    involved = tuple(dict.fromkeys(party_id for party_id in (sender_id, agent_id) if party_id is not None))
    data = ReceiptsAdvanced(
        agent_id=agent_id,
        agent_name=str(caller.agent_name),
        message_ids=message_ids,
        status=status,
        at=tx.now,
    )
    single = len(message_ids) == 1
    tx.emit(
        NewEvent(
            _EVENTS[status],
            f"message/{message_ids[0]}" if single else f"agent/{agent_id}",
            data,
            Audience("agents", involved),
            recipient_id=sender_id,
            correlation_id=thread_id,
        )
    )


def require_receipts(tx: Transaction, message: Any) -> None:
    """Raise ReceiptsPrivate unless the caller sent or received a message, or is the owner."""
    caller = tx.caller
    if caller.agent_id is None:
        allowed = caller.is_admin
    else:
        allowed = message.sender_id == caller.agent_id or _own_receipt(tx, message.id) is not None
    if not allowed:
        raise ReceiptsPrivate("you neither sent nor received this message")


def _as_listed_receipt(row: Row[Any]) -> Receipt:
    return _as_receipt(row._asdict(), row.agent_name)


def _as_receipt(row: Mapping[str, Any], agent_name: str) -> Receipt:
    return Receipt(
        message_id=row["message_id"],
        agent_id=row["agent_id"],
        agent_name=agent_name,
        status=rules.status(row),
        stored_at=row["stored_at"],
        **{name: row[name] for name in rules.TIMES},
    )
