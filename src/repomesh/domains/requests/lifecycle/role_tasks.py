"""Hands the brief and the plan of a request to who is to write them: an agent, or people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from repomesh.domains.agents.errors import AgentNotFound
from repomesh.domains.agents.operations import find_agent
from repomesh.domains.agents.people import newest_person
from repomesh.domains.changes.configuration import RoleSection, RolesSection
from repomesh.domains.changes.queue.notices import notify_people
from repomesh.domains.messaging.messages.sending import system_notice
from repomesh.domains.requests.lifecycle import rows
from repomesh.domains.requests.lifecycle.models import RequestWaitsFor
from repomesh.domains.requests.lifecycle.rules import Role
from repomesh.domains.tasks.finishing import cancel
from repomesh.domains.tasks.models import CancelTask, CreateTask
from repomesh.domains.tasks.operations import create_task
from repomesh.kernel import limits
from repomesh.store.transaction import Transaction

_DOCUMENTS = {"engineer": "brief", "orchestrator": "plan"}
_TAGS = ("request",)


def role_of(row: Row[Any], role: Role) -> RoleSection | None:
    """Who has a role, as repomesh.toml said when the request arrived; None for nobody."""
    section: RoleSection | None = getattr(RolesSection.model_validate(row.roles), role)
    return section


@dataclass(frozen=True, slots=True)
class Assignee:
    """Who is to write a document, in words, and as what a request says that it waits for."""

    name: str
    waits_for: RequestWaitsFor


def assign(tx: Transaction, row: Row[Any], role: Role) -> Assignee:
    """Ask who has a role for its document: by a task, or people by a notice."""
    section = role_of(row, role)
    document = _DOCUMENTS[role]
    if section is None or section.person or (section.agent and not _is_in_service(tx, section.agent)):
        absent = f"{section.agent} is not there. " if section is not None and section.agent else ""
        body = (
            f"{absent}Request {row.id} ('{row.title}') needs a {document}.\n\n"
            f"Look at it: `repomesh request show {row.id}`.\n"
            f"Write it: `repomesh request edit {row.id} --{document} FILE`, a JSON document as at "
            f"/v1/schemas/{document}.v1.json."
        )
        notify_people(tx, f"Write the {document}: {row.title}", body)
        return Assignee("a person", "person")
    goal = f"Write the {document}: {row.title}"[: limits.LABEL_CHARS_MAX]
    task = create_task(
        tx,
        CreateTask(
            goal=goal,
            description=_describe(row, role, section),
            type="planning",
            priority=row.priority,
            tags=_TAGS,
            capabilities=(section.capability,) if section.capability else (),
            agent=section.agent,
        ),
    )
    rows.link_task(tx, row.id, task.id, document, role)
    if task.assignee_id is not None:
        system_notice(tx, [task.assignee_id], goal, f"Claim task {task.id}.", tags=_TAGS, task_id=task.id)
    return Assignee(section.agent or f"an agent that can do '{section.capability}'", "role")


def find_developer(tx: Transaction, row: Row[Any]) -> tuple[str | None, str | None]:
    """Who does the tasks of a request: the name of an agent, or a capability; neither means any agent.

    An agent that is not there leaves the tasks to any, so that they don't wait for it in vain.
    """
    section = role_of(row, "developer")
    if section is None:
        return None, None
    if section.person:
        person = newest_person(tx)
        return (None if person is None else person.name), None
    agent = section.agent if section.agent and _is_in_service(tx, section.agent) else None
    return agent, section.capability


def end_role_task(tx: Transaction, row: Row[Any], role: Role, reason: str) -> None:
    """Cancel the task by which a document was asked for, unless somebody holds it or it has ended."""
    for task in rows.tasks_of(tx, row.id, role):
        if task.status in ("open", "blocked"):
            cancel(tx, CancelTask(task_id=task.id, reason=reason))


def has_role(tx: Transaction, row: Row[Any], role: Role) -> bool:
    """Whether the acting agent holds the task of a role, or is the agent that it is assigned to."""
    agent_id = tx.caller.agent_id
    return agent_id is not None and any(
        agent_id in (task.assignee_id, task.agent_id) for task in rows.tasks_of(tx, row.id, role)
    )


def _is_in_service(tx: Transaction, name: str) -> bool:
    try:
        return find_agent(tx, name).status != "retired"
    except AgentNotFound:
        return False


def _describe(row: Row[Any], role: Role, section: RoleSection) -> str:
    document = _DOCUMENTS[role]
    lines = [
        f"Request {row.id} is a {row.request_class}. Read it with GET /v1/requests/{row.id} or "
        f"`repomesh request show {row.id}`.",
        f"Send the {document} as POST /v1/requests/{row.id}/edit or "
        f"`repomesh request edit {row.id} --{document} FILE`; its schema is /v1/schemas/{document}.v1.json.",
        "Ask a person with ask_human and this task's id where the request leaves something open. "
        "Then finish this task.",
    ]
    if section.instructions is not None:
        lines.append(f"Instructions of this repository: {section.instructions}.")
    return "\n\n".join(lines)
