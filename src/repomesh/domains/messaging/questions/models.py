"""Models of questions that agents put to people."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from repomesh.domains.agents.models import AgentRef
from repomesh.kernel import limits
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.event_types import event_type
from repomesh.kernel.fields import Cursor, Label, PageLimit, Reason
from repomesh.kernel.ids import Id
from repomesh.kernel.limits import PAGE_ITEMS_DEFAULT
from repomesh.kernel.operation import Model, PartialResult

QuestionStatus = Literal["open", "answered", "defaulted", "expired", "withdrawn"]
"""Open until somebody answers, the default applies, nobody answered in time, or its asker gives it up."""

QuestionText = Annotated[
    str,
    StringConstraints(pattern=r"^[^\x00]*$", min_length=1, max_length=limits.QUESTION_CHARS_MAX),
]
"""Markdown, for a person."""

Option = Annotated[Label, StringConstraints(min_length=1)]


class Question(Model):
    """A question of an agent to a person, and its state; the agent's ticket."""

    id: Id
    status: QuestionStatus
    asker_id: Id
    asker_name: str
    asked_id: Id = Field(description="The person who is asked.")
    asked_name: str
    question: str
    options: list[str]
    default: str | None = Field(description="The answer that applies when nobody answers in time.")
    deadline_at: Timestamp | None = Field(
        description="When the time for an answer ends; null for no deadline."
    )
    escalate_to: str | None = Field(description="Who is also asked, at the deadline.")
    escalated_at: Timestamp | None = Field(
        description="When the question was escalated; the deadline is a new one then."
    )
    answer: str | None = Field(description="The answer, or the default that applied.")
    option: str | None = Field(description="The chosen option; null for an answer in other words.")
    answered_by: str | None
    message_id: Id = Field(description="The message that asks; the answer stands in its thread.")
    task_id: Id | None
    created_at: Timestamp
    closed_at: Timestamp | None


class AskQuestion(Model):
    """A question to a person. The answer comes as a message, in the thread of the question."""

    question: QuestionText = Field(description="Markdown; say what it is about.")
    options: Annotated[tuple[Option, ...], Field(max_length=limits.QUESTION_OPTIONS_MAX)] = Field(
        (), description="To choose from; other words are allowed."
    )
    default: Annotated[Reason, StringConstraints(min_length=1)] | None = Field(
        None, description="Applies if nobody answers in time."
    )
    deadline_s: float | None = Field(
        None, ge=1, le=limits.MESSAGE_TTL_S_MAX, description="Time for an answer."
    )
    to: AgentRef | None = Field(None, description="A person; else the one who was here last.")
    escalate_to: AgentRef | None = Field(None, description="Asked then, for as long again.")
    task_id: Id | None = Field(None, description="The task that it is about.")


class AnswerQuestion(Model):
    """An answer in free words, or one of the options, by its text or its number from 1 on."""

    question_id: Id
    answer: QuestionText


class ShowQuestion(Model):
    """One question."""

    question_id: Id


class WithdrawQuestion(Model):
    """The question to withdraw."""

    question_id: Id


class ListQuestions(Model):
    """The questions that the caller asked or was asked, newest first."""

    status: QuestionStatus | None = None
    asked: AgentRef | None = Field(None, description="Put to this agent, at first or at the deadline.")
    cursor: Cursor | None = None
    limit: PageLimit = PAGE_ITEMS_DEFAULT


class SettleQuestions(Model):
    """Escalate, default or expire the questions whose deadline has passed."""


class SettledQuestions(PartialResult):
    """The questions whose deadline had passed."""

    question_ids: list[Id]


class QuestionChanged(Model):
    """A question as it is now."""

    question: Question


QUESTION_ASKED = event_type("question.asked", QuestionChanged, "An agent asked people a question.")
QUESTION_ANSWERED = event_type("question.answered", QuestionChanged, "A person answered a question.")
QUESTION_DEFAULTED = event_type(
    "question.defaulted",
    QuestionChanged,
    "Nobody answered in time, and the question's default answer was taken.",
)
QUESTION_ESCALATED = event_type(
    "question.escalated", QuestionChanged, "Nobody answered in time, and more people are asked."
)
QUESTION_EXTENDED = event_type("question.extended", QuestionChanged, "The deadline of a question was moved.")
QUESTION_EXPIRED = event_type(
    "question.expired", QuestionChanged, "Nobody answered a question in time, and it has no default."
)
QUESTION_WITHDRAWN = event_type("question.withdrawn", QuestionChanged, "The agent withdrew its question.")
