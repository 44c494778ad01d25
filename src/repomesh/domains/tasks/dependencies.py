"""Dependencies of tasks: the edges between them, without cycles, and the count of those unmet."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, insert, select

from repomesh.domains.tasks import rules
from repomesh.domains.tasks.errors import DependenciesTooMany, DependencyNotFound
from repomesh.domains.tasks.tables import task_dependencies, tasks
from repomesh.kernel import limits
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

_edges = task_dependencies.c
_PRESENT = select(tasks.c.id, tasks.c.status).where(
    tasks.c.workspace_id == bindparam("ws"), tasks.c.id.in_(bindparam("ids", expanding=True))
)
_FORGET = PreparedStatement(
    delete(task_dependencies).where(
        _edges.workspace_id == bindparam("ws"), _edges.task_id == bindparam("task")
    )
)
_CONNECT = PreparedStatement(insert(task_dependencies))
_FIRST_STEP = (
    select(_edges.task_id, _edges.depends_on)
    .where(_edges.workspace_id == bindparam("ws"), _edges.task_id.in_(bindparam("ids", expanding=True)))
    .cte("walk", recursive=True)
)
# A task that is done depends on tasks that are done, so no cycle leads through it.
_WALK = _FIRST_STEP.union(
    select(_edges.task_id, _edges.depends_on)
    .join(_FIRST_STEP, _FIRST_STEP.c.depends_on == _edges.task_id)
    .join(tasks, tasks.c.id == _edges.task_id)
    .where(_edges.workspace_id == bindparam("ws"), tasks.c.status != "done")
)
_REACHABLE = select(_WALK.c.task_id, _WALK.c.depends_on).limit(limits.TASK_WALK_MAX + 1)


def count_unmet(tx: Transaction, dependencies: Sequence[str]) -> int:
    """How many of `dependencies` are not done; raises DependencyNotFound for one that does not exist."""
    if not dependencies:
        return 0
    rows = tx.execute(_PRESENT, {"ws": tx.workspace_id, "ids": list(dependencies)}).all()
    statuses = {row.id: row.status for row in rows}
    missing = [dependency for dependency in dependencies if dependency not in statuses]
    if missing:
        raise DependencyNotFound(
            f"dependencies: there is no task {missing[0]}",
            errors=[
                {"field": "dependencies", "message": f"there is no task {task_id}", "type": "not_found"}
                for task_id in missing
            ],
        )
    return sum(status != "done" for status in statuses.values())


def connect(tx: Transaction, task_id: str, dependencies: Sequence[str]) -> None:
    """Write the edges of a task that has none yet."""
    if dependencies:
        edge = {"workspace_id": tx.workspace_id, "task_id": task_id}
        tx.execute(_CONNECT, [edge | {"depends_on": dependency_id} for dependency_id in dependencies])


def reconnect(tx: Transaction, task_id: str, dependencies: Sequence[str]) -> int:
    """Replace the dependencies of a task; returns how many of them are unmet.

    Raises DependencyNotFound, DependencyCycle, and DependenciesTooMany over `TASK_WALK_MAX` edges.
    """
    unmet = count_unmet(tx, dependencies)
    if unmet:
        edges = tx.execute(_REACHABLE, {"ws": tx.workspace_id, "ids": list(dependencies)}).all()
        if len(edges) > limits.TASK_WALK_MAX:
            raise DependenciesTooMany(
                f"more than {limits.TASK_WALK_MAX} dependencies would stand before task {task_id}"
            )
        rules.refuse_cycle(task_id, dependencies, [(edge.task_id, edge.depends_on) for edge in edges])
    tx.execute(_FORGET, {"ws": tx.workspace_id, "task": task_id})
    connect(tx, task_id, dependencies)
    return unmet
