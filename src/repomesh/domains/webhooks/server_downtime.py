"""Discounts the time for which the server was away from the failures of webhooks."""

from __future__ import annotations

from sqlalchemy import BigInteger, bindparam, update

from repomesh.domains.webhooks.tables import webhooks
from repomesh.domains.workspaces.server_downtime import Absence
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction
from repomesh.store.types import later_by

_FAILING = PreparedStatement(
    update(webhooks)
    .where(webhooks.c.workspace_id == bindparam("ws"), webhooks.c.failing_since.is_not(None))
    .values(failing_since=later_by(webhooks.c.failing_since, bindparam("away_us", type_=BigInteger)))
)


def discount_absence(tx: Transaction, absence: Absence) -> None:
    """Move `failing_since` by the absence: a webhook that fails for too long is disabled."""
    tx.change(_FAILING, {"ws": tx.workspace_id, "away_us": absence.length_us})
