"""Operations on the tasks of a session: delegate and list."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import ColumnElement, Row, insert, or_, select

from repomesh.domains.agents.errors import AgentNotFound, AgentRetired
from repomesh.domains.agents.operations import ensure_agent, find_agent
from repomesh.domains.messaging.messages.sending import system_notice
from repomesh.domains.sessions import rows
from repomesh.domains.sessions.errors import (
    SessionNotActive,
    SessionNotFound,
    SessionTaskNotFound,
    TaskKeyTaken,
)
from repomesh.domains.sessions.models import (
    SESSION_TASK_DELEGATED,
    DelegateTask,
    ListSessionTasks,
    SessionTask,
    TaskDelegated,
)
from repomesh.domains.sessions.tables import session_tasks
from repomesh.domains.tasks import rows as task_rows
from repomesh.domains.tasks.errors import DependencyNotFound
from repomesh.domains.tasks.models import CreateTask
from repomesh.domains.tasks.operations import create_task
from repomesh.domains.tasks.tables import tasks
from repomesh.kernel.fields import Page
from repomesh.kernel.ids import UUID_PATTERN
from repomesh.kernel.operation import Get, Post, command, query
from repomesh.store.listing import Listing, equals
from repomesh.store.log import NewEvent
from repomesh.store.transaction import Transaction

_link = session_tasks.c
_NOT_TASK_FIELDS = {"session_id", "task_id", "depends_on", "agent_may_be_new"}
_IS_ID = re.compile(UUID_PATTERN)


@command(
    "session.delegate",
    http=Post("/v1/sessions/{session_id}/tasks", status=201),
    scope="sessions:write",
    errors=(
        SessionNotFound,
        SessionNotActive,
        TaskKeyTaken,
        SessionTaskNotFound,
        DependencyNotFound,
        AgentNotFound,
        AgentRetired,
    ),
)
def delegate_task(tx: Transaction, request: DelegateTask) -> SessionTask:
    """Delegate work as a task of the board: to one agent alone, or to any that can do it.

    A named agent is notified by a message, which waits in its inbox if it is not there. The caller's token
    needs `tasks:write`, too.
    """
    tx.caller.require("tasks:write")
    session = rows.find_active(tx, request.session_id)
    request_json = request.model_dump_json(exclude={"session_id", "agent_may_be_new"})
    existing = None if request.task_id is None else _find_by_key(tx, session.uid, request.task_id)
    if existing is not None:
        if existing.request != request_json:
            raise TaskKeyTaken(
                f"session '{session.id}' has a task '{request.task_id}' that asks for something else"
            )
        return SessionTask(session_id=session.id, key=existing.key, task=_read_task(tx, existing.task_id))
    first_ids = [_find_task_id(tx, session, name) for name in request.depends_on]
    if request.agent_may_be_new and request.agent is not None:
        _ensure_agent_known(tx, request.agent)
    fields = request.model_dump(exclude=_NOT_TASK_FIELDS) | {
        "dependencies": (*first_ids, *request.dependencies)
    }
    task = create_task(tx, CreateTask(**fields))
    link = {"session_uid": session.uid, "task_id": task.id, "workspace_id": tx.workspace_id}
    key = request.task_id or task.id
    tx.execute(insert(session_tasks), link | {"key": key, "request": request_json})
    delegated = TaskDelegated(session_id=session.id, key=key, task_id=task.id, agent=task.assignee_name)
    tx.emit(NewEvent(SESSION_TASK_DELEGATED, f"session/{session.id}", delegated, task_id=task.id))
    if task.assignee_id is not None and task.assignee_id != tx.caller.agent_id:
        sender = tx.caller.agent_name or "The owner"
        text = f"{sender} delegates a task to you in session '{session.id}'. Claim it by its id: {task.id}"
        system_notice(tx, [task.assignee_id], task.goal, text, tags=("delegated",), task_id=task.id)
    return SessionTask(session_id=session.id, key=key, task=task)


@query(
    "session.tasks",
    http=Get("/v1/sessions/{session_id}/tasks"),
    scope="sessions:read",
    errors=(SessionNotFound, AgentNotFound),
)
def list_session_tasks(tx: Transaction, request: ListSessionTasks) -> Page[SessionTask]:
    """List the tasks of a session, newest first, each with the progress that its holder reported."""
    session = rows.find_readable(tx, request.session_id)
    statement = (
        select(tasks, _link.key)
        .join(session_tasks, _link.task_id == tasks.c.id)
        .where(_link.session_uid == session.uid)
    )

    def item(row: Row[Any]) -> SessionTask:
        fields = row._asdict()
        key = fields.pop("key")
        return SessionTask(session_id=session.id, key=key, task=task_rows.as_task(fields))

    listing = Listing(
        Page[SessionTask],
        item,
        keys=(tasks.c.id,),
        descending=True,
        filters={"status": equals(tasks.c.status), "agent": _is_held_by},
    )
    return listing.read(tx, statement, request)


def _is_held_by(tx: Transaction, agent: str) -> ColumnElement[bool]:
    """Tasks that an agent holds, or that only it may claim."""
    agent_id = find_agent(tx, agent).id
    return or_(tasks.c.agent_id == agent_id, tasks.c.assignee_id == agent_id)


def _ensure_agent_known(tx: Transaction, agent: str) -> None:
    """Create an agent of this name if there is none; raises AgentNotFound for an unknown id."""
    try:
        find_agent(tx, agent)
    except AgentNotFound:
        if _IS_ID.fullmatch(agent):
            raise
        ensure_agent(tx, agent)


def _find_by_key(tx: Transaction, uid: str, key: str) -> Row[Any] | None:
    return tx.execute(select(session_tasks).where(_link.session_uid == uid, _link.key == key)).one_or_none()


def _read_task(tx: Transaction, task_id: str) -> Any:
    return task_rows.as_task(task_rows.find(tx, task_id))


def _find_task_id(tx: Transaction, session: Row[Any], name: str) -> str:
    """The id of a task of the session, by its key or its id; raises SessionTaskNotFound."""
    matches = or_(_link.key == name, _link.task_id == name)
    statement = select(_link.task_id).where(_link.session_uid == session.uid, matches)
    task_id: str | None = tx.execute(statement.limit(1)).scalar_one_or_none()
    if task_id is None:
        raise SessionTaskNotFound(f"session '{session.id}' has no task '{name}'")
    return task_id
