"""Operations on tasks as such: create, list, show, change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, insert, select

from repomesh.domains.agents.errors import AgentNotFound, AgentRetired
from repomesh.domains.agents.operations import find_agent
from repomesh.domains.tasks import blocking, dependencies, holding, rows, rules
from repomesh.domains.tasks.brief import fit_detail, shorten
from repomesh.domains.tasks.errors import (
    DependenciesTooMany,
    DependencyCycle,
    DependencyNotFound,
    NotYourTask,
    TaskNotFound,
    TaskStatusConflict,
)
from repomesh.domains.tasks.models import (
    TASK_CREATED,
    TASK_UPDATED,
    CreateTask,
    ListedTask,
    ListTasks,
    ShowTask,
    Task,
    TaskDetail,
    UpdateTask,
)
from repomesh.domains.tasks.tables import READY, task_tags, tasks
from repomesh.kernel.errors import Stale
from repomesh.kernel.fields import Page
from repomesh.kernel.json_values import same_json
from repomesh.kernel.operation import Get, Patch, Post, Tool, command, query
from repomesh.kernel.preparation import on_worker_thread
from repomesh.kernel.prepared_words import is_long
from repomesh.kernel.words import distinct_words, words_of
from repomesh.store.listing import Listing, equals
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

DOCUMENT = "task"
"""The type under which goal and description are found by their words."""

_table = tasks.c
_ADD = PreparedStatement(insert(tasks))
_ADD_TAG = PreparedStatement(insert(task_tags))


@command(
    "task.create",
    http=Post("/v1/tasks", status=201),
    tool=Tool(
        "create_task",
        "Add a task for any agent to claim.",
        fields=("goal", "description", "type", "priority", "dependencies", "scope", "capabilities"),
    ),
    scope="tasks:write",
    errors=(AgentNotFound, AgentRetired, DependencyNotFound),
    prepare=on_worker_thread(
        lambda request, _store: _description_words(request), when=lambda request: is_long(request.description)
    ),
)
def create_task(tx: Transaction, request: CreateTask) -> Task:
    """Create a task. It can be claimed as soon as every task that it depends on is done.

    A task that depends on a failed or cancelled task is blocked from the start.
    """
    dependency_ids = list(dict.fromkeys(request.dependencies))
    assignee = None if request.agent is None else find_agent(tx, request.agent)
    if assignee is not None and assignee.status == "retired":
        raise AgentRetired(f"'{assignee.name}' is retired and can't claim it")
    row = {
        "id": tx.new_id(),
        "workspace_id": tx.workspace_id,
        "goal": request.goal,
        "description": request.description,
        "type": request.type,
        "rank": -request.priority,
        "status": "open",
        "dependencies": dependency_ids,
        "unmet": dependencies.count_unmet(tx, dependency_ids),
        "scope": list(dict.fromkeys(request.scope)),
        "tags": list(dict.fromkeys(request.tags)),
        "capabilities": list(dict.fromkeys(request.capabilities)),
        "review_required": request.review_required,
        "max_attempts": request.max_attempts,
        "attempts": 0,
        "agent_id": None,
        "agent_name": None,
        "fencing_token": None,
        "percent": None,
        "note": "",
        "result": None,
        "reason": "",
        "assignee_id": None if assignee is None else assignee.id,
        "assignee_name": None if assignee is None else assignee.name,
        "created_by": tx.caller.agent_id,
        "created_at": tx.now,
        "updated_at": tx.now,
        "version": 1,
    }
    tx.execute(_ADD, row)
    task = rows.as_task(row)
    dependencies.connect(tx, task.id, dependency_ids)
    _add_tags(tx, task)
    _index(tx, task, _description_words(request))
    rows.emit_changed(tx, TASK_CREATED, task)
    return blocking.block_if_never_ready(tx, task)


def _has_tag(tx: Transaction, tag: str) -> ColumnElement[bool]:
    link = task_tags.c
    return _table.id.in_(select(link.task_id).where(link.workspace_id == tx.workspace_id, link.tag == tag))


_NEWEST_FIRST = Listing(
    Page[ListedTask],
    lambda row: ListedTask(**rows.task_fields(row)),
    keys=(_table.id,),
    descending=True,
    filters={
        "status": equals(_table.status),
        "type": equals(_table.type),
        "agent": lambda tx, agent: _table.agent_id == find_agent(tx, agent).id,
        "tag": _has_tag,
        "ready": lambda _tx, ready: READY if ready else and_(_table.status == "open", _table.unmet > 0),
    },
    text="description",
    shorten=shorten,
    document=DOCUMENT,
)
_BEST_FIRST = replace(_NEWEST_FIRST, keys=(_table.rank, _table.id), descending=False)


@query(
    "task.list",
    http=Get("/v1/tasks"),
    tool=Tool(
        "list_tasks",
        "Tasks, newest first; ready=true: what can be claimed, best first.",
        fields=("ready", "status", "agent", "text", "cursor", "max_chars"),
        read_only=True,
    ),
    scope="tasks:read",
)
def list_tasks(tx: Transaction, request: ListTasks) -> Page[ListedTask]:
    """List tasks, newest first; with `ready` but without `text` in the order in which they are claimed."""
    listing = _BEST_FIRST if request.ready is True else _NEWEST_FIRST
    return listing.read(tx, select(tasks).where(_table.workspace_id == tx.workspace_id), request)


@query("task.show", http=Get("/v1/tasks/{task_id}"), scope="tasks:read", errors=(TaskNotFound,))
def show_task(tx: Transaction, request: ShowTask) -> TaskDetail:
    """Show a task with its unmet dependencies and the agents that held it."""
    row = rows.find(tx, request.task_id)
    detail = TaskDetail(
        **rows.task_fields(row),
        unmet_dependencies=rows.unmet_dependencies(tx, row.id),
        history=rows.history(tx, row.id),
    )
    return fit_detail(detail, request.max_chars)


@command(
    "task.update",
    http=Patch("/v1/tasks/{task_id}"),
    scope="tasks:write",
    errors=(
        Stale,
        TaskNotFound,
        TaskStatusConflict,
        NotYourTask,
        DependencyCycle,
        DependencyNotFound,
        DependenciesTooMany,
    ),
    prepare=on_worker_thread(
        lambda request, _store: _description_words(request),
        when=lambda request: is_long(request.description or ""),
    ),
)
def update_task(tx: Transaction, request: UpdateTask) -> Task:
    """Update a task that has not ended. With If-Match only that version is changed.

    A task that is claimed: only by its holder, its creator or the owner.
    New dependencies open a task that is blocked because one of the old ones failed or was cancelled.
    """
    row = rows.find(tx, request.task_id)
    tx.check_version(row.version)
    rules.require_allowed("update", row.id, row.status, row.reason)
    holding.require_change_allowed(tx, row)
    previous = rows.as_task(row)
    blocked_by_dependency = row.status == "blocked" and row.reason in blocking.reasons_to_block(tx, row.id)
    columns = _changed_columns(tx, request, previous)
    if not columns:
        return previous
    task = rows.change(tx, row, **columns)
    if "tags" in columns:
        tags_of_task = task_tags.c.workspace_id == tx.workspace_id, task_tags.c.task_id == task.id
        tx.execute(delete(task_tags).where(*tags_of_task))
        _add_tags(tx, task)
    if columns.keys() & {"goal", "description"}:
        tx.text_index.remove(tx.connection, tx.workspace_id, DOCUMENT, task.id)
        _index(
            tx,
            task,
            _description_words(request) if "description" in columns else distinct_words(task.description),
        )
    rows.emit_changed(tx, TASK_UPDATED, task)
    if "dependencies" in columns:
        reconsider = blocking.reblock_or_open if blocked_by_dependency else blocking.block_if_never_ready
        task = reconsider(tx, task)
    if task.ready and not previous.ready:
        rows.emit_ready(tx, task)
    return task


def _changed_columns(tx: Transaction, request: UpdateTask, previous: Task) -> dict[str, Any]:
    """The columns in which `request` differs from the task as it was."""
    columns: dict[str, Any] = {}
    for name, value in request.model_dump(exclude={"task_id"}, exclude_none=True).items():
        new_value = list(dict.fromkeys(value)) if isinstance(value, tuple) else value
        if not same_json(new_value, getattr(previous, name)):
            columns[name] = new_value
    if "priority" in columns:
        columns["rank"] = -columns.pop("priority")
    if "dependencies" in columns:
        columns["unmet"] = dependencies.reconnect(tx, previous.id, columns["dependencies"])
    return columns


def _add_tags(tx: Transaction, task: Task) -> None:
    if task.tags:
        link = {"workspace_id": tx.workspace_id, "task_id": task.id}
        tx.execute(_ADD_TAG, [link | {"tag": tag} for tag in task.tags])


def _description_words(request: CreateTask | UpdateTask) -> list[str]:
    return request.cached_words(lambda: distinct_words(request.description or ""))


def _index(tx: Transaction, task: Task, words: Sequence[str]) -> None:
    """Index a task by the words of its goal and `words`, those of its description."""
    tx.index_words(DOCUMENT, task.id, [*words_of(task.goal), *words])
