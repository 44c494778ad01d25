"""Finds what an id stands for from its beginning or its end, as people type it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Table, case, func, or_, select, true

from repomesh.domains.agents.tables import agents
from repomesh.domains.changes.tables import changes
from repomesh.domains.meetings.decisions.tables import decisions
from repomesh.domains.meetings.tables import meetings
from repomesh.domains.messaging.messages import rows as message_rows
from repomesh.domains.messaging.messages.tables import messages
from repomesh.domains.messaging.questions import rows as question_rows
from repomesh.domains.messaging.questions.tables import questions
from repomesh.domains.messaging.reviews.tables import reviews
from repomesh.domains.overview.id_lookup.models import IDENTIFIED, FindIds, FoundId, FoundIds, Identified
from repomesh.domains.overview.task_context.rules import readable
from repomesh.domains.requests.lifecycle.tables import requests
from repomesh.domains.sessions.tables import memories
from repomesh.domains.tasks.tables import tasks
from repomesh.kernel import limits
from repomesh.kernel.operation import Get, query
from repomesh.store.transaction import Transaction

_MESSAGE: ColumnElement[str] = (
    messages.c.sender_name
    + ": "
    + func.substr(
        case((messages.c.subject != "", messages.c.subject), else_=messages.c.body), 1, limits.ID_TITLE_CHARS
    )
)

_TITLES: dict[Identified, tuple[Table, ColumnElement[str]]] = {
    "agent": (agents, agents.c.name),
    "task": (tasks, tasks.c.goal),
    "message": (messages, _MESSAGE),
    "question": (questions, questions.c.question),
    "review": (reviews, reviews.c.title),
    "change": (changes, changes.c.summary),
    "request": (requests, requests.c.title),
    "meeting": (meetings, meetings.c.topic),
    "decision": (decisions, decisions.c.topic),
    "memory": (memories, memories.c.key),
}
"""By kind, the table and the title by which its rows are shown."""


@query("id.find", http=Get("/v1/ids"), scope="sessions:read")
def find_ids(tx: Transaction, request: FindIds) -> FoundIds:
    """Find ids by their beginning or end, among the newest of each sort that the caller may see.

    Ids made within a millisecond share their beginning. Their last 8 characters differ, and the first few of
    these 8 are enough.
    """
    matches: list[FoundId] = []
    complete = True
    requested_kinds = [kind for kind in IDENTIFIED if not request.what or kind in request.what]
    for kind in readable(tx.caller, requested_kinds):
        items, is_whole = _find_matching(tx, kind, request.part)
        matches += items
        complete = complete and is_whole
    return FoundIds(
        items=matches[: limits.ID_MATCHES_MAX], complete=complete and len(matches) <= limits.ID_MATCHES_MAX
    )


def _find_matching(tx: Transaction, kind: Identified, part: str) -> tuple[list[FoundId], bool]:
    """The matches among the newest of a kind, one more than are answered, and whether all were searched."""
    table, title = _TITLES[kind]
    in_workspace = table.c.workspace_id == tx.workspace_id
    newest = select(table.c.id).where(in_workspace).order_by(table.c.id.desc()).limit(limits.ID_ROWS_MAX)
    oldest_seen = tx.execute(
        newest.offset(limits.ID_ROWS_MAX - 1).limit(1).with_only_columns(table.c.id)
    ).scalar_one_or_none()
    is_among_newest = true() if oldest_seen is None else table.c.id >= oldest_seen
    printed_end = func.substr(table.c.id, limits.ID_CHARS - limits.ID_END_CHARS + 1, len(part))
    matches = or_(
        table.c.id.startswith(part, autoescape=True),
        table.c.id.endswith(part, autoescape=True),
        printed_end == part,
    )
    statement = (
        select(table.c.id, title.label("title"))
        .where(in_workspace, is_among_newest, matches, _visible(tx, kind))
        .order_by(table.c.id.desc())
        .limit(limits.ID_MATCHES_MAX + 1)
    )
    rows: list[Any] = list(tx.execute(statement))
    items = [
        FoundId(what=kind, id=row.id, title=" ".join(row.title.split())[: limits.ID_TITLE_CHARS])
        for row in rows
    ]
    return items, oldest_seen is None


def _visible(tx: Transaction, kind: Identified) -> ColumnElement[bool]:
    if kind == "message":
        return message_rows.visible(tx.caller)
    if kind == "question":
        return question_rows.visible(tx.caller)
    return true()
