"""Operations on questions: ask, list, answer and withdraw them, and settle them at their deadlines."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import Row, func, insert, select, update

from repomesh.domains.agents.errors import AgentNotFound
from repomesh.domains.agents.models import Agent
from repomesh.domains.agents.operations import find_agent
from repomesh.domains.agents.people import first_person, newest_person
from repomesh.domains.agents.rules import PERSON
from repomesh.domains.messaging.messages.errors import RecipientRetired
from repomesh.domains.messaging.messages.models import SendMessage
from repomesh.domains.messaging.messages.sending import forward, send, system_notice
from repomesh.domains.messaging.questions import rows, rules
from repomesh.domains.messaging.questions.errors import (
    DeadlineMissing,
    NotAPerson,
    NotAsked,
    NotTheAsker,
    QuestionClosed,
    QuestionNotFound,
    TooManyQuestions,
)
from repomesh.domains.messaging.questions.models import (
    QUESTION_ASKED,
    QUESTION_DEFAULTED,
    QUESTION_ESCALATED,
    QUESTION_EXPIRED,
    QUESTION_EXTENDED,
    QUESTION_WITHDRAWN,
    AnswerQuestion,
    AskQuestion,
    ListQuestions,
    Question,
    SettledQuestions,
    SettleQuestions,
    ShowQuestion,
    WithdrawQuestion,
)
from repomesh.domains.messaging.questions.tables import OPEN, questions
from repomesh.domains.workspaces.server_downtime import Absence
from repomesh.kernel import limits
from repomesh.kernel.fields import Page
from repomesh.kernel.operation import Due, Get, Post, Tool, command, query
from repomesh.store.damage import apply_to_each, convert_readable
from repomesh.store.due import due_at
from repomesh.store.listing import Listing, equals
from repomesh.store.transaction import Transaction


@command(
    "question.ask",
    http=Post("/v1/questions", status=201),
    tool=Tool(
        "ask_human",
        "Ask a person. Answers a ticket at once; the answer comes as a message in its thread.",
        fields=("question", "options", "default", "deadline_s", "escalate_to"),
    ),
    scope="messages:write",
    errors=(AgentNotFound, NotAPerson, RecipientRetired, DeadlineMissing, TooManyQuestions),
    rate="messages",
    needs_agent=True,
)
def ask(tx: Transaction, request: AskQuestion) -> Question:
    """Ask a person as the acting agent. Returns a ticket at once; the answer comes as a message.

    At the deadline the question goes to `escalate_to` for the same time again, if that is named. After that
    the default applies, if there is one, and the asker is notified.
    """
    rules.require_deadline(request.deadline_s, request.default, request.escalate_to)
    _require_room(tx)
    person = _find_person(tx, request.to)
    escalation_agent = find_agent(tx, request.escalate_to) if request.escalate_to is not None else None
    if escalation_agent is not None and escalation_agent.status == "retired":
        raise RecipientRetired(f"out of service: {escalation_agent.name}", retired=[escalation_agent.name])
    deadline_at = None
    if request.deadline_s is not None:
        deadline_at = tx.now + timedelta(seconds=request.deadline_s)
    message = send(tx, _question_message(request, person, deadline_at, escalation_agent))
    row = {
        "workspace_id": tx.workspace_id,
        "id": tx.new_id(),
        "asker_id": tx.caller.acting_agent(),
        "asker_name": tx.caller.agent_name,
        "asked_id": person.id,
        "asked_name": person.name,
        "message_id": message.id,
        "question": request.question,
        "options": list(request.options),
        "default_answer": request.default,
        "deadline_s": request.deadline_s,
        "deadline_at": deadline_at,
        "escalate_to_id": escalation_agent.id if escalation_agent else None,
        "escalate_to_name": escalation_agent.name if escalation_agent else None,
        "escalated_at": None,
        "escalation_message_id": None,
        "task_id": request.task_id,
        "status": "open",
        "answer": None,
        "option": None,
        "answered_by": None,
        "created_at": tx.now,
        "closed_at": None,
    }
    tx.execute(insert(questions), row)
    return rows.emit_changed(tx, QUESTION_ASKED, row)


_LISTING = Listing(
    Page[Question],
    lambda row: rows.as_question(row._asdict()),
    keys=(questions.c.id,),
    descending=True,
    filters={
        "status": equals(questions.c.status),
        "asked": lambda tx, agent: rows.put_to(find_agent(tx, agent).id),
    },
)


@query("question.list", http=Get("/v1/questions"), scope="messages:read", errors=(AgentNotFound,))
def list_questions(tx: Transaction, request: ListQuestions) -> Page[Question]:
    """List the questions that the caller asked or was asked, newest first; for the owner, all."""
    readable = questions.c.workspace_id == tx.workspace_id, rows.visible(tx.caller)
    return _LISTING.read(tx, select(questions).where(*readable), request)


@query(
    "question.show",
    http=Get("/v1/questions/{question_id}"),
    scope="messages:read",
    errors=(QuestionNotFound,),
)
def show_question(tx: Transaction, request: ShowQuestion) -> Question:
    """Show one question that the caller asked or was asked."""
    return _as_question(rows.find(tx, request.question_id))


@command(
    "question.answer",
    http=Post("/v1/questions/{question_id}/answer"),
    scope="messages:write",
    errors=(QuestionNotFound, QuestionClosed, NotAsked),
    rate="messages",
    needs_agent=True,
)
def answer_question(tx: Transaction, request: AnswerQuestion) -> Question:
    """Answer a question that was put to the acting agent; its asker gets the answer as a message.

    A reply to the question's message does the same.
    """
    row = _find_open(tx, request.question_id)
    agent_id = tx.caller.acting_agent()
    if not rows.was_asked(row, agent_id):
        raise NotAsked("the acting agent asked this question itself")
    text, _ = rules.match_option(row.options, request.answer)
    parent_id = row.message_id if agent_id == row.asked_id else row.escalation_message_id
    send(tx, SendMessage(body=text, parent_message_id=parent_id))  # settles the question, as every reply does
    return _as_question(rows.find(tx, row.id))


@command(
    "question.withdraw",
    http=Post("/v1/questions/{question_id}/withdraw"),
    scope="messages:write",
    errors=(QuestionNotFound, QuestionClosed, NotTheAsker),
)
def withdraw_question(tx: Transaction, request: WithdrawQuestion) -> Question:
    """Withdraw a question: nobody needs to answer it any more."""
    row = _find_open(tx, request.question_id)
    caller = tx.caller
    if caller.agent_id not in (None, row.asker_id):
        raise NotTheAsker("the question was asked by another agent")
    return rows.change(tx, row, QUESTION_WITHDRAWN, status="withdrawn", closed_at=tx.now)


_DUE_ANYWHERE = due_at(questions.c.workspace_id, questions.c.deadline_at, OPEN)


@command("question.settle", scope="messages:admin", due=(Due(lambda _: _DUE_ANYWHERE),))
def settle_questions(tx: Transaction, request: SettleQuestions) -> SettledQuestions:
    """Escalate, answer with the default, or expire the open questions whose deadline has passed."""
    table = questions.c
    is_due = table.workspace_id == tx.workspace_id, OPEN, table.deadline_at <= tx.now
    statement = select(questions).where(*is_due).order_by(table.deadline_at, table.id)
    due_rows = tx.execute(statement.limit(limits.QUESTIONS_DUE_MAX + 1)).all()
    batch = due_rows[: limits.QUESTIONS_DUE_MAX]
    damaged = [row.id for row in apply_to_each(tx, batch, partial(_settle, tx), rows.name)]
    if damaged:  # else they would stay due for ever
        of_damaged = update(questions).where(table.workspace_id == tx.workspace_id, table.id.in_(damaged))
        tx.execute(of_damaged.values(deadline_at=None))
    complete = len(batch) == len(due_rows)
    return SettledQuestions(
        question_ids=[row.id for row in batch if row.id not in damaged], complete=complete
    )


def extend_deadlines(tx: Transaction, absence: Absence) -> None:
    """Move the deadlines of open questions by the time that the server was away: nobody could answer."""
    table = questions.c
    unanswered = table.status == "open", table.deadline_at > absence.left_at
    statement = select(questions).where(table.workspace_id == tx.workspace_id, *unanswered).order_by(table.id)

    def extend(row: Row[Any]) -> None:
        rows.change(tx, row, QUESTION_EXTENDED, deadline_at=row.deadline_at + absence.length)

    apply_to_each(tx, tx.execute(statement).all(), extend, rows.name)


def open_questions(tx: Transaction, agent_id: str, count: int) -> list[Question]:
    """The open questions that were put to an agent, the most urgent first."""
    table = questions.c
    put_to_agent = table.workspace_id == tx.workspace_id, table.status == "open", rows.put_to(agent_id)
    order = table.deadline_at.is_(None), table.deadline_at, table.id
    question_rows = tx.execute(select(questions).where(*put_to_agent).order_by(*order).limit(count))
    return convert_readable(tx, question_rows, _as_question, rows.name)


def _settle(tx: Transaction, row: Any) -> None:
    escalated = row.escalated_at is not None or not _is_in_service(tx, row.escalate_to_id)
    ending = rules.decide_ending(row.default_answer, row.escalate_to_name, escalated=escalated)
    if ending == "escalate":
        _escalate(tx, row)
        return
    subject, body = rules.unanswered_notice(row.question, row.default_answer)
    system_notice(
        tx,
        [row.asker_id],
        subject,
        body,
        tags=["answer"],
        related_message_id=row.message_id,
        task_id=row.task_id,
        thread_id=row.message_id,
    )
    if ending == "default":
        values = {"status": "defaulted", "answer": row.default_answer, "closed_at": tx.now}
        if row.default_answer in row.options:
            values["option"] = row.default_answer
        rows.change(tx, row, QUESTION_DEFAULTED, **values)
    else:
        rows.change(tx, row, QUESTION_EXPIRED, status="expired", closed_at=tx.now)


def _escalate(tx: Transaction, row: Any) -> None:
    """Forward a question in its asker's name, with a new deadline of the same length."""
    deadline_at = tx.now + timedelta(seconds=row.deadline_s)
    body = rules.body(row.question, row.options, deadline_at, row.default_answer, None)
    body = f"{row.asked_name} did not answer in time, so this is for you now.\n\n{body}"
    message = forward(
        tx,
        row.message_id,
        (row.escalate_to_id, row.escalate_to_name),
        body,
        (rows.TAG,),
    )
    rows.change(
        tx,
        row,
        QUESTION_ESCALATED,
        deadline_at=deadline_at,
        escalated_at=tx.now,
        escalation_message_id=message.id,
    )


def _question_message(
    request: AskQuestion, person: Agent, deadline_at: Any, escalation_agent: Agent | None
) -> SendMessage:
    escalate_to = escalation_agent.name if escalation_agent else None
    return SendMessage(
        to=(person.id,),
        subject=rules.subject(request.question),
        body=rules.body(request.question, request.options, deadline_at, request.default, escalate_to),
        tags=(rows.TAG,),
        priority="high",
        task_id=request.task_id,
    )


def _find_person(tx: Transaction, name: str | None) -> Agent:
    """The person to ask: the named one, else the one seen last, else a new one. Raises NotAPerson."""
    if name is None:
        return newest_person(tx) or first_person(tx)
    person = find_agent(tx, name)
    if person.type != PERSON:
        raise NotAPerson(f"to: '{person.name}' is of type '{person.type}'")
    return person


def _require_room(tx: Transaction) -> None:
    table = questions.c
    own_open = (
        table.workspace_id == tx.workspace_id,
        table.asker_id == tx.caller.acting_agent(),
        table.status == "open",
    )
    count = tx.execute(select(func.count()).select_from(questions).where(*own_open)).scalar_one()
    if count >= limits.QUESTIONS_OPEN_MAX:
        raise TooManyQuestions(f"{count} questions of the acting agent are open")


def _find_open(tx: Transaction, question_id: str) -> Any:
    row = rows.find(tx, question_id)
    if row.status != "open":
        raise QuestionClosed(f"the question is {row.status}", status=row.status)
    return row


def _is_in_service(tx: Transaction, agent_id: str | None) -> bool:
    return agent_id is not None and find_agent(tx, agent_id).status != "retired"


def _as_question(row: Row[Any]) -> Question:
    return rows.as_question(row._asdict())
