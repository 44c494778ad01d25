"""Deliveries: what was handed out, by which route, and whether it is known to be in a model's context.

A message is `injected` when that is known, and not before: its delivery's boundary was found in the
transcript that the CLI names; or, where it names none, a later hook of the session came in after an answer
that had left in time; or a tool's result with it was returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, bindparam, delete, func, insert, or_, select, update

from repomesh.domains.agents.tables import agents, cli_sessions
from repomesh.domains.leases import lost_leases
from repomesh.domains.messaging.delivery.models import (
    DeliveriesConfirmed,
    DeliverySent,
    ForgetDeliveries,
    ForgottenDeliveries,
    ListUndecided,
    MarkInjected,
    Route,
    UndecidedDeliveries,
    UndecidedDelivery,
)
from repomesh.domains.messaging.delivery.tables import deliveries, delivery_messages
from repomesh.domains.messaging.messages import rules as message_rules
from repomesh.domains.messaging.messages.envelope import EnclosedMessage
from repomesh.domains.messaging.messages.models import MessagesAdvanced
from repomesh.domains.messaging.messages.receipts import advance_seen
from repomesh.domains.messaging.messages.tables import messages, receipts
from repomesh.domains.workspaces.server_downtime import silent_before
from repomesh.kernel import limits
from repomesh.kernel.operation import Due, Empty, command, query
from repomesh.store.damage import convert_readable
from repomesh.store.due import before, due_at, due_in_each, due_now
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

_unexpired = (
    receipts.c.workspace_id == bindparam("ws"),
    receipts.c.agent_id == bindparam("agent"),
    or_(receipts.c.expires_at.is_(None), receipts.c.expires_at > bindparam("now")),
)
_CANDIDATES = PreparedStatement(
    select(receipts.c.message_id, receipts.c.priority)
    .where(*_unexpired, receipts.c.injected_at.is_(None))
    .order_by(receipts.c.message_id.desc())
    .limit(limits.DELIVERY_CANDIDATES_MAX)
)
_TRIES = PreparedStatement(
    select(deliveries.c.at)
    .select_from(delivery_messages)
    .join(
        deliveries,
        and_(
            deliveries.c.workspace_id == delivery_messages.c.workspace_id,
            deliveries.c.boundary == delivery_messages.c.boundary,
        ),
    )
    .where(
        delivery_messages.c.workspace_id == bindparam("ws"),
        delivery_messages.c.message_id == bindparam("message"),
        delivery_messages.c.agent_id == bindparam("agent"),
        deliveries.c.failed_at.is_(None),
        or_(
            deliveries.c.cli.is_(None),
            and_(deliveries.c.cli == bindparam("cli"), deliveries.c.session_id == bindparam("session")),
        ),
    )
)
_newest_unread = (
    select(receipts.c.message_id, receipts.c.priority)
    .where(*_unexpired, receipts.c.read_at.is_(None))
    .order_by(receipts.c.message_id.desc())
    .limit(limits.TURN_END_LOOKED_AT_MAX)
    .subquery()
)
_PRESSING = PreparedStatement(
    select(messages.c.id, messages.c.priority)
    .select_from(_newest_unread)
    .join(
        messages,
        and_(messages.c.workspace_id == bindparam("ws"), messages.c.id == _newest_unread.c.message_id),
    )
    .where(or_(_newest_unread.c.priority >= message_rules.IMPORTANT, messages.c.ack_required))
    .order_by(messages.c.id.desc())
    .limit(limits.TURN_END_TOLD_MAX)
)
_UNDECIDED = deliveries.c.confirmed_at.is_(None), deliveries.c.failed_at.is_(None)
_COUNT_UNDECIDED = PreparedStatement(
    select(func.count())
    .select_from(deliveries)
    .where(
        deliveries.c.workspace_id == bindparam("ws"),
        deliveries.c.cli == bindparam("cli"),
        deliveries.c.session_id == bindparam("session"),
        *_UNDECIDED,
    )
)
_ENCLOSED = PreparedStatement(
    select(
        *(column for column in messages.c if column.name != "body"),
        func.substr(messages.c.body, 1, limits.DELIVERY_CHARS_MAX * 4).label("body"),
        agents.c.type.label("sender_type"),
    )
    .outerjoin(agents, agents.c.id == messages.c.sender_id)
    .where(messages.c.workspace_id == bindparam("ws"), messages.c.id == bindparam("message"))
)
_INSERT = PreparedStatement(insert(deliveries))
_INSERT_MESSAGE = PreparedStatement(insert(delivery_messages))


def candidates(
    tx: Transaction, agent_id: str, cli: str, session_id: str, most: int = limits.DELIVERY_MESSAGES_MAX
) -> list[str]:
    """The ids of up to `most` messages to deliver now, by priority, then newest first; no recent retries."""
    key = {"ws": tx.workspace_id, "agent": agent_id}
    rows = tx.execute(_CANDIDATES, key | {"now": tx.now}).all()
    retry_before: datetime | None = None
    message_ids: list[str] = []
    for row in sorted(rows, key=lambda row: row.priority, reverse=True):  # of one priority the newest first
        params = key | {"message": row.message_id, "cli": cli, "session": session_id}
        tries = [
            delivery for delivery in tx.execute(_TRIES, params).all() if isinstance(delivery.at, datetime)
        ]
        retry_before = retry_before or (silent_before(tx, limits.DELIVERY_RETRY_S) if tries else None)
        if len(tries) < limits.DELIVERY_TRIES_MAX and all(
            retry_before and delivery.at < retry_before for delivery in tries
        ):
            message_ids.append(row.message_id)
            if len(message_ids) == most:
                break
    return message_ids


def pressing_message_ids(tx: Transaction, agent_id: str) -> list[str]:
    """The ids of unread messages that must hold a turn's end back: important ones and ones to acknowledge."""
    rows = tx.execute(_PRESSING, {"ws": tx.workspace_id, "agent": agent_id, "now": tx.now}).all()
    return [row.id for row in sorted(rows, key=lambda row: row.priority, reverse=True)]


def undecided_count(tx: Transaction, cli: str, session_id: str) -> int:
    """How many deliveries to a CLI session are neither confirmed nor failed."""
    key = {"ws": tx.workspace_id, "cli": cli, "session": session_id}
    return int(tx.execute(_COUNT_UNDECIDED, key).scalar_one())


def load_enclosed(tx: Transaction, message_ids: Sequence[str]) -> list[EnclosedMessage]:
    """Load messages for an envelope, in the order of the ids; without those that are missing or damaged."""
    rows = (
        tx.execute(_ENCLOSED, {"ws": tx.workspace_id, "message": id_}).one_or_none() for id_ in message_ids
    )
    existing_rows = (row for row in rows if row is not None)
    return convert_readable(tx, existing_rows, _as_enclosed, lambda row: f"message/{row.id}")


def record(
    tx: Transaction,
    route: Route,
    boundary: str,
    message_ids: Sequence[str],
    cli: str | None,
    session_id: str | None,
) -> None:
    """Record a delivery of messages to the acting agent, and mark them as offered."""
    agent_id = tx.caller.acting_agent()
    row: dict[str, Any] = {
        "workspace_id": tx.workspace_id,
        "boundary": boundary,
        "agent_id": agent_id,
        "cli": cli,
    }
    row |= {"session_id": session_id, "route": route, "message_ids": list(message_ids), "at": tx.now}
    row |= {"sent_at": None, "confirmed_at": None, "failed_at": None, "failure": None}
    tx.execute(_INSERT, row)
    key = {"workspace_id": tx.workspace_id, "agent_id": agent_id, "boundary": boundary}
    if message_ids:
        tx.execute(_INSERT_MESSAGE, [key | {"message_id": message_id} for message_id in message_ids])
        advance_seen(tx, message_ids, "offered")


@command("delivery.sent", scope="messages:write", needs_agent=True)
def delivery_sent(tx: Transaction, request: DeliverySent) -> Empty:
    """Record that the answer with a delivery left the server in time, or why it can't have arrived."""
    values: dict[str, Any] = {"sent_at": tx.now}
    if request.failure:
        values = {"failed_at": tx.now, "failure": request.failure}
        lost_leases.report_again(tx, tx.caller.acting_agent(), request.boundary)
    tx.execute(
        update(deliveries).where(*_own_deliveries(tx, [request.boundary]), *_UNDECIDED).values(**values)
    )
    return Empty()


@command("delivery.confirm", scope="messages:write", needs_agent=True)
def confirm_deliveries(tx: Transaction, request: DeliveriesConfirmed) -> MessagesAdvanced:
    """Record that deliveries, and with them their messages, are in the acting agent's context."""
    statement = (
        update(deliveries)
        .where(*_own_deliveries(tx, request.boundaries), *_UNDECIDED)
        .values(confirmed_at=tx.now)
        .returning(deliveries.c.message_ids)
    )
    message_ids = {message_id for row in tx.execute(statement).all() for message_id in row.message_ids}
    return MessagesAdvanced(
        message_ids=advance_seen(tx, sorted(message_ids), "injected") if message_ids else []
    )


@command("delivery.mark_injected", scope="messages:write", needs_agent=True)
def mark_injected_by_tool(tx: Transaction, request: MarkInjected) -> MessagesAdvanced:
    """Record that a tool's result with messages was returned to the acting agent's model."""
    table = receipts.c
    own_receipts = table.workspace_id == tx.workspace_id, table.agent_id == tx.caller.acting_agent()
    # A thread also holds messages to others, and messages that were injected before.
    not_injected = table.message_id.in_(request.message_ids), table.injected_at.is_(None)
    message_ids = sorted(tx.execute(select(table.message_id).where(*own_receipts, *not_injected)).scalars())
    if not message_ids:
        return MessagesAdvanced(message_ids=[])
    record(tx, "mcp", request.boundary, message_ids, None, None)
    own_delivery = update(deliveries).where(*_own_deliveries(tx, [request.boundary]))
    tx.execute(own_delivery.values(sent_at=tx.now, confirmed_at=tx.now))
    return MessagesAdvanced(message_ids=advance_seen(tx, message_ids, "injected"))


_OF_SESSION = and_(
    cli_sessions.c.workspace_id == deliveries.c.workspace_id,
    cli_sessions.c.cli == deliveries.c.cli,
    cli_sessions.c.session_id == deliveries.c.session_id,
)
_UNDECIDED_ANYWHERE = (
    due_now(deliveries.c.workspace_id, *_UNDECIDED).select_from(deliveries).join(cli_sessions, _OF_SESSION)
)


@query("delivery.undecided", scope="messages:admin", due=(Due(lambda _: _UNDECIDED_ANYWHERE),))
def list_undecided(tx: Transaction, request: ListUndecided) -> UndecidedDeliveries:
    """List unconfirmed deliveries that a transcript may contain, newest first: of one CLI session or all."""
    table = deliveries.c
    statement = (
        select(deliveries, agents.c.name.label("agent_name"), cli_sessions.c.transcript_path)
        .join(agents, agents.c.id == table.agent_id)
        .join(cli_sessions, _OF_SESSION)
        .where(table.workspace_id == tx.workspace_id, *_UNDECIDED)
    )
    for name in ("cli", "session_id"):
        if (value := getattr(request, name)) is not None:
            statement = statement.where(table[name] == value)
    rows = tx.execute(statement.order_by(table.at.desc()).limit(limits.PAGE_ITEMS_MAX)).all()
    field_names = UndecidedDelivery.model_fields
    return UndecidedDeliveries(
        items=convert_readable(
            tx,
            rows,
            lambda row: UndecidedDelivery(**{name: getattr(row, name) for name in field_names}),
            lambda row: f"delivery/{row.boundary}",
        )
    )


_OVERDUE = due_at(
    deliveries.c.workspace_id, deliveries.c.at, *_UNDECIDED, after_s=limits.DELIVERY_UNDECIDED_S
)
_OLD = due_in_each(
    deliveries.c.workspace_id,
    deliveries.c.at < before(limits.DELIVERIES_KEPT_S),
)


@command(
    "delivery.forget",
    scope="messages:admin",
    due=(
        Due(lambda _: _OVERDUE, every_s=limits.HOUSEKEEPING_S),
        Due(lambda _: _OLD, every_s=limits.HOUSEKEEPING_S),
    ),
)
def forget_deliveries(tx: Transaction, request: ForgetDeliveries) -> ForgottenDeliveries:
    """Give up deliveries that stayed unconfirmed for long, and delete old ones."""
    table = deliveries.c
    in_workspace = table.workspace_id == tx.workspace_id
    overdue_before = silent_before(tx, limits.DELIVERY_UNDECIDED_S)
    batch_size = limits.DELIVERIES_FORGOTTEN_MAX
    overdue = (
        select(table.boundary).where(in_workspace, *_UNDECIDED, table.at < overdue_before).limit(batch_size)
    )
    failing = update(deliveries).where(in_workspace, table.boundary.in_(overdue))
    failed = tx.change(failing.values(failed_at=tx.now, failure=NOT_SEEN))
    old = select(table.boundary).where(
        in_workspace, table.at < tx.now - timedelta(seconds=limits.DELIVERIES_KEPT_S)
    )
    boundaries = list(tx.execute(old.limit(batch_size)).scalars())
    if boundaries:
        link = delivery_messages.c
        of_old = link.workspace_id == tx.workspace_id, link.boundary.in_(boundaries)
        tx.execute(delete(delivery_messages).where(*of_old))
        tx.execute(delete(deliveries).where(in_workspace, table.boundary.in_(boundaries)))
    complete = failed < batch_size and len(boundaries) < batch_size
    return ForgottenDeliveries(failed=failed, forgotten=len(boundaries), complete=complete)


NOT_SEEN = "not seen in the transcript, and no later hook came"


def _own_deliveries(tx: Transaction, boundaries: Sequence[str]) -> tuple[Any, ...]:
    table = deliveries.c
    agent_id = tx.caller.acting_agent()
    conditions = table.workspace_id == tx.workspace_id, table.boundary.in_(boundaries)
    return (*conditions, table.agent_id == agent_id)


def _as_enclosed(row: Row[Any]) -> EnclosedMessage:
    return EnclosedMessage(
        id=row.id,
        sender_name=row.sender_name,
        sender_type=row.sender_type if row.sender_id is not None else None,
        subject=row.subject,
        body=row.body,
        body_chars=row.body_chars,
        priority=message_rules.PRIORITIES[row.priority],
        ack_required=row.ack_required,
        created_at=row.created_at,
        channel=row.channel_name,
    )
