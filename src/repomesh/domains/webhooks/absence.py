"""Webhooks whose receiver could not be tried while the server was away."""

from __future__ import annotations

from sqlalchemy import BigInteger, bindparam, update

from repomesh.domains.webhooks.tables import webhooks
from repomesh.domains.workspaces.absence import Absence
from repomesh.store.prepared import Prepared
from repomesh.store.transaction import Transaction
from repomesh.store.types import later_by

_FAILING = Prepared(
    update(webhooks)
    .where(webhooks.c.workspace_id == bindparam("ws"), webhooks.c.failing_since.is_not(None))
    .values(failing_since=later_by(webhooks.c.failing_since, bindparam("away_us", type_=BigInteger)))
)


def discount_absence(tx: Transaction, absence: Absence) -> None:
    """Take the absence from the time for which receivers fail: too much of it disables their webhooks."""
    tx.change(_FAILING, {"ws": tx.workspace_id, "away_us": absence.length_us})
