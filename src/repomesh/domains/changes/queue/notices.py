"""Messages of the queue to the author of a change, and to people who decide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, bindparam, select

from repomesh.domains.agents.rules import PERSON
from repomesh.domains.agents.tables import agents
from repomesh.domains.messaging.messages.sending import system_notice
from repomesh.kernel import limits
from repomesh.kernel.budget import cut
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

_TAGS = ("merge-queue",)
_IN_SERVICE = PreparedStatement(
    select(agents.c.id).where(agents.c.id == bindparam("author"), agents.c.status != "retired")
)


def request_repair(tx: Transaction, row: Row[Any], paragraphs: Sequence[str]) -> str | None:
    """Ask the author to repair a change that went back; returns the message's id, None without an author."""
    return _send(tx, row, f"Change returned: {row.summary}", "\n\n".join(paragraphs), ack_required=True)


def request_approval(tx: Transaction, row: Row[Any], lacking: str, *, overdue: bool = False) -> None:
    """Ask the people of the workspace to decide about a change: what it risks, and what each answer does."""
    risks = "; ".join(row.risk_reasons) or "no rule names one"
    body = (
        f"Change {row.id} ('{row.summary}') of {row.author_name} needs {lacking} before it lands on "
        f"{row.target}.\n\nRisk: {row.risk_level} ({risks}). It changes {row.file_count} file(s), "
        f"+{row.lines_added} -{row.lines_deleted} lines.\n\n"
        f"Look at it: `repomesh change diff {row.id}`.\n"
        f"Let it land: `repomesh change approve {row.id}`; that counts for this patch only.\n"
        f"Stop it, its branch is kept: `repomesh change reject {row.id} --comment WHY`."
    )
    subject = "Approval is overdue" if overdue else "Approval needed"
    notify_people(tx, f"{subject}: {row.summary}", body)


def notify_rejected(tx: Transaction, row: Row[Any]) -> None:
    """Tell the author that a change was rejected."""
    _send(tx, row, f"Change rejected: {row.summary}", f"Change {row.id} ('{row.summary}'): {row.reason}.")


def notify_landed(tx: Transaction, row: Row[Any]) -> None:
    """Tell the author that a change landed."""
    body = f"Change {row.id} ('{row.summary}') is on {row.target} as {row.landed_commit}."
    _send(tx, row, f"Change landed: {row.summary}", body)


def notify_people(tx: Transaction, subject: str, body: str) -> None:
    """Send a notice to acknowledge to the people of the workspace."""
    people = _people(tx)
    if people:
        system_notice(tx, people, _line(subject), body, tags=_TAGS, ack_required=True)


def _people(tx: Transaction) -> list[str]:
    table = agents.c
    statement = (
        select(table.id)
        .where(table.workspace_id == tx.workspace_id, table.type == PERSON, table.status != "retired")
        .order_by(table.id)
        .limit(limits.QUEUE_PEOPLE_MAX)
    )
    return list(tx.execute(statement).scalars())


def _send(
    tx: Transaction, row: Row[Any], subject: str, body: str, *, ack_required: bool = False
) -> str | None:
    if row.author_id is None or tx.execute(_IN_SERVICE, {"author": row.author_id}).first() is None:
        return None
    message = system_notice(
        tx,
        [row.author_id],
        _line(subject),
        cut(body, limits.TEXT_CHARS_MAX),
        tags=_TAGS,
        task_id=row.task_id,
        thread_id=row.notice_id,
        ack_required=ack_required,
    )
    return message.id


def _line(subject: str) -> str:
    return " ".join(subject.split())[: limits.LABEL_CHARS_MAX]
