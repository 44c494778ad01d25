"""The queries that run often find their rows by an index, in the order in which they are wanted."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert, text

from plans import Plan, plans, scans, steps
from repomesh.app import Server
from repomesh.domains.agents.operations import ensure_agent
from repomesh.domains.leases import leasing
from repomesh.domains.tasks import holding
from repomesh.domains.tasks.claims import claim_task
from repomesh.domains.tasks.finishing import complete_task
from repomesh.domains.tasks.models import ClaimTask, CompleteTask, ListTasks, ShowTask
from repomesh.domains.tasks.operations import list_tasks, show_task
from repomesh.domains.tasks.tables import task_tags, tasks
from repomesh.domains.workspaces.operations import workspace_ids
from repomesh.kernel.identity import Caller, Role, system_caller
from repomesh.kernel.ids import new_id
from repomesh.store.transaction import Transaction

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def caller(server: Server) -> Caller:
    """An agent of a workspace with 4,000 tasks, of which half are open and half of these ready."""
    (workspace_id,) = server.store.read_now(system_caller(""), workspace_ids)
    owner = system_caller(workspace_id)
    agent = server.store.write_now(owner, lambda tx: ensure_agent(tx, "worker"))
    rows = [
        {
            "id": new_id(),
            "workspace_id": workspace_id,
            "goal": "x",
            "description": "",
            "type": "docs",
            "rank": number % 20,
            "status": "open" if number % 2 else "done",
            "dependencies": [],
            "unmet": number % 4 // 2,
            "scope": [],
            "tags": [],
            "capabilities": [],
            "review_required": False,
            "max_attempts": 3,
            "attempts": 0,
            "note": "",
            "reason": "",
            "created_at": AT,
            "updated_at": AT,
            "version": 1,
            "agent_id": agent.id if number % 400 == 0 else None,
        }
        for number in range(4_000)
    ]
    tags = [{"workspace_id": workspace_id, "task_id": row["id"], "tag": "rare"} for row in rows[::400]]

    def load(tx: Transaction) -> None:
        tx.execute(insert(tasks), rows)
        tx.execute(insert(task_tags), tags)

    server.store.write_now(owner, load)
    server.store.write_now(owner, lambda tx: tx.execute(text("ANALYZE")))
    return Caller(workspace_id, Role.AGENT, "token", agent.id, agent.name)


def plans_on_tasks(server: Server, caller: Caller, work: Callable[[Transaction], Any]) -> list[Plan]:
    """How the engine runs each select on tasks that `work` makes."""
    found = plans(server.store, caller, work)
    kept = [plan for plan in found if "SELECT" in plan.statement and " tasks" in plan.statement]
    assert kept
    return kept


def test_the_next_task_is_the_first_entry_of_an_index(server: Server, caller: Caller) -> None:
    found = plans_on_tasks(server, caller, lambda tx: claim_task(tx, ClaimTask()))
    assert scans(found, "tasks", along_index=False) == []
    assert "ix_tasks_ready" in steps(found)
    assert "TEMP B-TREE" not in steps(found)
    assert "Sort Key: tasks" not in steps(found)


@pytest.mark.parametrize(
    ("request_", "index"),
    [
        (ListTasks(), "ix_tasks_workspace|pk_tasks"),
        (ListTasks(ready=True), "ix_tasks_ready"),
        (ListTasks(status="claimed"), "ix_tasks_status"),
        (ListTasks(agent="worker"), "ix_tasks_agent"),
        (ListTasks(tag="rare"), "task_tags"),
    ],
)
def test_lists_are_read_by_an_index(server: Server, caller: Caller, request_: ListTasks, index: str) -> None:
    found = plans_on_tasks(server, caller, lambda tx: list_tasks(tx, request_))
    assert scans(found, "tasks", along_index=False) == []
    assert re.search(index, steps(found))


def test_what_happens_to_one_task_reads_only_its_neighbours(server: Server, caller: Caller) -> None:
    def story(tx: Transaction) -> None:
        held = claim_task(tx, ClaimTask())
        complete_task(tx, CompleteTask(task_id=held.task.id, fencing_token=held.fencing_token))
        show_task(tx, ShowTask(task_id=held.task.id))
        lost = claim_task(tx, ClaimTask())
        leasing.end(tx, holding.leases_for(tx, lost.task.id, caller.acting_agent()), "abandoned")
        tx.react()
        assert show_task(tx, ShowTask(task_id=lost.task.id)).status == "open"

    assert scans(plans_on_tasks(server, caller, story), "tasks", along_index=False) == []
