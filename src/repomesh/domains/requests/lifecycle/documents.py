"""Operations on the documents of a request: send a brief or a plan, and approve them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from repomesh.domains.agents.errors import OnlyPeople
from repomesh.domains.agents.people import OWNER_NAME
from repomesh.domains.agents.people_only import is_person
from repomesh.domains.changes.repositories import TARGET_ERRORS, on_repository
from repomesh.domains.requests.lifecycle import flow, plan_checking, role_tasks, rows, rules
from repomesh.domains.requests.lifecycle.errors import (
    DocumentOutdated,
    NotYourRequest,
    RequestNotFound,
    RequestStateConflict,
)
from repomesh.domains.requests.lifecycle.models import (
    REQUEST_APPROVED,
    REQUEST_PLAN_REFUSED,
    ApproveRequest,
    DocumentType,
    EditedRequest,
    EditRequest,
    RequestSummary,
)
from repomesh.domains.requests.lifecycle.plan_checking import CheckedPlan, PlanningFailed, RepositoryTooLarge
from repomesh.domains.requests.lifecycle.rules import RequestPlacement, Role
from repomesh.kernel import limits
from repomesh.kernel.errors import Stale
from repomesh.kernel.operation import Post, command
from repomesh.kernel.preparation import Preparation
from repomesh.store.transaction import Transaction

_WRITERS: dict[DocumentType, Role] = {"brief": "engineer", "plan": "orchestrator"}


def _find_editable(tx: Transaction, request: EditRequest) -> Row[Any]:
    """The row of a request whose document the caller may write now.

    People write both. An agent writes the document of its role, and those of a request that it made.
    """
    type_: DocumentType = "brief" if request.brief is not None else "plan"
    tx.caller.require("tasks:write")
    row = rows.find(tx, request.request_id)
    tx.check_version(row.version)
    rules.require_allowed(type_, row.id, row.state)
    is_own = tx.caller.agent_id is not None and tx.caller.agent_id == row.requester_id
    if not (is_own or is_person(tx.caller) or role_tasks.has_role(tx, row, _WRITERS[type_])):
        raise NotYourRequest(f"the {type_} of request {row.id} is written by others: {row.next_step}")
    return row


async def _check_plan(request: EditRequest, preparation: Preparation) -> EditRequest:
    """Check a plan against the files of the target branch; a brief needs no look at them."""
    plan = request.plan
    if plan is not None:
        request._checked = await on_repository(
            preparation,
            lambda tx: _find_editable(tx, request).id,
            lambda repository, _id: plan_checking.check_isolated(plan, repository),
            "minutes",
        )
    return request


@command(
    "request.edit",
    http=Post("/v1/requests/{request_id}/edit", body_bytes_max=limits.CONTENT_BODY_BYTES_MAX),
    scope="requests:write",
    errors=(
        *TARGET_ERRORS,
        RequestNotFound,
        RequestStateConflict,
        NotYourRequest,
        RepositoryTooLarge,
        PlanningFailed,
        Stale,
    ),
    prepare=_check_plan,
)
def edit_request(tx: Transaction, request: EditRequest) -> EditedRequest:
    """Send a new version of a request's brief, or of its plan.

    A new brief has the plan made again. A plan that breaks a rule is not taken: `violations` names each rule
    with what to change. After REQUEST_ROUNDS_MAX such plans in a row a person is asked.
    """
    row = _find_editable(tx, request)
    if request.brief is not None:
        accepted = flow.accept_brief(tx, row, request.brief, request.comment)
        return EditedRequest(accepted=True, request=rows.as_summary(accepted), violations=[])
    checked: CheckedPlan = request._checked
    if not checked.violations:
        accepted = flow.accept_plan(tx, row, checked.plan, checked.risks, request.comment)
        return EditedRequest(accepted=True, request=rows.as_summary(accepted), violations=[])
    refused = [violation.model_dump() for violation in checked.violations]
    row = rows.write(tx, row.id, violations=refused, rounds=row.rounds + 1)
    first = checked.violations[0]
    rows.emit(tx, REQUEST_PLAN_REFUSED, row, f"{first.rule}: {first.message}")
    if row.rounds == limits.REQUEST_ROUNDS_MAX and row.state == "planning":
        row = flow.ask_for_plan(
            tx, row, f"{row.rounds} plans in a row broke rules, the last one '{first.rule}': {first.message}"
        )
    return EditedRequest(accepted=False, request=rows.as_summary(row), violations=checked.violations)


@command(
    "request.approve",
    http=Post("/v1/requests/{request_id}/approve"),
    scope="requests:write",
    errors=(RequestNotFound, RequestStateConflict, OnlyPeople, DocumentOutdated, Stale),
)
def approve_request(tx: Transaction, request: ApproveRequest) -> RequestSummary:
    """Approve the brief, or the plan, that waits for it; only people do. The request then goes on.

    A brief with open questions is approved as it is: whoever plans it decides them.
    """
    tx.caller.require("tasks:write")
    row = rows.find(tx, request.request_id)
    tx.check_version(row.version)
    rules.require_allowed("approve", row.id, row.state)
    if not is_person(tx.caller):
        raise OnlyPeople(f"request {row.id} is {row.state}: {row.reason}")
    type_: DocumentType = "plan" if row.state == "planned" else "brief"
    version = getattr(row, f"{type_}_version")
    if version == 0:
        raise RequestStateConflict(f"request {row.id} has no {type_} yet: {row.next_step}", state=row.state)
    if request.document_version not in (None, version):
        raise DocumentOutdated(f"the present {type_} is version {version}", document_version=version)
    rows.approve_document(tx, row, type_, tx.caller.agent_name or OWNER_NAME)
    document = rows.present_document(tx, row, type_)
    assert document is not None
    rows.emit_document(tx, REQUEST_APPROVED, row, document, request.comment)
    if type_ == "plan":
        return rows.as_summary(flow.begin_work(tx, row))
    if row.state != "briefed":
        row = rows.move(tx, row, RequestPlacement("briefed", "the brief is approved as it is"))
    return rows.as_summary(flow.begin_planning(tx, row))
