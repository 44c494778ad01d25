"""Extend deadlines of messages and waits that ran while the server was away."""

from __future__ import annotations

from sqlalchemy import BigInteger, bindparam, case, or_, update

from repomesh.domains.messaging.messages.tables import messages
from repomesh.domains.messaging.waits.tables import waits
from repomesh.domains.workspaces.server_downtime import Absence
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction
from repomesh.store.types import later_by

_AWAY = bindparam("away_us", type_=BigInteger)
_DUE = later_by(messages.c.due_at, _AWAY)
# Never past `expires_at`: after it the message is of no use, even if the server was away.
_UNACKED = PreparedStatement(
    update(messages)
    .where(
        messages.c.workspace_id == bindparam("ws"),
        messages.c.due_at > bindparam("left_at"),
        messages.c.ack_required,
        or_(messages.c.expires_at.is_(None), messages.c.due_at < messages.c.expires_at),
    )
    .values(due_at=case((messages.c.expires_at < _DUE, messages.c.expires_at), else_=_DUE))
)
_WAITS = PreparedStatement(
    update(waits)
    .where(waits.c.workspace_id == bindparam("ws"), waits.c.expires_at > bindparam("left_at"))
    .values(expires_at=later_by(waits.c.expires_at, _AWAY))
)


def extend_deadlines(tx: Transaction, absence: Absence) -> None:
    """Move acknowledgement deadlines and the expiry of waits by the time that the server was away."""
    key = {"ws": tx.workspace_id, "left_at": absence.left_at, "away_us": absence.length_us}
    tx.change(_UNACKED, key)
    tx.change(_WAITS, key)
