"""Reactions of requests to events of tasks, changes, questions and agents."""

from __future__ import annotations

from repomesh.domains.agents.models import AGENT_RENAMED, AgentRenamed
from repomesh.domains.changes.models import EVENT_OF_STATE as CHANGE_EVENTS
from repomesh.domains.changes.models import ChangeEventData
from repomesh.domains.messaging.questions.models import QUESTION_ASKED, QuestionChanged
from repomesh.domains.requests.lifecycle import flow, rows
from repomesh.domains.requests.lifecycle.rules import NOT_ENDED, RequestPlacement
from repomesh.domains.requests.lifecycle.tables import requests
from repomesh.domains.tasks.models import (
    TASK_BLOCKED,
    TASK_CANCELLED,
    TASK_COMPLETED,
    TASK_FAILED,
    TASK_RECLAIMED,
    TASK_REOPENED,
    TASK_UNBLOCKED,
    TaskChanged,
    TaskReclaimed,
)
from repomesh.kernel.reactions import EmittedEvent, on
from repomesh.store.copied_names import rename_copies
from repomesh.store.transaction import Transaction


@on(TASK_COMPLETED, TASK_FAILED, TASK_CANCELLED, TASK_BLOCKED, TASK_UNBLOCKED)
def follow_task(tx: Transaction, event: EmittedEvent[TaskChanged]) -> None:
    """Bring a request to where its tasks are: working, done or failed."""
    flow.follow_task(tx, event.data.task)


@on(TASK_REOPENED)
def follow_reopened_task(tx: Transaction, event: EmittedEvent[TaskChanged]) -> None:
    """Bring a request back to work, since what was done for a task did not land; a stopped one stays so."""
    flow.follow_reopened_task(tx, event.data.task)


@on(TASK_RECLAIMED)
def follow_reclaimed_task(tx: Transaction, event: EmittedEvent[TaskReclaimed]) -> None:
    """Bring a request to where its tasks are when one lost its holder, maybe for good."""
    flow.follow_task(tx, event.data.task)


@on(*(CHANGE_EVENTS[state] for state in ("landed", "rejected", "withdrawn", "superseded")))
def follow_change(tx: Transaction, event: EmittedEvent[ChangeEventData]) -> None:
    """End a request when the last change of its tasks has landed, or will not."""
    task_id = event.data.change.task_id
    link = None if task_id is None else rows.request_of_task(tx, task_id)
    if link is not None:
        flow.follow_work(tx, link[0])


@on(QUESTION_ASKED)
def note_question(tx: Transaction, event: EmittedEvent[QuestionChanged]) -> None:
    """Show that a request waits for a person: who writes its brief has asked."""
    question = event.data.question
    link = None if question.task_id is None else rows.request_of_task(tx, question.task_id)
    if link is not None and link[1] == "engineer" and link[0].state == "received":
        reason = f"{question.asker_name} asks {question.asked_name}"
        step = f"{question.asked_name} answers: 'repomesh inbox'"
        rows.move(tx, link[0], RequestPlacement("clarifying", reason, step, "person"))


@on(AGENT_RENAMED)
def rename_in_requests(tx: Transaction, event: EmittedEvent[AgentRenamed]) -> None:
    """Write an agent's new name into its requests that have not ended."""
    agent = event.data.agent
    row_is_open = requests.c.state.in_(NOT_ENDED)
    rename_copies(tx, requests, "requester", agent.id, agent.name, row_is_open)
