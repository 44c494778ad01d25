"""The messages, tasks and decisions that meetings and decisions concern."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from repomesh.domains.meetings.decisions import rows as decision_rows
from repomesh.domains.meetings.decisions.errors import DecisionNotFound, DecisionStatusConflict
from repomesh.domains.messaging.messages import rows as message_rows
from repomesh.domains.messaging.messages.errors import MessageNotFound
from repomesh.domains.messaging.messages.models import Message
from repomesh.domains.messaging.messages.tables import messages
from repomesh.domains.tasks import rows as task_rows
from repomesh.domains.tasks.errors import TaskNotFound
from repomesh.domains.tasks.models import Task
from repomesh.domains.tasks.tables import tasks
from repomesh.kernel.limits import MAX_CHARS_MAX
from repomesh.store.transaction import Transaction

REFUSALS = (MessageNotFound, TaskNotFound, DecisionNotFound, DecisionStatusConflict)
"""What `require` raises."""


def require(
    tx: Transaction, message_ids: Sequence[str], task_ids: Sequence[str], supersedes: str | None
) -> None:
    """Check that the messages and tasks exist, and that the decision to supersede is active.

    Raises MessageNotFound, TaskNotFound, DecisionNotFound or DecisionStatusConflict.
    """
    for message_id in message_ids:
        message_rows.find(tx, message_id)
    for task_id in task_ids:
        task_rows.find(tx, task_id)
    if supersedes is not None:
        decision_rows.find_active(tx, supersedes)


def messages_of(tx: Transaction, ids: Sequence[str]) -> list[Message]:
    """Those of the messages that the caller may see, in this order, within MAX_CHARS_MAX characters."""
    conditions = messages.c.workspace_id == tx.workspace_id, messages.c.id.in_(ids)
    rows = tx.execute(message_rows.selected().where(*conditions, message_rows.visible(tx.caller)))
    by_id = {row.id: message_rows.as_message(row._asdict()) for row in rows}
    return message_rows.read_on(
        tx, [by_id[message_id] for message_id in ids if message_id in by_id], MAX_CHARS_MAX
    )


def tasks_of(tx: Transaction, ids: Sequence[str]) -> list[Task]:
    """Those of the tasks that exist, in this order."""
    rows = tx.execute(select(tasks).where(tasks.c.workspace_id == tx.workspace_id, tasks.c.id.in_(ids)))
    by_id = {row.id: task_rows.as_task(row) for row in rows}
    return [by_id[task_id] for task_id in ids if task_id in by_id]
