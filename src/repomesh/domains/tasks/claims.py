"""Operations of those who take and hold a task: claim, renew, report progress."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Row, bindparam, or_, select, tuple_

from repomesh.domains.agents.errors import AgentRetired
from repomesh.domains.agents.tables import agents
from repomesh.domains.leases import leasing, resources
from repomesh.domains.leases.errors import (
    ComparisonTooLarge,
    LeaseExpired,
    LockConflict,
    NotHolder,
    StaleFencingToken,
    TooManyLocks,
)
from repomesh.domains.leases.models import HeldLock, Lease
from repomesh.domains.leases.paths import Steps
from repomesh.domains.leases.resources import Resource
from repomesh.domains.tasks import holding, reclaiming, rows, rules
from repomesh.domains.tasks.brief import fit_claim
from repomesh.domains.tasks.errors import (
    CapabilitiesMissing,
    DependenciesUnmet,
    NoTaskReady,
    TaskAlreadyClaimed,
    TaskAssigned,
    TaskNotFound,
    TaskStatusConflict,
)
from repomesh.domains.tasks.models import (
    TASK_CLAIMED,
    TASK_PROGRESSED,
    ClaimedTask,
    ClaimTask,
    RenewTask,
    ReportProgress,
    Task,
    TaskClaimedData,
)
from repomesh.domains.tasks.tables import READY, tasks
from repomesh.kernel import limits
from repomesh.kernel.clock import rfc3339
from repomesh.kernel.json_values import changed_values
from repomesh.kernel.operation import Post, Tool, command
from repomesh.store.damage import UNREADABLE, note
from repomesh.store.log import NewEvent
from repomesh.store.prepared import Prepared
from repomesh.store.transaction import Transaction

_table = tasks.c
_CANDIDATES = Prepared(
    select(_table.id, _table.rank, _table.capabilities, _table.scope)
    .where(_table.workspace_id == bindparam("ws"), READY)
    .where(or_(_table.assignee_id.is_(None), _table.assignee_id == bindparam("agent")))
    .where(tuple_(_table.rank, _table.id) > tuple_(bindparam("rank"), bindparam("id")))
    .order_by(_table.rank, _table.id)
    .limit(bindparam("count"))
)
_SKILLS = Prepared(select(agents.c.capabilities).where(agents.c.id == bindparam("agent")))
_BEFORE_ALL = (-limits.TASK_PRIORITY_MAX - 1, "")


@command(
    "task.claim",
    http=Post("/v1/tasks/{task_id}/claim"),
    tool=Tool(
        "claim_task",
        "Take a task, by default the next that is ready and fits you. Keep the fencing_token.",
        fields=("task_id", "take_locks"),
    ),
    scope="tasks:write",
    errors=(
        TaskNotFound,
        NoTaskReady,
        TaskAlreadyClaimed,
        TaskStatusConflict,
        DependenciesUnmet,
        CapabilitiesMissing,
        TaskAssigned,
        LockConflict,
        TooManyLocks,
        ComparisonTooLarge,
        AgentRetired,
    ),
    needs_agent=True,
    shorten=fit_claim,
)
def claim_task(tx: Transaction, request: ClaimTask) -> ClaimedTask:
    """Hold a task until the lease expires; each claim carries a higher fencing token.

    With `task_id` 'next' it is the open task of highest priority, and of these the oldest, whose
    dependencies are done, whose capabilities the agent has and, with `take_locks`, whose scope is free.
    """
    skills = tx.execute(_SKILLS, {"agent": tx.caller.acting_agent()}).scalar_one()
    if request.task_id == "next":
        reclaiming.reclaim_expired(tx)
        row = _next_ready(tx, skills, take_locks=request.take_locks)
    else:
        row = _claimable(tx, request.task_id, skills)
    wanted = [resources.work(resources.TASK, row.id)]
    if request.take_locks:
        tx.caller.require("locks:write")
        wanted += _scope(row)
    leases = leasing.grant(tx, wanted, ttl_s=request.ttl_s, note=row.goal, task_id=row.id)
    token = leases[0].fencing_token
    task = rows.change(
        tx,
        row,
        status="claimed",
        agent_id=tx.caller.agent_id,
        agent_name=tx.caller.agent_name,
        fencing_token=token,
        percent=None,
        reason="",
    )
    rows.begin_attempt(tx, task)
    claimed = _claimed(task, leases)
    data = TaskClaimedData(
        task=task,
        fencing_token=token,
        expires_at=claimed.expires_at,
        locks=[lock.resource for lock in claimed.locks],
    )
    tx.emit(NewEvent(TASK_CLAIMED, f"task/{task.id}", data, task_id=task.id))
    return claimed


@command(
    "task.renew",
    http=Post("/v1/tasks/{task_id}/renew"),
    scope="tasks:write",
    errors=(TaskNotFound, TaskStatusConflict, NotHolder, StaleFencingToken, LeaseExpired),
    needs_agent=True,
    shorten=fit_claim,
)
def renew_task(tx: Transaction, request: RenewTask) -> ClaimedTask:
    """Hold a task, and the locks taken with it, longer. Heartbeats do so, too."""
    row = holding.require(tx, "renew", request.task_id, request.fencing_token)
    held = holding.leases_for(tx, row.id, row.agent_id)
    live = [lease for lease in held if lease.expires_at > tx.now]
    return _claimed(rows.as_task(row), leasing.renew(tx, live, request.ttl_s))


@command(
    "task.progress",
    http=Post("/v1/tasks/{task_id}/progress"),
    scope="tasks:write",
    errors=(TaskNotFound, TaskStatusConflict, NotHolder, StaleFencingToken, LeaseExpired),
    needs_agent=True,
)
def report_progress(tx: Transaction, request: ReportProgress) -> Task:
    """Tell how far a task is: a note, a percentage, or both."""
    row = holding.require(tx, "progress", request.task_id, request.fencing_token)
    told = request.model_dump(include={"note", "percent"}, exclude_none=True, exclude_unset=True)
    if not changed_values(told, row):
        return rows.as_task(row)
    task = rows.change(tx, row, **told)
    rows.emit_changed(tx, TASK_PROGRESSED, task)
    return task


def _claimable(tx: Transaction, task_id: str, skills: Sequence[str]) -> Row[Any]:
    """The row of a task that the agent may claim; raises what stands against it."""
    row = rows.find(tx, task_id)
    if row.status == "claimed":
        held = leasing.live_lease(tx, resources.work(resources.TASK, row.id))
        if held is not None:
            raise _is_claimed(tx, row, held)
        reclaiming.reclaim(tx, row)
        row = rows.find(tx, task_id)
    rules.require_allowed("claim", row.id, row.status, row.reason)
    if row.unmet:
        unmet = rows.unmet_dependencies(tx, row.id)
        raise DependenciesUnmet(
            f"task {row.id} waits for {len(unmet)} that are not done: {', '.join(unmet[:5])}", unmet=unmet
        )
    if row.assignee_id not in (None, tx.caller.agent_id):
        raise TaskAssigned(f"task {row.id} is meant for {row.assignee_name}", assignee_name=row.assignee_name)
    missing = rules.missing_capabilities(row.capabilities, skills)
    if missing:
        raise CapabilitiesMissing(f"task {row.id} needs {', '.join(missing)}", missing=missing)
    return row


def _next_ready(tx: Transaction, skills: Sequence[str], *, take_locks: bool) -> Row[Any]:
    """The best ready task that the agent can do; raises NoTaskReady with what stands in the way."""
    missing: dict[str, None] = {}
    locked: list[str] = []
    steps = Steps()
    for row in _candidates(tx):
        try:
            lacking = rules.missing_capabilities(row.capabilities, skills)
            if lacking:
                missing.update(dict.fromkeys(lacking[: limits.LIST_ITEMS_MAX - len(missing)]))
                continue
            is_free = not take_locks or not leasing.obstacles(
                tx, _scope(row), "exclusive", tx.caller.agent_id, steps
            )
            if is_free:
                task = rows.find(tx, row.id)
                rows.as_task(task)
                return task
        except UNREADABLE as error:  # of this task, or of a lease beside its scope
            note(tx, f"task/{row.id}", error)
        else:
            locked.append(row.id)
            if len(locked) == limits.CLAIM_LOCKED_MAX:
                break
    because = "no open task has all its dependencies done"
    if locked:
        because = f"the scope of {len(locked)} ready tasks is locked by others"
    elif missing:
        because = f"the ready tasks need {', '.join(missing)}"
    raise NoTaskReady(
        f"nothing to claim: {because}", missing_capabilities=list(missing), locked_task_ids=locked
    )


def _candidates(tx: Transaction) -> Iterator[Row[Any]]:
    """The ready tasks, best first, read in pages that grow: most claims need only the first row."""
    rank, last = _BEFORE_ALL
    agent_id = tx.caller.acting_agent()
    count = limits.CLAIM_CANDIDATES_MIN
    while True:
        here = {"ws": tx.workspace_id, "rank": rank, "id": last, "count": count, "agent": agent_id}
        found = tx.execute(_CANDIDATES, here).all()
        yield from found
        if len(found) < count:
            return
        rank, last = found[-1].rank, found[-1].id
        count = min(count * 8, limits.CLAIM_CANDIDATES_MAX)


def _scope(row: Row[Any]) -> list[Resource]:
    return [path for pattern in row.scope for path in resources.all_paths(pattern)]


def _claimed(task: Task, leases: Sequence[Lease]) -> ClaimedTask:
    claim = next(lease for lease in leases if lease.resource_type == resources.TASK)
    return ClaimedTask(
        task=task,
        fencing_token=claim.fencing_token,
        expires_at=claim.expires_at,
        locks=[
            HeldLock(**lease.model_dump(include=set(HeldLock.model_fields)))
            for lease in leases
            if lease is not claim
        ],
    )


def _is_claimed(tx: Transaction, row: Row[Any], held: Lease) -> TaskAlreadyClaimed:
    details = {
        "holder": held.agent_id,
        "holder_name": held.agent_name,
        "expires_at": rfc3339(held.expires_at),
    }
    if held.agent_id != tx.caller.agent_id:
        until = f"{held.agent_name} holds task {row.id} until {details['expires_at']}"
        return TaskAlreadyClaimed(until, **details)
    return TaskAlreadyClaimed(
        f"you hold task {row.id} already, until {details['expires_at']}",
        hint=f"Go on with fencing_token {held.fencing_token}, or renew it.",
        fencing_token=held.fencing_token,
        **details,
    )
