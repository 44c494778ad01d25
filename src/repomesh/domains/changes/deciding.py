"""Operations by which people and agents decide about a change: approve, reject, withdraw, retry."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from repomesh.domains.agents.rules import PERSON
from repomesh.domains.changes import rows, rules
from repomesh.domains.changes.errors import (
    ChangeNotFound,
    ChangeStateConflict,
    NotYourChange,
    OwnChange,
    PatchChanged,
    TooManyChanges,
)
from repomesh.domains.changes.models import (
    CHANGE_APPROVED,
    Approval,
    Change,
    DecideChange,
    RetryChange,
    Verdict,
    WithdrawChange,
)
from repomesh.domains.changes.operations import require_author, require_room
from repomesh.domains.changes.queue import notices, placing
from repomesh.domains.changes.rules import Placement
from repomesh.kernel.errors import Stale
from repomesh.kernel.operation import Post, command
from repomesh.store.transaction import Transaction


@command(
    "change.approve",
    http=Post("/v1/changes/{change_id}/approve"),
    scope="changes:write",
    errors=(ChangeNotFound, ChangeStateConflict, OwnChange, PatchChanged, Stale),
    needs_agent=True,
)
def approve_change(tx: Transaction, request: DecideChange) -> Change:
    """Approve the present patch of a change, as a person or as a reviewing agent. Not one's own.

    A rebuild that changes the patch voids the approval; name the `patch_id` that you looked at.
    """
    row = _decide(tx, request, "approve", "approved")
    rows.emit(tx, CHANGE_APPROVED, row, request.comment)
    if row.state in ("submitted", "waiting"):
        row = placing.reassess(tx, row)
        rows.wake_lane(tx, row.target)
    return rows.as_change(row)


@command(
    "change.reject",
    http=Post("/v1/changes/{change_id}/reject"),
    scope="changes:write",
    errors=(ChangeNotFound, ChangeStateConflict, OwnChange, PatchChanged, Stale),
    needs_agent=True,
)
def reject_change(tx: Transaction, request: DecideChange) -> Change:
    """Reject a change for good, with the reason in `comment`. Its author is told; its branch is kept."""
    row = _decide(tx, request, "reject", "rejected")
    reason = f"{tx.caller.agent_name} rejected it" + (f": {request.comment}" if request.comment else "")
    row = rows.set_state(tx, row, Placement("rejected", reason), request.comment)
    notices.notify_rejected(tx, row)
    placing.reassess_dependants(tx, row.id)
    return rows.as_change(row)


@command(
    "change.withdraw",
    http=Post("/v1/changes/{change_id}/withdraw"),
    scope="changes:write",
    errors=(ChangeNotFound, ChangeStateConflict, NotYourChange, Stale),
)
def withdraw_change(tx: Transaction, request: WithdrawChange) -> Change:
    """Take a change out of the queue, as its author or the owner. Its branch is kept."""
    row = rows.find(tx, request.change_id)
    tx.check_version(row.version)
    if row.state == "withdrawn":
        return rows.as_change(row)
    require_author(tx, row.author_id, row.author_name)
    rules.require_allowed("withdraw", row.id, row.state)
    reason = request.reason or f"{tx.caller.agent_name or 'the owner'} withdrew it"
    row = rows.set_state(tx, row, Placement("withdrawn", reason), request.reason)
    placing.reassess_dependants(tx, row.id)
    return rows.as_change(row)


@command(
    "change.retry",
    http=Post("/v1/changes/{change_id}/retry"),
    scope="changes:write",
    errors=(ChangeNotFound, ChangeStateConflict, NotYourChange, Stale, TooManyChanges),
)
def retry_change(tx: Transaction, request: RetryChange) -> Change:
    """Queue a returned or quarantined change again as it is, as its author or the owner.

    For a conflict that is gone, or a check that was flaky. After a repair, submit anew with `replaces`.
    """
    row = rows.find(tx, request.change_id)
    tx.check_version(row.version)
    require_author(tx, row.author_id, row.author_name)
    rules.require_allowed("retry", row.id, row.state)
    require_room(tx)
    columns: dict[str, Any] = {
        "conflicts": [],
        "tries": 0,
        "next_at": None,
        "error_class": None,
        "queued_at": None,
    }
    row = placing.reassess(tx, row, **columns)
    rows.wake_lane(tx, row.target)
    return rows.as_change(row)


def _decide(tx: Transaction, request: DecideChange, action: rules.Action, verdict: Verdict) -> Row[Any]:
    """Write down a verdict on the present patch of a change; returns the change's row."""
    row = rows.find(tx, request.change_id)
    tx.check_version(row.version)
    rules.require_allowed(action, row.id, row.state)
    agent_id = tx.caller.acting_agent()
    if agent_id == row.author_id:
        raise OwnChange("a change is approved or rejected by others than its author; withdraw it instead")
    if request.patch_id is not None and request.patch_id != row.patch_id:
        raise PatchChanged(f"the present patch is {row.patch_id}", patch_id=row.patch_id)
    approval = Approval(
        agent_id=agent_id,
        agent_name=str(tx.caller.agent_name),
        by_person=tx.caller.agent_type == PERSON,
        verdict=verdict,
        patch_id=row.patch_id,
        counts=True,
        comment=request.comment,
        at=tx.now,
    )
    rows.add_approval(tx, row.id, approval)
    return row
