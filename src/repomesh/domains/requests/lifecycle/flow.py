"""Moves requests on: from one document to the next, and from the plan to the tasks on the board."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from repomesh.domains.changes.queue.notices import notify_people
from repomesh.domains.requests.lifecycle import role_tasks, rows, rules, work
from repomesh.domains.requests.lifecycle.errors import RequestStopped
from repomesh.domains.requests.lifecycle.models import (
    EVENT_OF_STATE,
    Brief,
    BriefVersion,
    DocumentType,
    PlanOfRequest,
    RequestState,
)
from repomesh.domains.requests.lifecycle.rules import RequestPlacement, Role
from repomesh.domains.requests.planning.models import Plan
from repomesh.domains.tasks.models import Task
from repomesh.kernel import limits
from repomesh.store.transaction import Transaction

_ROLE_STATES: dict[Role, tuple[str, ...]] = {
    "engineer": ("received", "clarifying"),
    "orchestrator": ("planning",),
}
_APPROVE = "a person approves it: 'repomesh request approve {}'"


def begin(tx: Transaction, row: Row[Any]) -> Row[Any]:
    """Have the brief of a new request written, or make one of its text where no role writes it."""
    if role_tasks.role_of(row, "engineer") is None:
        rows.emit(tx, EVENT_OF_STATE["received"], row)
        return accept_brief(tx, row, rules.default_brief(row.text, row.files))
    author = role_tasks.assign(tx, row, "engineer")
    return rows.move(tx, row, _written_by("received", "brief", author))


def accept_brief(tx: Transaction, row: Row[Any], brief: Brief, comment: str = "") -> Row[Any]:
    """Write a brief; the request goes on to its plan unless a person must approve the brief first."""
    risks = rules.brief_risks(brief)
    row = rows.add_document(tx, row, brief, risks, comment)
    role_tasks.end_role_task(tx, row, "engineer", "the brief is written")
    role_tasks.end_role_task(tx, row, "orchestrator", "there is a new brief")
    if brief.open_questions:
        count = len(brief.open_questions)
        step = f"a person edits or approves the brief: 'repomesh request show {row.id}'"
        row = rows.move(
            tx, row, RequestPlacement("clarifying", f"the brief asks {count} question(s)", step, "person")
        )
        _ask_people(tx, row, "brief", risks)
        return row
    if rules.needs_approval(row.approval, risks):
        placement = RequestPlacement(
            "briefed", "the brief waits for an approval", _APPROVE.format(row.id), "person"
        )
        row = rows.move(tx, row, placement)
        _ask_people(tx, row, "brief", risks)
        return row
    if row.state != "briefed":
        row = rows.move(tx, row, RequestPlacement("briefed", "the brief needs no approval"))
    return begin_planning(tx, row)


def begin_planning(tx: Transaction, row: Row[Any]) -> Row[Any]:
    """Have the plan made: by who has the role, or by the server itself."""
    if role_tasks.role_of(row, "orchestrator") is not None:
        author = role_tasks.assign(tx, row, "orchestrator")
        return rows.move(tx, row, _written_by("planning", "plan", author))
    brief = rows.present_document(tx, row, "brief")
    if isinstance(brief, BriefVersion) and brief.document.files:
        placement = RequestPlacement(
            "planning", "the server divides its files among tasks", "the server does so by itself", "server"
        )
        return rows.move(tx, row, placement, plan_due_at=tx.now)
    return ask_for_plan(tx, row, "the brief names no files to divide among tasks")


def ask_for_plan(tx: Transaction, row: Row[Any], reason: str) -> Row[Any]:
    """Have people make the plan that the server, or the role, can't make."""
    step = (
        f"a person names 'files' in the brief, or sends a plan: 'repomesh request edit {row.id} --plan FILE'"
    )
    row = rows.move(tx, row, RequestPlacement("planning", reason, step, "person"), plan_due_at=None)
    notify_people(tx, f"Plan needed: {row.title}", f"Request {row.id}: {reason}.\n\nNext: {step}.")
    return row


def accept_plan(tx: Transaction, row: Row[Any], plan: Plan, risks: list[str], comment: str = "") -> Row[Any]:
    """Write a plan that breaks no rule; its tasks are made unless a person must approve it first."""
    row = rows.add_document(tx, row, plan, risks, comment)
    role_tasks.end_role_task(tx, row, "orchestrator", "the plan is made")
    share = f"{len(plan.tasks)} task(s), {plan.independence:.0%} of them independent"
    if rules.needs_approval(row.approval, risks):
        placement = RequestPlacement(
            "planned", f"the plan waits for an approval: {share}", _APPROVE.format(row.id), "person"
        )
        row = rows.move(tx, row, placement)
        _ask_people(tx, row, "plan", risks)
        return row
    if row.state != "planned":
        row = rows.move(tx, row, RequestPlacement("planned", f"the plan needs no approval: {share}"))
    return begin_work(tx, row)


def begin_work(tx: Transaction, row: Row[Any]) -> Row[Any]:
    """Put the tasks of the present plan on the board."""
    plan = rows.present_document(tx, row, "plan")
    brief = rows.present_document(tx, row, "brief")
    assert isinstance(plan, PlanOfRequest), "a request is planned by its plan"
    assert isinstance(brief, BriefVersion), "and planned after its brief"
    work.create_tasks(tx, row, brief.document, plan.document)
    row = rows.move(tx, row, rules.place_work(work.facts_of(tx, row.id)))
    return work.block_tasks(tx, row) if row.stopped_reason is not None else row


def _written_by(state: RequestState, document: DocumentType, author: role_tasks.Assignee) -> RequestPlacement:
    reason, step = f"its {document} is written by {author.name}", f"{author.name} sends the {document}"
    return RequestPlacement(state, reason, step, author.waits_for)


def _ask_people(tx: Transaction, row: Row[Any], document: str, risks: list[str]) -> None:
    why = "; ".join(risks) or f"the request asks for an approval of its {document}"
    body = (
        f"The {document} of request {row.id} ('{row.title}') of {row.requester_name} needs an approval: "
        f"{why}.\n\n"
        f"Look at it: `repomesh request show {row.id}`.\n"
        f"Go on: `repomesh request approve {row.id}`.\n"
        f"Change it: `repomesh request edit {row.id} --{document} FILE`.\n"
        f"Stop it for good: `repomesh request cancel {row.id} --reason WHY`."
    )
    notify_people(tx, f"Approve the {document}: {row.title}", body)


def follow_task(tx: Transaction, task: Task) -> None:
    """Bring the request of a task to where it belongs now; nothing for a task of no request.

    Raises RequestStopped for a task that is open now though its request is stopped.
    """
    link = rows.request_of_task(tx, task.id)
    if link is None:
        return
    row, role = link
    if row.stopped_reason is not None and task.status == "open":
        raise RequestStopped(
            f"task {task.id} is of request {row.id}, which {row.stopped_by} stopped: {row.stopped_reason}"
        )
    if role == "developer":
        follow_work(tx, row)
    elif task.status in ("failed", "cancelled") and row.state in _ROLE_STATES[role]:
        document = "brief" if role == "engineer" else "plan"
        reason = f"the task to write its {document} {task.status}: {task.reason}"[: limits.REASON_CHARS_MAX]
        step = f"a person writes it: 'repomesh request edit {row.id} --{document} FILE'"
        rows.move(tx, row, RequestPlacement(row.state, reason, step, "person"))
        notify_people(
            tx, f"Write the {document}: {row.title}", f"Request {row.id}: {reason}.\n\nNext: {step}."
        )


def follow_reopened_task(tx: Transaction, task: Task) -> None:
    """Bring the request of a completed task that is open again to where it belongs now.

    The tasks of a stopped request are blocked, this one as well.
    """
    link = rows.request_of_task(tx, task.id)
    if link is not None:
        if link[0].stopped_reason is not None:
            work.block_tasks(tx, link[0])
        follow_work(tx, link[0])


def follow_work(tx: Transaction, row: Row[Any]) -> Row[Any]:
    """Bring a request that is being worked on to where its tasks and changes are; returns its row."""
    row = rows.find(tx, row.id)
    if row.state != "working":
        return row
    moved = rows.move(tx, row, rules.place_work(work.facts_of(tx, row.id)))
    if moved.state == "failed":
        notify_people(tx, f"Request failed: {row.title}", f"Request {row.id}: {moved.reason}.")
    return moved
