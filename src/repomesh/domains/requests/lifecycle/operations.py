"""Operations on requests as such: create, list, show, stop, resume and cancel them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from repomesh.adapters.git.errors import NoGitRepository
from repomesh.adapters.git.repository import Repository
from repomesh.domains.agents.errors import AgentNotFound, OnlyPeople
from repomesh.domains.agents.operations import find_agent
from repomesh.domains.agents.people import OWNER_NAME, is_person_named
from repomesh.domains.agents.people_only import is_person
from repomesh.domains.changes.configuration import Configuration
from repomesh.domains.changes.errors import TargetMissing
from repomesh.domains.changes.repositories import TARGET_ERRORS, on_repository, read_target
from repomesh.domains.requests.lifecycle import flow, rows, rules, work
from repomesh.domains.requests.lifecycle.errors import (
    NotYourRequest,
    RequestNotFound,
    RequestStateConflict,
    TooManyRequests,
)
from repomesh.domains.requests.lifecycle.models import (
    REQUEST_RESUMED,
    REQUEST_STOPPED,
    BriefVersion,
    CreateRequest,
    ListRequests,
    PlanOfRequest,
    RequestDetail,
    RequestSummary,
    ResumeRequest,
    ShowRequestDetail,
    StopRequest,
)
from repomesh.domains.requests.lifecycle.rules import RequestPlacement
from repomesh.domains.requests.lifecycle.tables import requests
from repomesh.kernel import limits
from repomesh.kernel.errors import Stale
from repomesh.kernel.fields import Page
from repomesh.kernel.operation import Get, Post, command, query
from repomesh.kernel.preparation import Preparation
from repomesh.store.listing import Listing, equals, whether
from repomesh.store.transaction import Transaction

_table = requests.c


async def _read_settings(request: CreateRequest, preparation: Preparation) -> CreateRequest:
    """Read the roles of the target branch's `repomesh.toml`; without a repository nobody has one."""

    def read(repository: Repository, _known: None) -> Configuration:
        return read_target(repository).configuration

    try:
        request._settings = await on_repository(preparation, lambda _tx: None, read)
    except (NoGitRepository, TargetMissing):
        request._settings = Configuration()
    return request


@command(
    "request.create",
    http=Post("/v1/requests", status=201),
    scope="requests:write",
    errors=(*TARGET_ERRORS, OnlyPeople, TooManyRequests),
    prepare=_read_settings,
)
def create_request(tx: Transaction, request: CreateRequest) -> RequestSummary:
    """Ask for work. It becomes a brief, a plan of tasks that own their files, and tasks on the board.

    Who writes brief and plan, `[roles]` in repomesh.toml says; without roles the text is the brief, and the
    server divides its `files` among tasks. `state`, `reason` and `next_step` say what it waits for. The
    caller's token needs `tasks:write`, too, as for all that changes a request.
    """
    tx.caller.require("tasks:write")
    settings: Configuration = request._settings
    usual = settings.requests.approval
    approval = request.approval or usual
    if approval != rules.strictest(approval, usual) and not is_person(tx.caller):
        raise OnlyPeople(f"approval: '{usual}' is usual here, and only a person chooses '{approval}'")
    open_requests = rows.count_open(tx)
    if open_requests >= limits.REQUESTS_OPEN_MAX:
        raise TooManyRequests(
            f"{open_requests} requests are under way, of {limits.REQUESTS_OPEN_MAX} at most"
        )
    row = rows.add(
        tx,
        {
            "workspace_id": tx.workspace_id,
            "id": tx.new_id(),
            "title": rules.title_of(request.text),
            "text": request.text,
            "request_class": request.class_ or rules.detect_class(request.text),
            "class_detected": request.class_ is None,
            "state": "received",
            "reason": "it has just arrived",
            "next_step": "",
            "priority": request.priority,
            "approval": approval,
            "requester_id": tx.caller.agent_id,
            "requester_name": tx.caller.agent_name or OWNER_NAME,
            "files": list(dict.fromkeys(request.files)),
            "attachments": [attachment.model_dump() for attachment in request.attachments],
            "roles": settings.roles.model_dump(mode="json"),
            "brief_version": 0,
            "plan_version": 0,
            "violations": [],
            "rounds": 0,
            "created_at": tx.now,
            "updated_at": tx.now,
            "version": 1,
        },
    )
    return rows.as_summary(flow.begin(tx, row))


_LISTING = Listing(
    Page[RequestSummary],
    rows.as_summary,
    keys=(_table.id,),
    descending=True,
    filters={
        "state": equals(_table.state),
        "waits_for": equals(_table.waits_for),
        "open": whether(_table.state.in_(rules.NOT_ENDED)),
        "requester": lambda tx, agent: _table.requester_id == find_agent(tx, agent).id,
    },
)


@query("request.list", http=Get("/v1/requests"), scope="requests:read", errors=(AgentNotFound,))
def list_requests(tx: Transaction, request: ListRequests) -> Page[RequestSummary]:
    """List requests, newest first."""
    return _LISTING.read(tx, rows.SUMMARY.where(_table.workspace_id == tx.workspace_id), request)


@query(
    "request.show", http=Get("/v1/requests/{request_id}"), scope="requests:read", errors=(RequestNotFound,)
)
def show_request(tx: Transaction, request: ShowRequestDetail) -> RequestDetail:
    """Show a request with its brief, its plan, its tasks and their changes."""
    row = rows.find(tx, request.request_id)
    brief, plan = (rows.present_document(tx, row, type_) for type_ in ("brief", "plan"))
    assert not isinstance(brief, PlanOfRequest)
    assert not isinstance(plan, BriefVersion)
    return RequestDetail(
        **dict(rows.as_summary(row)),
        text=row.text,
        files=row.files,
        attachments=row.attachments,
        brief=brief,
        plan=plan,
        violations=row.violations,
        rounds=row.rounds,
        tasks=[rows.as_task(task) for task in rows.tasks_of(tx, row.id)],
        changes=rows.changes_of(tx, row.id),
    )


@command(
    "request.stop",
    http=Post("/v1/requests/{request_id}/stop"),
    scope="requests:write",
    errors=(RequestNotFound, RequestStateConflict, NotYourRequest, Stale),
)
def stop_request(tx: Transaction, request: StopRequest) -> RequestSummary:
    """Stop a request: its tasks are blocked, and whoever holds one loses it. Changes under way go on."""
    row = _find_own(tx, request.request_id)
    rules.require_allowed("stop", row.id, row.state)
    by = tx.caller.agent_name or OWNER_NAME
    if row.stopped_reason is not None and not is_person(tx.caller):
        return rows.as_summary(row)
    reason = request.reason or f"{by} stopped it"
    row = rows.write(tx, row.id, stopped_reason=reason, stopped_by=by)
    rows.emit(tx, REQUEST_STOPPED, row, reason)
    return rows.as_summary(work.block_tasks(tx, row))


@command(
    "request.resume",
    http=Post("/v1/requests/{request_id}/resume"),
    scope="requests:write",
    errors=(RequestNotFound, RequestStateConflict, NotYourRequest, OnlyPeople, Stale),
)
def resume_request(tx: Transaction, request: ResumeRequest) -> RequestSummary:
    """Let a stopped request go on. What a person stopped, only a person resumes."""
    row = _find_own(tx, request.request_id)
    rules.require_allowed("resume", row.id, row.state)
    if row.stopped_reason is None:
        return rows.as_summary(row)
    if is_person_named(tx, row.stopped_by) and not is_person(tx.caller):
        raise OnlyPeople(f"{row.stopped_by} stopped request {row.id}: {row.stopped_reason}")
    row = rows.write(tx, row.id, stopped_reason=None, stopped_by=None)
    rows.emit(tx, REQUEST_RESUMED, row)
    work.unblock_tasks(tx, row)
    return rows.as_summary(flow.follow_work(tx, row))


@command(
    "request.cancel",
    http=Post("/v1/requests/{request_id}/cancel"),
    scope="requests:write",
    errors=(RequestNotFound, RequestStateConflict, NotYourRequest, Stale),
)
def cancel_request(tx: Transaction, request: StopRequest) -> RequestSummary:
    """Cancel a request: its open tasks are cancelled, and their changes that have not landed withdrawn."""
    row = _find_own(tx, request.request_id)
    if row.state == "cancelled":
        return rows.as_summary(row)
    rules.require_allowed("cancel", row.id, row.state)
    reason = request.reason or f"{tx.caller.agent_name or OWNER_NAME} cancelled the request"
    row = rows.move(tx, row, RequestPlacement("cancelled", reason), stopped_reason=None, stopped_by=None)
    work.cancel_work(tx, row, f"request cancelled: {reason}"[: limits.REASON_CHARS_MAX])
    return rows.as_summary(row)


def _find_own(tx: Transaction, request_id: str) -> Row[Any]:
    """The row of a request that the caller may stop or cancel: its own; people may all."""
    tx.caller.require("tasks:write")
    row = rows.find(tx, request_id)
    tx.check_version(row.version)
    if tx.caller.agent_id != row.requester_id and not is_person(tx.caller):
        raise NotYourRequest(f"request {row.id} was made by {row.requester_name}")
    return row
