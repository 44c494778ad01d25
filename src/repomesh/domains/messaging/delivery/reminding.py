"""Reminders for agents whose CLI has no hooks: one line at the end of a tool's result."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import and_, bindparam, exists, func, or_, select

from repomesh.domains.agents.tables import cli_sessions
from repomesh.domains.leases import lost_leases
from repomesh.domains.leases.tables import leases, unindexed_expiry
from repomesh.domains.messaging.delivery import rules
from repomesh.domains.messaging.delivery.models import Reminder, RemindOfMessages
from repomesh.domains.messaging.messages import rules as message_rules
from repomesh.domains.messaging.messages.tables import messages, receipts
from repomesh.kernel.limits import LEASE_WARNINGS_S, REMINDER_CANDIDATES_MAX
from repomesh.kernel.operation import query
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

_HAS_LIVE_SESSION = exists().where(
    cli_sessions.c.workspace_id == bindparam("ws"),
    cli_sessions.c.agent_id == bindparam("agent"),
    cli_sessions.c.ended_at.is_(None),
)
_NEXT_LEASE_END = select(func.min(unindexed_expiry)).where(
    leases.c.workspace_id == bindparam("ws"),
    leases.c.agent_id == bindparam("agent"),
    leases.c.ended_at.is_(None),
)
_STATE = PreparedStatement(
    select(_HAS_LIVE_SESSION.label("hooked"), _NEXT_LEASE_END.scalar_subquery().label("soonest"))
)
_UNREAD = exists().where(
    receipts.c.workspace_id == bindparam("ws"),
    receipts.c.agent_id == bindparam("agent"),
    receipts.c.read_at.is_(None),
)
_DUE = PreparedStatement(
    select(
        _HAS_LIVE_SESSION.label("hooked"),
        _NEXT_LEASE_END.scalar_subquery().label("soonest"),
        _UNREAD.label("unread"),
        lost_leases.ENDED_UNREPORTED.label("lost"),
    )
)

# Only the newest: with so many unread messages, an exact number helps nobody.
_NEWEST = (
    select(receipts.c.message_id)
    .where(
        receipts.c.workspace_id == bindparam("ws"),
        receipts.c.agent_id == bindparam("agent"),
        receipts.c.read_at.is_(None),
        or_(receipts.c.expires_at.is_(None), receipts.c.expires_at > bindparam("now")),
    )
    .order_by(receipts.c.message_id.desc())
    .limit(REMINDER_CANDIDATES_MAX)
    .subquery()
)
_IMPORTANT = PreparedStatement(
    select(messages.c.sender_name)
    .join(_NEWEST, and_(messages.c.workspace_id == bindparam("ws"), messages.c.id == _NEWEST.c.message_id))
    .where(or_(messages.c.priority >= message_rules.IMPORTANT, messages.c.ack_required))
    .order_by(messages.c.id.desc())
)


def is_reminder_due(tx: Transaction, request: RemindOfMessages) -> bool:
    """Whether `message.remind` may have something to report to the acting agent.

    Runs in the transaction of every call of an agent, so it reads one row of each index at most. It does not
    see what other commands of the same commit store; the agent's next call does.
    """
    state = tx.peek(_DUE, {"ws": tx.workspace_id, "agent": tx.caller.acting_agent()}).one()
    if state.hooked:
        return False
    left_s = _seconds_until(tx, state.soonest)
    ends_soon = left_s is not None and left_s <= (min(LEASE_WARNINGS_S) if request.of_leases else 0)
    return bool(state.lost or ends_soon or (request.of_messages and state.unread))


@query("message.remind", scope="messages:read", needs_agent=True)
def remind(tx: Transaction, request: RemindOfMessages) -> Reminder:
    """Return urgent reminders for the acting agent; nothing when its CLI's hooks deliver them anyway."""
    key = {"ws": tx.workspace_id, "agent": tx.caller.acting_agent()}
    state = tx.execute(_STATE, key).one()
    if state.hooked:
        return Reminder(line="")
    senders = []
    if request.of_messages:
        senders = list(tx.execute(_IMPORTANT, key | {"now": tx.now}).scalars())
    lost = lost_leases.unreported(tx, key["agent"])
    left_s = _seconds_until(tx, state.soonest) if request.of_leases else None
    return Reminder(line=rules.reminder(senders, left_s, min(LEASE_WARNINGS_S)), lost=lost)


def _seconds_until(tx: Transaction, ends_at: object) -> float | None:
    """Seconds until the first lease ends; None for none, or one whose time can't be read."""
    return (ends_at - tx.now).total_seconds() if isinstance(ends_at, datetime) else None
