"""Rows of requests: find them, build the models from them, write them, and emit the events of that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, bindparam, func, insert, select, update

from repomesh.domains.agents.people import OWNER_NAME
from repomesh.domains.changes.tables import changes
from repomesh.domains.requests.lifecycle.errors import RequestNotFound
from repomesh.domains.requests.lifecycle.models import (
    EVENT_OF_STATE,
    REQUEST_EDITED,
    BriefVersion,
    ChangeOfRequest,
    DocumentType,
    PlanOfRequest,
    RequestDocument,
    RequestEditedData,
    RequestEventData,
    RequestSummary,
    TaskOfRequest,
)
from repomesh.domains.requests.lifecycle.rules import NOT_ENDED, RequestPlacement, Role
from repomesh.domains.requests.lifecycle.tables import request_documents, request_tasks, requests
from repomesh.domains.requests.planning.models import Plan
from repomesh.domains.tasks.tables import tasks
from repomesh.kernel.event_types import Severity
from repomesh.store.log import NewEvent
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

_table, _document, _task = requests.c, request_documents.c, request_tasks.c
_SUMMARY_FIELDS = frozenset(RequestSummary.model_fields) - {"stopped", "class_"}
SUMMARY = select(*(column for column in _table if column.name in {*_SUMMARY_FIELDS, "request_class"}))
"""Requests without their texts."""

_BY_ID = PreparedStatement(
    select(requests).where(_table.workspace_id == bindparam("ws"), _table.id == bindparam("request"))
)
_SEVERITIES: dict[str, Severity] = {"clarifying": "warning", "failed": "error"}
SERVER_NAME = "repomesh"
"""The author of what the server itself writes."""


def find(tx: Transaction, request_id: str) -> Row[Any]:
    """The row of a request; raises RequestNotFound."""
    row = tx.execute(_BY_ID, {"ws": tx.workspace_id, "request": request_id}).one_or_none()
    if row is None:
        raise RequestNotFound(f"there is no request {request_id}")
    return row


def as_summary(row: Row[Any]) -> RequestSummary:
    """The request in a row of `SUMMARY`, or in a whole one."""
    fields = row._asdict()
    known = {name: fields[name] for name in _SUMMARY_FIELDS}
    return RequestSummary(**known, class_=row.request_class, stopped=row.stopped_reason is not None)


def add(tx: Transaction, fields: dict[str, Any]) -> Row[Any]:
    """Write a new request; returns its row."""
    tx.execute(insert(requests), fields)
    return find(tx, fields["id"])


def write(tx: Transaction, request_id: str, **columns: Any) -> Row[Any]:
    """Write columns of a request and its new version; returns the row as it is now."""
    statement = (
        update(requests)
        .where(_table.workspace_id == tx.workspace_id, _table.id == request_id)
        .values(**columns, updated_at=tx.now, version=_table.version + 1)
    )
    tx.execute(statement)
    return find(tx, request_id)


def move(tx: Transaction, row: Row[Any], to: RequestPlacement, comment: str = "", **columns: Any) -> Row[Any]:
    """Write the state of a request and emit the event of it; nothing happens where it has it already."""
    target = {
        "state": to.state,
        "reason": to.reason,
        "next_step": to.next_step,
        "waits_for": to.waits_for,
    }
    if not columns and all(getattr(row, name) == value for name, value in target.items()):
        return row
    if to.state not in NOT_ENDED:
        columns |= {"ended_at": tx.now, "plan_due_at": None}
    moved = write(tx, row.id, **(columns | target))
    emit(tx, EVENT_OF_STATE[to.state], moved, comment)
    return moved


def emit(tx: Transaction, type_: str, row: Row[Any], comment: str = "") -> None:
    """Emit an event of a request as it is in `row`."""
    data = RequestEventData(request=as_summary(row), comment=comment)
    tx.emit(NewEvent(type_, f"request/{row.id}", data, severity=_SEVERITIES.get(row.state, "info")))


def emit_document(
    tx: Transaction, type_: str, row: Row[Any], document: RequestDocument, comment: str
) -> None:
    """Emit an event of a request with its present brief or plan."""
    fields = {"brief": document} if isinstance(document, BriefVersion) else {"plan": document}
    data = RequestEditedData(request=as_summary(row), comment=comment, **fields)
    tx.emit(NewEvent(type_, f"request/{row.id}", data))


def count_open(tx: Transaction) -> int:
    """How many requests have not ended."""
    statement = select(func.count()).select_from(requests)
    open_requests = _table.workspace_id == tx.workspace_id, _table.state.in_(NOT_ENDED)
    return int(tx.execute(statement.where(*open_requests)).scalar_one())


# Documents


def add_document(
    tx: Transaction, row: Row[Any], document: Any, risks: Sequence[str], comment: str = ""
) -> Row[Any]:
    """Write a new version of the brief or the plan of a request, and emit it; returns the request's row."""
    type_: DocumentType = "plan" if isinstance(document, Plan) else "brief"
    version = getattr(row, f"{type_}_version") + 1
    by_server = tx.caller.actor_id == "system"
    fields = {
        "workspace_id": tx.workspace_id,
        "request_id": row.id,
        "type": type_,
        "version": version,
        "document": document.model_dump(mode="json"),
        "risks": list(risks),
        "author_id": tx.caller.agent_id,
        "author_name": SERVER_NAME if by_server else (tx.caller.agent_name or OWNER_NAME),
        "approved_by": None,
        "approved_at": None,
        "at": tx.now,
    }
    tx.execute(insert(request_documents), fields)
    # Any new document ends the server's own planning, which was of the brief before it.
    columns: dict[str, Any] = {f"{type_}_version": version, "plan_due_at": None}
    if type_ == "plan":
        columns |= {"violations": [], "rounds": 0}
    changed = write(tx, row.id, **columns)
    written = present_document(tx, changed, type_)
    assert written is not None
    emit_document(tx, REQUEST_EDITED, changed, written, comment)
    return changed


def present_document(tx: Transaction, row: Row[Any], type_: DocumentType) -> RequestDocument | None:
    """The newest version of the brief or the plan of a request; None without one."""
    version = getattr(row, f"{type_}_version")
    statement = select(request_documents).where(*_of_version(tx, row.id, type_, version))
    stored = tx.execute(statement).one_or_none()
    if stored is None:
        return None
    fields = stored._asdict()
    for name in ("workspace_id", "request_id"):
        del fields[name]
    model = BriefVersion if type_ == "brief" else PlanOfRequest
    return model.model_validate(fields)


def approve_document(tx: Transaction, row: Row[Any], type_: DocumentType, by: str) -> None:
    """Write down who approved the present version."""
    version = getattr(row, f"{type_}_version")
    statement = update(request_documents).where(*_of_version(tx, row.id, type_, version))
    tx.execute(statement.values(approved_by=by, approved_at=tx.now))


def _of_version(tx: Transaction, request_id: str, type_: DocumentType, version: int) -> tuple[Any, ...]:
    return (
        _document.workspace_id == tx.workspace_id,
        _document.request_id == request_id,
        _document.type == type_,
        _document.version == version,
    )


# Tasks and changes


def link_task(
    tx: Transaction, request_id: str, task_id: str, key: str, role: Role = "developer", position: int = 0
) -> None:
    """Note that a task of the board belongs to a request."""
    fields = {"workspace_id": tx.workspace_id, "task_id": task_id, "request_id": request_id}
    tx.execute(insert(request_tasks), fields | {"key": key, "role": role, "position": position})


def request_of_task(tx: Transaction, task_id: str) -> tuple[Row[Any], Role] | None:
    """The request that a task belongs to, and the role for which it was made; None for other tasks."""
    statement = select(_task.request_id, _task.role).where(
        _task.workspace_id == tx.workspace_id, _task.task_id == task_id
    )
    link = tx.execute(statement).one_or_none()
    return None if link is None else (find(tx, link.request_id), link.role)


def tasks_of(tx: Transaction, request_id: str, role: Role = "developer") -> Sequence[Row[Any]]:
    """The tasks of a request made for a role, in the order of the plan: whole rows with their `key`."""
    statement = (
        select(tasks, _task.key.label("plan_key"))
        .join(request_tasks, (_task.task_id == tasks.c.id) & (_task.workspace_id == tasks.c.workspace_id))
        .where(_task.workspace_id == tx.workspace_id, _task.request_id == request_id, _task.role == role)
        .order_by(_task.position, _task.task_id)
    )
    return tx.execute(statement).all()


def as_task(row: Row[Any]) -> TaskOfRequest:
    """The task in a row of `tasks_of`."""
    return TaskOfRequest(
        key=row.plan_key,
        task_id=row.id,
        goal=row.goal,
        status=row.status,
        agent_name=row.agent_name,
        reason=row.reason,
    )


def changes_of(tx: Transaction, request_id: str) -> list[ChangeOfRequest]:
    """The changes that were submitted for the tasks of a request, oldest first."""
    change = changes.c
    statement = (
        select(
            change.id,
            _task.key.label("task_key"),
            change.summary,
            change.state,
            change.author_name,
            change.landed_commit,
        )
        .join(request_tasks, (_task.task_id == change.task_id) & (_task.workspace_id == change.workspace_id))
        .where(
            _task.workspace_id == tx.workspace_id,
            _task.request_id == request_id,
            _task.role == "developer",
        )
        .order_by(change.id)
    )
    return [ChangeOfRequest(**row._asdict()) for row in tx.execute(statement)]
