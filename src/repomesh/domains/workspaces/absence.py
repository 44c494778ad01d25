"""When the server was away: so that nobody is taken for silent who could not be heard.

The server is there while it answers, and away when it is stopped, suspended, or cut off from its database.
What is measured from a sign of life, or until a deadline, asks here how much of it was the server's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, insert, select, update

from repomesh.store.prepared import Prepared
from repomesh.store.tables import SERVER, counters
from repomesh.store.transaction import Transaction

_TIMES = Prepared(
    select(counters.c.last_at, counters.c.left_at, counters.c.returned_at).where(
        counters.c.workspace_id == bindparam("ws")
    )
)


@dataclass(frozen=True, slots=True)
class Absence:
    """From when until when the server was away."""

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
    """Write down that the server is back in a workspace; answers how long it was away.

    It was there last at `left_at`. Of what another node, which was faster, gave grace for already, only the
    rest counts. While nobody had a full limit of silence since an absence before, that one still counts for
    `silent_before`.
    """
    row = tx.execute(_TIMES, {"ws": tx.workspace_id}).one_or_none()
    if row is None:
        return None
    since = left_at if row.returned_at is None else max(left_at, row.returned_at)
    if since >= tx.now:
        return None
    limit = timedelta(seconds=tx.settings.agent_inactive_after_s)
    goes_on = row.returned_at is not None and since - row.returned_at < limit
    counts_from = row.left_at if goes_on else since
    here = counters.c.workspace_id == tx.workspace_id
    tx.execute(update(counters).where(here).values(left_at=counts_from, returned_at=tx.now))
    return Absence(since, tx.now)


def last_absence(tx: Transaction) -> Absence | None:
    """When the server was last away; None when that is not known to have happened.

    Several absences with less than the limit of silence between them are answered as one.
    """
    rows = tx.read_cached(_TIMES, {"ws": tx.workspace_id})
    if not rows or rows[0].returned_at is None:
        return None
    return Absence(rows[0].left_at, rows[0].returned_at)


def silent_before(tx: Transaction, limit_s: float) -> datetime:
    """Whoever gave its last sign of life before this moment was silent for longer than `limit_s` seconds.

    For `limit_s` after an absence of the server that is nobody who had not been silent before it.
    """
    limit = timedelta(seconds=limit_s)
    absence = last_absence(tx)
    if absence is None or tx.now - absence.returned_at > limit:
        return tx.now - limit
    return absence.left_at - limit


def last_present(tx: Transaction) -> datetime | None:
    """When any server on this database was last known to be there; None before the first time."""
    row = tx.execute(_TIMES, {"ws": SERVER}).one_or_none()
    return None if row is None else row.last_at


def mark_present(tx: Transaction) -> datetime:
    """Write down that the server is there; answers when."""
    here = counters.c.workspace_id == SERVER
    if tx.change(update(counters).where(here).values(last_at=tx.now)) == 0:
        row = {"workspace_id": SERVER, "last_seq": 0, "oldest_seq": 1, "last_fencing_token": 0}
        tx.execute(insert(counters), row | {"last_at": tx.now})
    return tx.now
