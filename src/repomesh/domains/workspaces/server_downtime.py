"""Absences of the server, so that nobody counts as silent who could not reach it.

The server is away when it is stopped, suspended, or cut off from its database. Times since a sign of life,
and times until a deadline, do not count while it is away.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from repomesh.store.prepared import PreparedStatement
from repomesh.store.tables import SERVER, counters
from repomesh.store.transaction import Transaction

_TIMES = PreparedStatement(
    select(counters.c.last_at, counters.c.left_at, counters.c.returned_at).where(
        counters.c.workspace_id == bindparam("ws")
    )
)


@dataclass(frozen=True, slots=True)
class Absence:
    """The time span in which the server was away."""

    left_at: datetime
    returned_at: datetime

    @property
    def length(self) -> timedelta:
        """How long the server was away: deadlines that ran meanwhile are extended by it."""
        return self.returned_at - self.left_at

    @property
    def length_us(self) -> int:
        """The same in microseconds, as statements take it."""
        return self.length // timedelta(microseconds=1)


def begin_grace(tx: Transaction, left_at: datetime) -> Absence | None:
    """Record that the server is back in a workspace; returns its absence, None if there was none.

    It was last there at `left_at`. Time for which another node already recorded an absence is not counted
    again. If the previous absence ended less than the limit of silence ago, both are merged into one.
    """
    row = tx.execute(_TIMES, {"ws": tx.workspace_id}).one_or_none()
    if row is None:
        return None
    previous = _as_absence(row)
    since = left_at if previous is None else max(left_at, previous.returned_at)
    if since >= tx.now:
        return None
    limit = timedelta(seconds=tx.settings.agent_inactive_after_s)
    absent_since = since
    if previous is not None and since - previous.returned_at < limit:
        absent_since = previous.left_at
    in_workspace = counters.c.workspace_id == tx.workspace_id
    tx.execute(update(counters).where(in_workspace).values(left_at=absent_since, returned_at=tx.now))
    return Absence(since, tx.now)


def last_absence(tx: Transaction) -> Absence | None:
    """The last absence of the server; None if no absence is known.

    Several absences with less than the limit of silence between them count as one.
    """
    rows = tx.read_cached(_TIMES, {"ws": tx.workspace_id})
    return _as_absence(rows[0]) if rows else None


def _as_absence(row: Any) -> Absence | None:
    """The absence in a row of counters; None for none, and for times that can't be read."""
    if isinstance(row.left_at, datetime) and isinstance(row.returned_at, datetime):
        return Absence(row.left_at, row.returned_at)
    return None


def silent_before(tx: Transaction, limit_s: float) -> datetime:
    """The time before which a last sign of life means a silence of more than `limit_s` seconds.

    For `limit_s` after an absence of the server, only those who were silent before it count as silent.
    """
    limit = timedelta(seconds=limit_s)
    absence = last_absence(tx)
    if absence is None or tx.now - absence.returned_at > limit:
        return tx.now - limit
    return absence.left_at - limit


def last_present(tx: Transaction) -> datetime | None:
    """When a server on this database last called `mark_present`; None if it did not, or it can't be read."""
    row = tx.execute(_TIMES, {"ws": SERVER}).one_or_none()
    return row.last_at if row is not None and isinstance(row.last_at, datetime) else None


def mark_present(tx: Transaction) -> datetime:
    """Record that the server is present; returns the time."""
    of_server = counters.c.workspace_id == SERVER
    if tx.change(update(counters).where(of_server).values(last_at=tx.now)) == 0:
        row = {"workspace_id": SERVER, "last_seq": 0, "oldest_seq": 1, "last_fencing_token": 0}
        tx.execute(insert(counters), row | {"last_at": tx.now})
    return tx.now
