"""Commands by which a worker takes a lane of the merge queue, and records each of its steps.

A lane has one worker at a time, under a claim that expires. Every command checks the claim first, so that a
worker which was overtaken records nothing any more.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, select

from repomesh.domains.changes import rows, rules
from repomesh.domains.changes.models import CHANGE_CHECKED, QUEUE_PAUSED, QueueEventData
from repomesh.domains.changes.queue import claims, landing, notices, placing, returning, stalls
from repomesh.domains.changes.queue.processing_models import (
    BeginChecks,
    CheckRun,
    FailedChange,
    FindChecks,
    FoundChecks,
    LaneClaim,
    RecordChecks,
    SettleChanges,
    Settled,
    TakeLane,
    TakenLane,
)
from repomesh.domains.changes.rules import Candidate, Placement
from repomesh.domains.changes.tables import change_checks, check_results
from repomesh.kernel import limits
from repomesh.kernel.clock import rfc3339
from repomesh.kernel.operation import Empty, command, query
from repomesh.store.log import NewEvent
from repomesh.store.transaction import Transaction

_NOT_QUEUED = tuple(state for state in rules.UNDER_WAY if state != "queued")
_IN_WORK: dict[rules.WorkState, str] = {
    "building": "the queue merges it with the target branch",
    "checking": "its checks run",
}


@command("queue.take", scope="changes:admin")
def take_lane(tx: Transaction, request: TakeLane) -> TakenLane:
    """Claim a lane, put what waits where it belongs now, and begin to build up to `batch_max` changes.

    Changes that an earlier worker left in work are queued again, but for those whose landing is pending.
    """
    lane = claims.claim(tx, request)
    if lane is None:
        return TakenLane()
    if lane.woken:
        rows.write_lane(tx, request.target, woken=False)
        left = rows.in_states(tx, _NOT_QUEUED, request.target)
    else:
        left = rows.due_for_placing(tx, request.target)
    is_moving = any(row.state == "landing" for row in left)
    pending = landing.pending_moves(tx, request.target) if is_moving else []
    landing_ids = {commit.change_id for move in pending for commit in move.commits}
    for row in left:
        if row.id not in landing_ids:
            placing.escalate_approval(tx, placing.reassess(tx, row, lane))
    abandoned = landing.abandoned_moves(tx, request.target)
    if not request.batch_max:
        queued = bool(rows.next_queued(tx, request.target, 1))
        return TakenLane(taken=True, queued=queued, pending_moves=pending, abandoned_moves=abandoned)
    batch = _pick(tx, lane, request.batch_max)
    return TakenLane(
        taken=True,
        queued=bool(batch),
        changes=[rows.as_queued(tx, _begin(tx, row, "building")) for row in batch],
        pending_moves=pending,
        abandoned_moves=abandoned,
    )


@command("queue.renew", scope="changes:admin")
def renew_claim(tx: Transaction, request: LaneClaim) -> Empty:
    """Keep a lane for a worker that is still at work. Raises ClaimLost."""
    claims.require(tx, request)
    until = tx.now + timedelta(seconds=limits.QUEUE_CLAIM_S)
    columns: dict[str, Any] = {"claimed_until": until}
    if any(group.state == "checking" for group in rows.group_under_way(tx, request.target)):
        columns |= stalls.restarted_timer(tx)  # a check may take hours; a build that does hangs
    rows.write_lane(tx, request.target, **columns)
    return Empty()


@command("queue.begin_checks", scope="changes:admin")
def begin_checks(tx: Transaction, request: BeginChecks) -> Empty:
    """Note that changes are being checked. Those that were stopped meanwhile stay as they are."""
    claims.require(tx, request)
    for change_id in request.change_ids:
        row = rows.find(tx, change_id)
        if row.state in ("queued", "building", "checking"):
            _begin(tx, row, "checking")
    return Empty()


@query("queue.find_checks", scope="changes:admin")
def find_checks(tx: Transaction, request: FindChecks) -> FoundChecks:
    """The results of checks that ran on this tree before and passed."""
    table = check_results.c
    statement = select(check_results).where(
        table.workspace_id == tx.workspace_id,
        table.tree == request.tree,
        table.check_key.in_(list(request.keys)),
        table.outcome == "passed",
    )
    runs = [
        CheckRun(
            name=row.name,
            tree=row.tree,
            key=row.check_key,
            outcome=row.outcome,
            exit_code=row.exit_code,
            seconds=row.seconds,
            flaky=row.flaky,
            cached=True,
            output=row.output,
        )
        for row in tx.execute(statement)
    ]
    return FoundChecks(runs=runs)


@command("queue.record_checks", scope="changes:admin")
def record_checks(tx: Transaction, request: RecordChecks) -> Empty:
    """Write down the results of checks, and which changes had them on their way."""
    claims.require(tx, request)
    for run in request.runs:
        if not run.cached:
            result = run.model_dump(include={"name", "outcome", "exit_code", "seconds", "flaky", "output"})
            key = {"tree": run.tree, "check_key": run.key}
            rows.upsert(tx, check_results, key, result | {"at": tx.now})
    for change_id in request.change_ids:
        for run in request.runs:
            key = {"change_id": change_id, "tree": run.tree, "check_key": run.key}
            rows.upsert(tx, change_checks, key, {"cached": run.cached, "at": tx.now})
        row = rows.find(tx, change_id)
        if row.state == "checking" and request.runs and all(run.outcome == "passed" for run in request.runs):
            rows.emit(tx, CHANGE_CHECKED, row)
    return Empty()


@command("queue.settle", scope="changes:admin")
def settle_changes(tx: Transaction, request: SettleChanges) -> Settled:
    """Record what became of the target branch and of attempts that failed, and end the claim."""
    lane = claims.holds(tx, request)
    if lane is None:
        return Settled()
    if request.landing is not None:
        landing.record_outcome(tx, request.landing)
    for failed in request.failed:
        _fail(tx, failed, request.attempts_max)
    if request.pause is not None and lane.paused_reason is None:
        pause_lane(tx, request.target, request.pause, "repomesh")
    due_at = min(filter(None, (lane.due_at, _next_due(tx, request.target))), default=None)
    columns: dict[str, Any] = {"claimed_by": None, "claimed_until": None, "due_at": due_at}
    if due_at is None:
        columns |= {"stall_at": None, "stalled_at": None}
    elif any(failed.error_class != "infrastructure" for failed in request.failed):
        columns |= stalls.restarted_timer(tx)
    rows.write_lane(tx, request.target, **columns)
    return Settled(more=due_at is not None and due_at <= tx.now)


def pause_lane(tx: Transaction, target: str, reason: str, by: str) -> None:
    """Stop a lane: what is queued waits until somebody resumes it."""
    rows.write_lane(tx, target, paused_reason=reason, paused_by=by, paused_at=tx.now)
    data = QueueEventData(target=target, reason=reason, by=by)
    tx.emit(NewEvent(QUEUE_PAUSED, f"queue/{target}", data, severity="error"))
    for row in rows.in_states(tx, ("queued",), target):
        placing.reassess(tx, row)
    if by == "repomesh":
        body = f"The merge queue of {target} is paused: {reason}\n\nOnce mended: `repomesh queue resume`."
        notices.notify_people(tx, f"Merge queue of {target} is paused", body)


def _pick(tx: Transaction, lane: Row[Any], batch_max: int) -> list[Row[Any]]:
    """The changes that are built next, each looked at anew: locks were taken since, and tasks taken over."""
    while True:
        found = {row.id: row for row in rows.next_queued(tx, lane.target, batch_max)}
        batch = rules.pick_batch([_as_candidate(row) for row in found.values()], batch_max)
        placed = [placing.reassess(tx, found[candidate.id], lane) for candidate in batch]
        if all(row.state == "queued" for row in placed):
            return placed  # else those that wait now are not found any more


def _as_candidate(row: Row[Any]) -> Candidate:
    return Candidate(row.id, row.priority, row.queued_at or row.created_at, row.barrier)


def _begin(tx: Transaction, row: Row[Any], state: rules.WorkState) -> Row[Any]:
    return rows.set_state(tx, row, Placement(state, _IN_WORK[state], "the queue goes on by itself"))


def _fail(tx: Transaction, failed: FailedChange, attempts_max: int) -> None:
    row = rows.find(tx, failed.change_id)
    if row.state not in ("queued", "building", "checking"):
        return  # withdrawn, rejected or replaced meanwhile
    rows.add_attempt(tx, row, failed.base, "failed", failed.error_class, failed.reason)
    if failed.error_class == "infrastructure":
        next_at = tx.now + timedelta(seconds=claims.retry_delay_s(row.tries))
        reason = f"{failed.reason}; the next attempt is at {rfc3339(next_at)}"
        waiting = Placement("waiting", reason, failed.next_step, failed.waits_for, failed.error_class)
        rows.set_state(tx, row, waiting, tries=row.tries + 1, next_at=next_at)
        if row.tries + 1 == limits.QUEUE_RETRIES_TOLD:
            notices.notify_people(
                tx,
                f"Change does not get on: {row.summary}",
                f"Change {row.id} of {row.author_name} was tried {row.tries + 1} times: {failed.reason}\n\n"
                f"{failed.next_step}. The queue goes on trying; 'repomesh doctor' checks git and the disk.",
            )
        return
    failures = row.failures + 1
    state = rules.after_failure(failures, attempts_max)
    moved = rows.set_state(
        tx,
        row,
        Placement(state, failed.reason, failed.next_step, error_class=failed.error_class),
        failures=failures,
        conflicts=[conflict.model_dump() for conflict in failed.conflicts],
        queued_at=None,
    )
    returning.give_back(tx, moved, failed.conflicts)
    if state == "quarantined":
        body = (
            f"Change {row.id} ('{row.summary}') of {row.author_name} failed {failures} times: {failed.reason}"
        )
        notices.notify_people(tx, f"Change quarantined: {row.summary}", body)


def _next_due(tx: Transaction, target: str) -> datetime | None:
    """When a worker is to look at the lane next; None when only somebody's doing moves it.

    What a worker has left in work is queued again.
    """
    groups = rows.group_under_way(tx, target)
    if any(group.state in ("building", "checking") for group in groups):
        for row in rows.in_states(tx, ("building", "checking"), target):
            placing.reassess(tx, row)
        groups = rows.group_under_way(tx, target)
    soon = tx.now + timedelta(seconds=limits.QUEUE_POLL_S)
    times: list[datetime] = []
    for group in groups:
        if group.state == "landing":  # whether it landed is not settled
            times.append(group.next_at or soon)
        elif group.state != "waiting":
            times.append(tx.now)
        elif group.waits_for in ("retry", "work_tree", "approval") and group.next_at is not None:
            times.append(group.next_at)
        elif group.waits_for == "lock":
            times.append(soon)
    return min(times, default=None)
