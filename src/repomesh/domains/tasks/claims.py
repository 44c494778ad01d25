"""Operations of the holder of a task: claim, renew, report progress."""

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
from repomesh.domains.leases.paths import ComparisonBudget
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
from repomesh.store.damage import DAMAGE_ERRORS, note_damage
from repomesh.store.log import NewEvent
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

_table = tasks.c
_CANDIDATES = PreparedStatement(
    select(_table.id, _table.rank, _table.capabilities, _table.scope)
    .where(_table.workspace_id == bindparam("ws"), READY)
    .where(or_(_table.assignee_id.is_(None), _table.assignee_id == bindparam("agent")))
    .where(tuple_(_table.rank, _table.id) > tuple_(bindparam("rank"), bindparam("id")))
    .order_by(_table.rank, _table.id)
    .limit(bindparam("count"))
)
_SKILLS = PreparedStatement(select(agents.c.capabilities).where(agents.c.id == bindparam("agent")))
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
    """Claim a task until its lease expires; each claim carries a higher fencing token.

    `task_id` 'next' selects the open task of highest priority, and of these the oldest, whose dependencies
    are done, whose capabilities the agent has and, with `take_locks`, whose scope is free.
    """
    skills = tx.execute(_SKILLS, {"agent": tx.caller.acting_agent()}).scalar_one()
    if request.task_id == "next":
        reclaiming.reclaim_expired(tx)
        row = _find_next_ready(tx, skills, take_locks=request.take_locks)
    else:
        row = _find_claimable(tx, request.task_id, skills)
    lease_resources = [resources.work(resources.TASK, row.id)]
    if request.take_locks:
        tx.caller.require("locks:write")
        lease_resources += _scope_resources(row)
    leases = leasing.grant(tx, lease_resources, ttl_s=request.ttl_s, note=row.goal, task_id=row.id)
    fencing_token = leases[0].fencing_token
    task = rows.change(
        tx,
        row,
        status="claimed",
        agent_id=tx.caller.agent_id,
        agent_name=tx.caller.agent_name,
        fencing_token=fencing_token,
        percent=None,
        reason="",
    )
    rows.begin_attempt(tx, task)
    claimed = _as_claimed_task(task, leases)
    data = TaskClaimedData(
        task=task,
        fencing_token=fencing_token,
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
    """Extend the claim of a task, and the locks taken with it. Heartbeats do so, too."""
    row = holding.require_hold(tx, "renew", request.task_id, request.fencing_token)
    task_leases = holding.leases_for(tx, row.id, row.agent_id)
    live_leases = [lease for lease in task_leases if lease.expires_at > tx.now]
    return _as_claimed_task(rows.as_task(row), leasing.renew(tx, live_leases, request.ttl_s))


@command(
    "task.progress",
    http=Post("/v1/tasks/{task_id}/progress"),
    scope="tasks:write",
    errors=(TaskNotFound, TaskStatusConflict, NotHolder, StaleFencingToken, LeaseExpired),
    needs_agent=True,
)
def report_progress(tx: Transaction, request: ReportProgress) -> Task:
    """Report the progress of a task: a note, a percentage, or both."""
    row = holding.require_hold(tx, "progress", request.task_id, request.fencing_token)
    reported_columns = request.model_dump(include={"note", "percent"}, exclude_none=True, exclude_unset=True)
    if not changed_values(reported_columns, row):
        return rows.as_task(row)
    task = rows.change(tx, row, **reported_columns)
    rows.emit_changed(tx, TASK_PROGRESSED, task)
    return task


def _find_claimable(tx: Transaction, task_id: str, skills: Sequence[str]) -> Row[Any]:
    """The row of a task that the agent may claim; raises the error that says why it may not."""
    row = rows.find(tx, task_id)
    if row.status == "claimed":
        claim_lease = leasing.live_lease(tx, resources.work(resources.TASK, row.id))
        if claim_lease is not None:
            raise _already_claimed_error(tx, row, claim_lease)
        reclaiming.reclaim_task(tx, row)
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


def _find_next_ready(tx: Transaction, skills: Sequence[str], *, take_locks: bool) -> Row[Any]:
    """The row of the best ready task that the agent can claim; raises NoTaskReady with what prevents it."""
    missing_capabilities: dict[str, None] = {}
    locked_task_ids: list[str] = []
    budget = ComparisonBudget()
    for row in _read_ready_tasks(tx):
        try:
            lacking = rules.missing_capabilities(row.capabilities, skills)
            if lacking:
                missing_capabilities.update(
                    dict.fromkeys(lacking[: limits.LIST_ITEMS_MAX - len(missing_capabilities)])
                )
                continue
            is_free = not take_locks or not leasing.find_obstacles(
                tx, _scope_resources(row), "exclusive", tx.caller.agent_id, budget
            )
            if is_free:
                task_row = rows.find(tx, row.id)
                rows.as_task(task_row)
                return task_row
        except DAMAGE_ERRORS as error:  # of this task, or of a lease beside its scope
            note_damage(tx, f"task/{row.id}", error)
        else:
            locked_task_ids.append(row.id)
            if len(locked_task_ids) == limits.CLAIM_LOCKED_MAX:
                break
    explanation = "no open task has all its dependencies done"
    if locked_task_ids:
        explanation = f"the scope of {len(locked_task_ids)} ready tasks is locked by others"
    elif missing_capabilities:
        explanation = f"the ready tasks need {', '.join(missing_capabilities)}"
    raise NoTaskReady(
        f"nothing to claim: {explanation}",
        missing_capabilities=list(missing_capabilities),
        locked_task_ids=locked_task_ids,
    )


def _read_ready_tasks(tx: Transaction) -> Iterator[Row[Any]]:
    """The ready tasks, best first, read in pages that grow: most claims need only the first row."""
    rank, last_id = _BEFORE_ALL
    agent_id = tx.caller.acting_agent()
    count = limits.CLAIM_CANDIDATES_MIN
    while True:
        params = {"ws": tx.workspace_id, "rank": rank, "id": last_id, "count": count, "agent": agent_id}
        page_rows = tx.execute(_CANDIDATES, params).all()
        yield from page_rows
        if len(page_rows) < count:
            return
        rank, last_id = page_rows[-1].rank, page_rows[-1].id
        count = min(count * 8, limits.CLAIM_CANDIDATES_MAX)


def _scope_resources(row: Row[Any]) -> list[Resource]:
    return [path for pattern in row.scope for path in resources.all_paths(pattern)]


def _as_claimed_task(task: Task, leases: Sequence[Lease]) -> ClaimedTask:
    claim_lease = next(lease for lease in leases if lease.resource_type == resources.TASK)
    return ClaimedTask(
        task=task,
        fencing_token=claim_lease.fencing_token,
        expires_at=claim_lease.expires_at,
        locks=[
            HeldLock(**lease.model_dump(include=set(HeldLock.model_fields)))
            for lease in leases
            if lease is not claim_lease
        ],
    )


def _already_claimed_error(tx: Transaction, row: Row[Any], claim_lease: Lease) -> TaskAlreadyClaimed:
    details = {
        "holder": claim_lease.agent_id,
        "holder_name": claim_lease.agent_name,
        "expires_at": rfc3339(claim_lease.expires_at),
    }
    if claim_lease.agent_id != tx.caller.agent_id:
        message = f"{claim_lease.agent_name} holds task {row.id} until {details['expires_at']}"
        return TaskAlreadyClaimed(message, **details)
    return TaskAlreadyClaimed(
        f"you hold task {row.id} already, until {details['expires_at']}",
        hint=f"Go on with fencing_token {claim_lease.fencing_token}, or renew it.",
        fencing_token=claim_lease.fencing_token,
        **details,
    )
