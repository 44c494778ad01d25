"""Claims of lanes: which lanes a worker could take, and whether it still holds the one that it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, bindparam, or_, select, update

from repomesh.domains.changes import rows, rules
from repomesh.domains.changes.queue.processing_models import LaneClaim
from repomesh.domains.changes.tables import changes, queue_lanes
from repomesh.domains.workspaces.tables import workspaces
from repomesh.kernel import limits
from repomesh.kernel.errors import Conflict
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction
from repomesh.store.types import Timestamp

_lane = queue_lanes.c
_now = bindparam("now", type_=Timestamp())
_IS_READY = or_(  # it is due and has no worker, or its worker died
    and_(_lane.due_at <= _now, _lane.claimed_by.is_(None)),
    and_(_lane.claimed_by.is_not(None), _lane.claimed_until <= _now),
)
_READY = PreparedStatement(
    select(_lane.workspace_id, _lane.target, workspaces.c.path, _lane.due_at, _lane.claimed_until)
    .join(workspaces, and_(workspaces.c.id == _lane.workspace_id, workspaces.c.removed_at.is_(None)))
    .where(_IS_READY, workspaces.c.path.is_not(None))
    .order_by(_lane.due_at)
    .limit(limits.QUEUE_LANES_AT_ONCE * 2)
)
# What becomes due from now on, while the worker works, is kept for the next one.
_CLAIM = PreparedStatement(
    update(queue_lanes)
    .where(_lane.workspace_id == bindparam("ws"), _lane.target == bindparam("lane"), _IS_READY)
    .values(claimed_by=bindparam("claim"), claimed_until=bindparam("until"), due_at=None, updated_at=_now)
    .returning(*queue_lanes.c)
)


class ClaimLost(Conflict):
    """Another worker took the lane since: this one must stop."""

    code = "queue_claim_lost"
    hint = "Nothing is to be done: the other worker goes on, as 'repomesh queue status' says."


@dataclass(frozen=True, slots=True)
class ReadyLane:
    """A lane that has something to do and has had no worker since `since`; `path` is its repository."""

    workspace_id: str
    target: str
    path: str
    since: datetime


def ready_lanes(tx: Transaction) -> list[ReadyLane]:
    """The lanes of all workspaces that a worker could take now, those due longest first.

    Also those whose worker died: what it was to do is due.
    """
    return [
        ReadyLane(row.workspace_id, row.target, row.path, row.claimed_until or row.due_at)
        for row in tx.execute(_READY, {"now": tx.now})
    ]


def claim(tx: Transaction, claim: LaneClaim) -> Row[Any] | None:
    """Claim a lane for a worker; returns its row, None where it is not ready any more."""
    until = tx.now + timedelta(seconds=limits.QUEUE_CLAIM_S)
    params = {"ws": tx.workspace_id, "lane": claim.target, "claim": claim.claim_id, "until": until}
    lane: Row[Any] | None = tx.execute(_CLAIM, params | {"now": tx.now}).one_or_none()
    return lane


def are_wanted(tx: Transaction, change_ids: Sequence[str]) -> bool:
    """Whether none of these changes was withdrawn, rejected or replaced since a worker took it."""
    table = changes.c
    statement = select(table.id).where(
        table.workspace_id == tx.workspace_id, table.id.in_(change_ids), table.state.in_(rules.TAKEN_OUT)
    )
    return tx.execute(statement.limit(1)).first() is None


def retry_delay_s(tries: int) -> float:
    """How long the queue waits after a failure of git, the disk or the network, the `tries`-th one."""
    return limits.QUEUE_RETRIES_S[min(tries, len(limits.QUEUE_RETRIES_S) - 1)]


def holds(tx: Transaction, claim: LaneClaim) -> Row[Any] | None:
    """The row of the lane while the claim is that of its worker; else None."""
    lane = rows.lane(tx, claim.target)
    return lane if lane is not None and lane.claimed_by == claim.claim_id else None


def require(tx: Transaction, claim: LaneClaim) -> Row[Any]:
    """The row of the lane. Raises ClaimLost unless the claim is that of its worker."""
    lane = holds(tx, claim)
    if lane is None:
        raise ClaimLost(f"the lane of {claim.target} has another worker")
    return lane
