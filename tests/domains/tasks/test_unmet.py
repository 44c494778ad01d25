"""The counter of unmet dependencies is what a count of them would say, whatever happens to the tasks."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from repomesh.app import Server
from repomesh.domains.agents.operations import ensure_agent
from repomesh.domains.tasks.claims import claim_task
from repomesh.domains.tasks.errors import (
    DependenciesUnmet,
    DependencyCycle,
    TaskAlreadyClaimed,
    TaskStatusConflict,
)
from repomesh.domains.tasks.finishing import (
    block_task,
    cancel_task,
    complete_task,
    fail_task,
    release_task,
    unblock_task,
)
from repomesh.domains.tasks.models import (
    BlockTask,
    CancelTask,
    ClaimTask,
    CompleteTask,
    CreateTask,
    FailTask,
    ReleaseTask,
    Task,
    UnblockTask,
    UpdateTask,
)
from repomesh.domains.tasks.operations import create_task, update_task
from repomesh.domains.tasks.tables import task_dependencies, tasks
from repomesh.domains.workspaces.operations import workspace_ids
from repomesh.kernel.identity import Caller, Role, system_caller
from repomesh.store.transaction import Transaction

COUNT = 6
ACTIONS = ("depend", "claim", "complete", "fail", "retry", "release", "block", "unblock", "cancel")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(ACTIONS),
        st.integers(0, COUNT - 1),
        st.sets(st.integers(0, COUNT - 1), max_size=3),
    ),
    max_size=25,
)


def do(tx: Transaction, action: str, task: Task, others: tuple[str, ...]) -> Task:
    """One action on a task; raises what refuses it."""
    if action == "depend":
        return update_task(tx, UpdateTask(task_id=task.id, dependencies=others))
    if action == "claim":
        return claim_task(tx, ClaimTask(task_id=task.id)).task
    if action == "unblock":
        return unblock_task(tx, UnblockTask(task_id=task.id))
    if action == "cancel":
        return cancel_task(tx, CancelTask(task_id=task.id, reason="x"))
    if action == "block" and task.fencing_token is None:
        return block_task(tx, BlockTask(task_id=task.id, reason="x"))
    if task.fencing_token is None:
        raise TaskStatusConflict("nobody holds it")
    held: dict[str, Any] = {"task_id": task.id, "fencing_token": task.fencing_token}
    if action == "block":
        return block_task(tx, BlockTask(**held, reason="x"))
    if action == "complete":
        return complete_task(tx, CompleteTask(**held))
    if action == "release":
        return release_task(tx, ReleaseTask(**held))
    return fail_task(tx, FailTask(**held, reason="x", retry=action == "retry"))


def counted(tx: Transaction, ids: list[str]) -> dict[str, int]:
    """The unmet dependencies of each task, counted along the edges."""
    edge = task_dependencies.c
    unmet = (
        select(edge.task_id, func.count().label("unmet"))
        .join(tasks, tasks.c.id == edge.depends_on)
        .where(edge.task_id.in_(ids), tasks.c.status != "done")
        .group_by(edge.task_id)
    )
    return dict.fromkeys(ids, 0) | {row.task_id: row.unmet for row in tx.execute(unmet)}


def an_agent(server: Server) -> Caller:
    """A caller that acts as an agent which there is only one of."""
    (workspace_id,) = server.store.read_now(system_caller(""), workspace_ids)
    made = server.store.write_now(system_caller(workspace_id), lambda tx: ensure_agent(tx, "worker"))
    return Caller(workspace_id, Role.AGENT, "token", made.id, made.name)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_the_counter_is_what_a_count_would_say(
    server: Server, steps: list[tuple[str, int, set[int]]]
) -> None:
    caller = an_agent(server)
    store = server.store
    made = [store.write_now(caller, lambda tx: create_task(tx, CreateTask(goal="x"))) for _ in range(COUNT)]
    ids = [task.id for task in made]
    for action, index, others in steps:
        named = tuple(ids[other] for other in sorted(others))
        try:
            made[index] = store.write_now(
                caller,
                lambda tx, a=action, t=made[index], n=named: do(tx, a, t, n),  # type: ignore[misc]
            )
        except (TaskStatusConflict, TaskAlreadyClaimed, DependenciesUnmet, DependencyCycle):
            continue
        rows = store.read_now(caller, lambda tx: tx.execute(select(tasks).where(tasks.c.id.in_(ids))).all())
        assert {row.id: row.unmet for row in rows} == store.read_now(caller, lambda tx: counted(tx, ids))
        assert all(row.unmet == 0 for row in rows if row.status == "done")
        never_done = {row.id for row in rows if row.status in ("failed", "cancelled")}
        assert all(never_done.isdisjoint(row.dependencies) for row in rows if row.status == "open")
