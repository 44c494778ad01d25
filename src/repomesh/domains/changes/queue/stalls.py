"""Notices lanes that stand still: they have work, are not paused, and nothing has moved for a long time."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from repomesh.domains.changes import rows
from repomesh.domains.changes.models import QUEUE_STALLED, QueueEventData
from repomesh.domains.changes.queue import notices
from repomesh.domains.changes.tables import queue_lanes
from repomesh.kernel import limits
from repomesh.kernel.operation import Due, Empty, command
from repomesh.store.due import due_at
from repomesh.store.log import NewEvent
from repomesh.store.transaction import Transaction

_lane = queue_lanes.c
_READY = ("submitted", "queued", "building", "checking", "landing")


@command(
    "queue.detect_stalls",
    scope="changes:admin",
    due=(Due(lambda _: due_at(_lane.workspace_id, _lane.stall_at)),),
)
def detect_stalls(tx: Transaction, request: Empty) -> Empty:
    """Emit an event and ask people about each lane in which nothing moved for QUEUE_STALL_S seconds."""
    statement = select(queue_lanes).where(_lane.workspace_id == tx.workspace_id, _lane.stall_at <= tx.now)
    for lane in tx.execute(statement).all():
        rows.write_lane(tx, lane.target, stall_at=None, stalled_at=tx.now)
        ready = [] if lane.paused_reason is not None else rows.in_states(tx, _READY, lane.target)
        if not ready:
            continue
        oldest = ready[0]
        reason = (
            f"{len(ready)} change(s) are ready, and none moved for {limits.QUEUE_STALL_S / 60:g} minutes; "
            f"the oldest, {oldest.id}, is {oldest.state}: {oldest.reason}"
        )
        data = QueueEventData(target=lane.target, reason=reason, by="repomesh")
        tx.emit(NewEvent(QUEUE_STALLED, f"queue/{lane.target}", data, severity="error"))
        body = f"{reason}\n\nSee `repomesh queue status`, `repomesh doctor` and the server's log."
        notices.notify_people(tx, f"Merge queue of {lane.target} stands still", body)
    return Empty()


def restarted_timer(tx: Transaction) -> dict[str, object]:
    """The columns of a lane in which something has just moved: the time after which it stands still."""
    return {"stall_at": tx.now + timedelta(seconds=limits.QUEUE_STALL_S), "stalled_at": None}
