"""Finds what a change waits for, in the store, and puts it where it belongs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, select

from repomesh.domains.changes import rows, rules
from repomesh.domains.changes.configuration import Needed
from repomesh.domains.changes.models import MissingApproval
from repomesh.domains.changes.queue import notices, returning
from repomesh.domains.changes.rules import CountedApproval, Facts, Holder, Placement
from repomesh.domains.leases import leasing
from repomesh.domains.leases.conflicts import Targets
from repomesh.domains.messaging.reviews.tables import review_reviewers, reviews
from repomesh.domains.tasks.tables import task_attempts
from repomesh.store.transaction import Transaction


def reassess(tx: Transaction, row: Row[Any], lane: Row[Any] | None = None, **columns: Any) -> Row[Any]:
    """Put a change that nobody works on where it belongs now; returns its row.

    `lane` is the row of its lane, which is read where it is not given.
    """
    return apply(tx, row, find_placement(tx, row, lane=lane), **columns)


def apply(tx: Transaction, row: Row[Any], placement: Placement, **columns: Any) -> Row[Any]:
    """Move a change to `placement`; whoever is to do something about it is asked. Returns its row."""
    waits_on = placement.waits_for == "lock" == row.waits_for and not columns
    if waits_on and rules.is_same_wait(row.reason, placement.reason):
        return row  # its holder's heartbeat renewed the lock
    begins_to_wait = placement.waits_for == "approval" != row.waits_for
    if begins_to_wait:
        next_at = tx.now + timedelta(hours=min(row.escalates_h, row.expires_h))
        columns |= {"approval_since": tx.now, "escalated_at": None, "next_at": next_at}
    moved = rows.set_state(tx, row, placement, **columns)
    if moved is row:
        return row
    if moved.state == "returned":
        returning.give_back(tx, moved)
    elif begins_to_wait:
        notices.request_approval(tx, moved, rules.describe_missing(missing_approval(tx, moved)))
    return moved


def escalate_approval(tx: Transaction, row: Row[Any]) -> None:
    """Ask for an approval once more where it is missing for so long that the configuration wants it."""
    if row.waits_for != "approval" or row.escalated_at is not None:
        return
    if row.approval_since + timedelta(hours=row.escalates_h) <= tx.now:
        expires_at = row.approval_since + timedelta(hours=row.expires_h)
        rows.note(tx, row.id, escalated_at=tx.now, next_at=expires_at)
        lacking = rules.describe_missing(missing_approval(tx, row))
        notices.request_approval(tx, row, lacking, overdue=True)


def reassess_dependants(tx: Transaction, change_id: str) -> None:
    """Put the changes where they belong now that wait for one that has landed, or never will."""
    for dependant_id in rows.waiting_for(tx, change_id):
        row = reassess(tx, rows.find(tx, dependant_id))
        rows.wake_lane(tx, row.target)


def follow_replacement(tx: Transaction, change_id: str, new_id: str) -> None:
    """Have the changes that depend on one depend on its next attempt."""
    for row in rows.in_states(tx, ("waiting", "returned", "quarantined")):
        if change_id in row.depends_on:
            depends_on = [new_id if id_ == change_id else id_ for id_ in row.depends_on]
            rows.set_state(tx, row, as_placed(row), depends_on=depends_on)


def as_placed(row: Row[Any]) -> Placement:
    """Where a change is."""
    return Placement(row.state, row.reason, row.next_step, row.waits_for)


def find_placement(
    tx: Transaction, row: Row[Any], with_it: Collection[str] = (), lane: Row[Any] | None = None
) -> Placement:
    """Where a change belongs that nobody works on, or that lands together with those of `with_it`.

    `lane` is the row of its lane, which is read where it is not given.
    """
    if is_overtaken(tx, row):
        return Placement(
            "returned",
            f"task {row.task_id} was taken over since: its former holder lands nothing for it",
            "claim the task, then submit the change again with the new fencing token",
            error_class="fencing",
        )
    if row.waits_for == "approval" and row.approval_since + timedelta(hours=row.expires_h) <= tx.now:
        lacking = rules.describe_missing(missing_approval(tx, row))
        if lacking:
            return Placement(
                "returned",
                f"it lacked {lacking} for {row.expires_h:g} hours",
                f"ask for that, then 'repomesh change retry {row.id}'",
                error_class="approval",
            )
    waits = row.state == "waiting" and row.waits_for in ("retry", "work_tree")
    if waits and row.next_at is not None and row.next_at > tx.now:
        return as_placed(row)
    states = rows.states_of(tx, row.depends_on)
    lane = lane or rows.lane(tx, row.target)
    return rules.place(
        Facts(
            paused=None if lane is None else lane.paused_reason,
            unlanded=[id_ for id_ in row.depends_on if states.get(id_) != "landed" and id_ not in with_it],
            never_landing=[id_ for id_ in row.depends_on if states.get(id_) in rules.TAKEN_OUT],
            missing=missing_approval(tx, row),
            holders=holders(tx, row),
        )
    )


def missing_approval(tx: Transaction, row: Row[Any]) -> MissingApproval:
    """The approvals that a change still lacks."""
    needed = Needed(**row.needed)
    if not (needed.people or needed.reviewers or needed.owners):
        return MissingApproval()
    approvals = rows.approvals_of(tx, row.id, row.patch_id)
    verdicts = {
        approval.agent_id: CountedApproval(approval.agent_name, approval.by_person)
        for approval in approvals
        if approval.counts and approval.verdict == "approved" and approval.agent_id != row.author_id
    }
    for agent_id, name in _review_approvals(tx, row):
        if agent_id != row.author_id:
            verdicts.setdefault(agent_id, CountedApproval(name, by_person=False))
    return rules.missing_approval(needed, list(verdicts.values()), row.owners)


def _review_approvals(tx: Transaction, row: Row[Any]) -> Sequence[tuple[str, str]]:
    """Who approved, in the review flow, exactly the submitted commit: (agent id, name)."""
    review, reviewer = reviews.c, review_reviewers.c
    ranges = (row.head_commit, f"{row.base_commit}..{row.head_commit}")
    statement = (
        select(reviewer.agent_id, reviewer.agent_name)
        .join(reviews, (review.workspace_id == reviewer.workspace_id) & (review.id == reviewer.review_id))
        .where(
            review.workspace_id == tx.workspace_id,
            review.author_id == row.author_id,
            review.commit_range.in_(ranges),
            review.state != "withdrawn",
            reviewer.verdict == "approved",
        )
    )
    return [(found.agent_id, found.agent_name) for found in tx.execute(statement)]


def holders(tx: Transaction, row: Row[Any]) -> list[Holder]:
    """The exclusive locks of other agents on the paths of a change."""
    targets = Targets(files=[file["path"] for file in row.files])
    locks = leasing.blocking_locks(tx, targets, row.author_id, exclusive_only=True)
    return [Holder(path, lease.agent_name, lease.expires_at) for lease, path in locks]


def is_overtaken(tx: Transaction, row: Row[Any]) -> bool:
    """Whether another agent claimed the change's task after the claim under which it was submitted."""
    if row.task_id is None or row.fencing_token is None:
        return False
    table = task_attempts.c
    statement = select(table.fencing_token).where(
        table.workspace_id == tx.workspace_id,
        table.task_id == row.task_id,
        table.fencing_token > row.fencing_token,
        table.agent_id != row.author_id,
    )
    return tx.execute(statement.limit(1)).first() is not None
