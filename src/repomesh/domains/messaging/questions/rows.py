"""Rows of questions: find and change them, and emit their events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, false, or_, select, true, update

from repomesh.domains.messaging.questions import rules
from repomesh.domains.messaging.questions.errors import QuestionNotFound
from repomesh.domains.messaging.questions.models import QUESTION_ANSWERED, Question, QuestionChanged
from repomesh.domains.messaging.questions.tables import questions
from repomesh.kernel.identity import Caller
from repomesh.store.log import Audience, NewEvent
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

TAG = "question"
"""The tag of the messages that ask."""

_FIELD_NAMES = {"default_answer": "default", "escalate_to_name": "escalate_to"}
_HIDDEN = frozenset({"workspace_id", "deadline_s", "escalate_to_id", "escalation_message_id"})
_FIELDS = [(c.name, _FIELD_NAMES.get(c.name, c.name)) for c in questions.c if c.name not in _HIDDEN]

_BY_ID = select(questions).where(
    questions.c.workspace_id == bindparam("ws"), questions.c.id == bindparam("question")
)
_OF_THREAD = PreparedStatement(
    select(questions).where(
        questions.c.workspace_id == bindparam("ws"), questions.c.message_id == bindparam("thread")
    )
)


def put_to(agent_id: str) -> ColumnElement[bool]:
    """The condition under which a question was put to an agent: at first, or at its deadline."""
    table = questions.c
    return or_(
        table.asked_id == agent_id, and_(table.escalate_to_id == agent_id, table.escalated_at.is_not(None))
    )


def visible(caller: Caller) -> ColumnElement[bool]:
    """The condition under which a question is one that `caller` may see.

    Those are its own and those put to it; for the owner acting as nobody, all.
    """
    agent_id = caller.agent_id
    if agent_id is None:
        return true() if caller.is_admin else false()
    return or_(questions.c.asker_id == agent_id, put_to(agent_id))


def find(tx: Transaction, question_id: str) -> Any:
    """The row of a question; raises QuestionNotFound unless the caller may see it."""
    key = {"ws": tx.workspace_id, "question": question_id}
    row = tx.execute(_BY_ID.where(visible(tx.caller)), key).one_or_none()
    if row is None:
        raise QuestionNotFound(f"there is no question {question_id}")
    return row


def as_question(row: Mapping[str, Any]) -> Question:
    """The question in a row."""
    return Question(**{name: row[column] for column, name in _FIELDS})


def change(tx: Transaction, row: Any, type_: str, **values: Any) -> Question:
    """Update a question and emit `type_` to the agents involved; returns the changed question."""
    of_question = questions.c.workspace_id == tx.workspace_id, questions.c.id == row.id
    tx.execute(update(questions).where(*of_question).values(**values))
    return emit_changed(tx, type_, row._asdict() | values)


def emit_changed(tx: Transaction, type_: str, row: Mapping[str, Any]) -> Question:
    """Emit an event of `type_` to the asker and to the agents asked; returns the question."""
    question = as_question(row)
    involved = [row["asker_id"], row["asked_id"]]
    if row["escalated_at"] is not None:
        involved.append(row["escalate_to_id"])
    tx.emit(
        NewEvent(
            type_,
            f"question/{question.id}",
            QuestionChanged(question=question),
            Audience("agents", tuple(dict.fromkeys(involved))),
            task_id=question.task_id,
            recipient_id=involved[-1] if question.status == "open" else question.asker_id,
            correlation_id=question.message_id,
        )
    )
    return question


def was_asked(row: Any, agent_id: str | None) -> bool:
    """Whether a question was put to an agent."""
    escalated = row.escalated_at is not None and row.escalate_to_id == agent_id
    return agent_id is not None and (row.asked_id == agent_id or escalated)


def settle(tx: Transaction, parent: Any, body: str) -> None:
    """Take the acting agent's reply to the message `parent` as the answer, if that asks it a question."""
    if TAG not in parent.tags:
        return
    row = tx.execute(_OF_THREAD, {"ws": tx.workspace_id, "thread": parent.thread_id}).first()
    if row is None or row.status != "open" or not was_asked(row, tx.caller.agent_id):
        return
    if parent.id not in (row.message_id, row.escalation_message_id):
        return  # a reply to another message of the thread
    answer, option = rules.match_option(row.options, body)
    change(
        tx,
        row,
        QUESTION_ANSWERED,
        status="answered",
        answer=answer,
        option=option,
        answered_by=tx.caller.agent_name,
        closed_at=tx.now,
    )


def name(row: Any) -> str:
    """The name of a question in reports of damaged records."""
    return f"question/{row.id}"
