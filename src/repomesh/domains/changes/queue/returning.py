"""Gives a change back to its author, with what is needed to repair it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row, select

from repomesh.domains.changes import rows
from repomesh.domains.changes.models import FileConflict
from repomesh.domains.changes.queue import notices
from repomesh.domains.changes.tables import changes
from repomesh.domains.tasks import reopening
from repomesh.domains.tasks.errors import TaskNotFound
from repomesh.domains.tasks.tables import tasks
from repomesh.kernel import limits
from repomesh.store.transaction import Transaction

_table = changes.c
_FILES_NAMED = 10


def give_back(tx: Transaction, row: Row[Any], conflicts: Sequence[FileConflict] = ()) -> None:
    """Ask the author to repair a change, and open its task again. The change keeps the message's thread.

    The message names the files in conflict, the landed changes that touched them with their tasks, and the
    commands that build the conflict in the author's work tree.
    """
    paragraphs = [
        f"Change {row.id} ('{row.summary}') was returned: {row.reason}",
        f"Next: {row.next_step}.",
    ]
    if conflicts:
        paragraphs += _describe_conflicts(tx, row, [conflict.path for conflict in conflicts])
    if _reopen_task(tx, row):
        paragraphs.append(
            f"Its task {row.task_id} is open for you again: claim it, and submit the repaired change with "
            f"the new fencing token."
        )
    notice_id = notices.request_repair(tx, row, paragraphs)
    if notice_id is not None and row.notice_id is None:
        rows.note(tx, row.id, notice_id=notice_id)


def _reopen_task(tx: Transaction, row: Row[Any]) -> bool:
    """Open the change's task again where its author has completed it; returns whether that was so."""
    if row.task_id is None or row.author_id is None:
        return False
    reason = f"change {row.id} did not land: {row.reason}"[: limits.REASON_CHARS_MAX]
    try:
        return reopening.reopen(tx, row.task_id, row.author_id, reason) is not None
    except TaskNotFound:  # of a workspace that was imported without its tasks
        return False


def _describe_conflicts(tx: Transaction, row: Row[Any], paths: Sequence[str]) -> list[str]:
    others = "\n".join(
        f"- '{other.summary}' of {other.author_name}"
        + (f", for the task '{other.goal}'" if other.goal else "")
        for other in _landed_on(tx, row, paths)
    )
    return [
        f"Conflicts in: {', '.join(paths[:_FILES_NAMED])}. `repomesh change show {row.id}` has the base and "
        "both sides of each.",
        *([f"What landed there since:\n{others}"] if others else []),
        f"Build the conflict in your work tree with `git merge {row.target}`, resolve it, commit, and submit "
        f"again: `repomesh change submit --replaces {row.id}`.",
    ]


def _landed_on(tx: Transaction, row: Row[Any], paths: Collection[str]) -> list[Row[Any]]:
    """The last changes that landed on any of `paths` since this one was submitted."""
    statement = (
        select(_table.summary, _table.author_name, _table.files, tasks.c.goal)
        .outerjoin(tasks, (tasks.c.workspace_id == _table.workspace_id) & (tasks.c.id == _table.task_id))
        .where(
            _table.workspace_id == tx.workspace_id,
            _table.target == row.target,
            _table.landed_at >= row.created_at,
            _table.id != row.id,
            _table.file_count <= limits.CONFLICT_OTHER_FILES_MAX,
        )
        .order_by(_table.landed_at.desc(), _table.id.desc())
        .limit(limits.CONFLICT_OTHERS_MAX)
    )
    touching = [
        other
        for other in tx.execute(statement)
        if not {file["path"] for file in other.files}.isdisjoint(paths)
    ]
    return touching[:_FILES_NAMED]
