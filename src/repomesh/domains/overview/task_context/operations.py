"""The context of a task: what one needs to know to work on it, within a budget of characters."""

from __future__ import annotations

from typing import Any

import pydantic_core
from sqlalchemy import bindparam, select

from repomesh.domains.agents.tables import agents
from repomesh.domains.leases import leasing, resources
from repomesh.domains.leases.errors import ComparisonTooLarge
from repomesh.domains.leases.models import LockObstacle
from repomesh.domains.messaging.events.models import Event, ListEvents
from repomesh.domains.messaging.events.operations import list_events
from repomesh.domains.messaging.messages.models import ListMessages
from repomesh.domains.messaging.messages.reading import list_messages
from repomesh.domains.overview.task_context import rules
from repomesh.domains.overview.task_context.models import (
    ContextDependency,
    ContextEvent,
    ContextLock,
    ContextMessage,
    ContextTask,
    ShowTaskContext,
    TaskContext,
)
from repomesh.domains.tasks import rows
from repomesh.domains.tasks.errors import TaskNotFound
from repomesh.domains.tasks.models import Task
from repomesh.domains.tasks.tables import tasks
from repomesh.kernel import limits
from repomesh.kernel.event_types import EVENT_TYPES
from repomesh.kernel.operation import Get, Tool, query
from repomesh.store.transaction import Transaction

_DEPENDENCIES = select(tasks.c.id, tasks.c.goal, tasks.c.status, tasks.c.agent_name, tasks.c.result).where(
    tasks.c.workspace_id == bindparam("ws"), tasks.c.id.in_(bindparam("ids", expanding=True))
)
_NAMES = select(agents.c.id, agents.c.name).where(
    agents.c.workspace_id == bindparam("ws"), agents.c.id.in_(bindparam("ids", expanding=True))
)


@query(
    "task.context",
    http=Get("/v1/tasks/{task_id}/context"),
    tool=Tool(
        "get_task_context",
        "A task with its dependencies' results, messages, events and locks nearby.",
        fields=("task_id", "max_chars"),
        read_only=True,
    ),
    scope="tasks:read",
    errors=(TaskNotFound, ComparisonTooLarge),
)
def show_task_context(tx: Transaction, request: ShowTaskContext) -> TaskContext:
    """Show the context of a task, in at most `max_chars` characters.

    The context is the task, the results of its dependencies, the last messages and events about it that the
    caller may see, and what others hold or wait for that overlaps with its scope. A token of some scopes sees
    the parts that these read.
    """
    task = rows.as_task(rows.find(tx, request.task_id))
    context = TaskContext(
        task=ContextTask(**task.model_dump(include=set(ContextTask.model_fields))),
        dependencies=_dependencies(tx, task),
        messages=_messages(tx, task, request.max_chars) if tx.caller.holds("messages:read") else [],
        events=_events(tx, task) if tx.caller.holds("events:read") else [],
        locks=_locks(tx, task) if tx.caller.holds("locks:read") else [],
    )
    if len(context.model_dump_json()) <= request.max_chars:
        return context
    return rules.fit_context(context, request.max_chars)


def _dependencies(tx: Transaction, task: Task) -> list[ContextDependency]:
    params = {"ws": tx.workspace_id, "ids": task.dependencies}
    rows_by_id = {row.id: row for row in tx.execute(_DEPENDENCIES, params)} if task.dependencies else {}
    return [
        ContextDependency(**rows_by_id[task_id]._asdict() | {"result": rows_by_id[task_id].result or ""})
        for task_id in task.dependencies
    ]


def _messages(tx: Transaction, task: Task, max_chars: int) -> list[ContextMessage]:
    """The last messages that belong to the task or name its id, newest first."""
    count = limits.CONTEXT_ITEMS_MAX
    # No body is read further than it can be shown; its other fields take some hundred characters.
    chars_read = min(max_chars + count * 1_000, limits.MAX_CHARS_MAX)
    linked = list_messages(tx, ListMessages(task_id=task.id, limit=count, max_chars=chars_read))
    naming = list_messages(tx, ListMessages(text=task.id, limit=count, max_chars=chars_read))
    messages_by_id = {message.id: message for message in (*linked.items, *naming.items)}
    newest = sorted(messages_by_id.values(), key=lambda message: message.id, reverse=True)[:count]
    field_names = set(ContextMessage.model_fields)
    return [ContextMessage(**message.model_dump(include=field_names)) for message in newest]


def _events(tx: Transaction, task: Task) -> list[ContextEvent]:
    """The last events of the task, newest first; leases and messages stand in lists of their own."""
    list_request = ListEvents(task_id=task.id, newest=True, limit=limits.PAGE_ITEMS_MAX)
    events = [
        event
        for event in list_events(tx, list_request).items
        if event.type.partition(".")[0] not in _SHOWN_ELSEWHERE
    ][: limits.CONTEXT_ITEMS_MAX]
    actors = list({event.actor for event in events if event.actor is not None})
    name_rows = tx.execute(_NAMES, {"ws": tx.workspace_id, "ids": actors}) if actors else ()
    names = {row.id: row.name for row in name_rows}
    return [
        ContextEvent(
            seq=event.seq,
            type=event.type,
            agent_name=names.get(event.actor or ""),
            at=event.at,
            text=_event_text(event),
        )
        for event in events
    ]


_SHOWN_ELSEWHERE = ("lease", "lock", "message")


def _event_text(event: Event) -> str:
    """The reason or note of an event of the task itself; the data, as JSON, of an event that was posted."""
    if event.type not in EVENT_TYPES:
        return pydantic_core.to_json(event.data).decode()
    data: dict[str, Any] = event.data
    if event.type == "task.progressed":
        return str(data["task"]["note"])
    return str(data.get("reason") or data.get("why") or "")


def _locks(tx: Transaction, task: Task) -> list[ContextLock]:
    """The locks that others hold or wait for and that overlap with the task's scope."""
    scope_paths = [path for pattern in task.scope for path in resources.all_paths(pattern)]
    obstacles_by_key: dict[tuple[str, str, bool], LockObstacle] = {}
    agent_id = tx.caller.agent_id
    for obstacle in leasing.find_obstacles(tx, scope_paths, "exclusive", agent_id) if scope_paths else ():
        obstacles_by_key.setdefault((obstacle.resource, obstacle.holder, obstacle.waiting), obstacle)
    nearby_obstacles = sorted(
        obstacles_by_key.values(), key=lambda obstacle: (obstacle.waiting, obstacle.resource)
    )[: limits.CONTEXT_ITEMS_MAX]
    field_names = set(ContextLock.model_fields) - {"truncated"}
    return [ContextLock(**obstacle.model_dump(include=field_names)) for obstacle in nearby_obstacles]
