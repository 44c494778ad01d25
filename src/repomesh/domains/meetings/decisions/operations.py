"""Operations on decisions: list, show, record, supersede, overrule."""

from __future__ import annotations

from sqlalchemy import ColumnElement, func, or_, select

from repomesh.domains.agents import people_only
from repomesh.domains.agents.errors import AgentNotFound, OnlyPeople
from repomesh.domains.agents.operations import find_agent
from repomesh.domains.meetings import relations
from repomesh.domains.meetings.decisions import rows
from repomesh.domains.meetings.decisions.errors import (
    DecisionNotFound,
    DecisionStatusConflict,
    NotALaterDecision,
)
from repomesh.domains.meetings.decisions.models import (
    DECISION_OVERRULED,
    DECISION_SUPERSEDED,
    Decision,
    DecisionDetail,
    ListDecisions,
    ListedDecision,
    OverruleDecision,
    RecordDecision,
    ShowDecision,
    SupersedeDecision,
)
from repomesh.domains.meetings.decisions.tables import decisions
from repomesh.domains.meetings.operations import attended_meeting_ids
from repomesh.domains.tasks.errors import DependencyNotFound
from repomesh.kernel import limits
from repomesh.kernel.budget import cut, encoded_length, fair_share
from repomesh.kernel.errors import Stale
from repomesh.kernel.fields import Page
from repomesh.kernel.operation import Get, Post, command, query
from repomesh.kernel.preparation import on_worker_thread
from repomesh.kernel.prepared_words import is_long
from repomesh.store.listing import Listing, at_least, below, equals
from repomesh.store.transaction import Transaction

_table = decisions.c


def _concerns(tx: Transaction, participant: str) -> ColumnElement[bool]:
    """Decisions of meetings that an agent attended, or that it recorded."""
    agent_id = find_agent(tx, participant).id
    return or_(_table.meeting_id.in_(attended_meeting_ids(tx, agent_id)), _table.recorded_by_id == agent_id)


_LISTING = Listing(
    Page[ListedDecision],
    lambda row: ListedDecision(**rows.decision_fields(row._asdict())),
    keys=(_table.id,),
    descending=True,
    filters={
        "status": equals(_table.status),
        "meeting_id": equals(_table.meeting_id),
        "topic": lambda _tx, topic: func.lower(_table.topic).contains(topic.lower(), autoescape=True),
        "participant": _concerns,
        "since": at_least(_table.created_at),
        "until": below(_table.created_at),
    },
    text="decision",
    shorten=lambda item: item.model_copy(update={"rationale": "", "truncated": True}),
    document=rows.DOCUMENT,
)


@query("decision.list", http=Get("/v1/decisions"), scope="meetings:read", errors=(AgentNotFound,))
def list_decisions(tx: Transaction, request: ListDecisions) -> Page[ListedDecision]:
    """List decisions, newest first."""
    return _LISTING.read(tx, select(decisions).where(_table.workspace_id == tx.workspace_id), request)


@query(
    "decision.show",
    http=Get("/v1/decisions/{decision_id}"),
    scope="meetings:read",
    errors=(DecisionNotFound,),
)
def show_decision(tx: Transaction, request: ShowDecision) -> DecisionDetail:
    """Show a decision with who agreed and who dissented, and the messages and tasks that it concerns."""
    row = rows.find(tx, request.decision_id)
    detail = DecisionDetail(
        **rows.decision_fields(row._asdict()),
        related_messages=relations.messages_of(tx, row.related_message_ids),
        related_tasks=relations.tasks_of(tx, row.related_task_ids),
        tasks=relations.tasks_of(tx, row.task_ids),
    )
    return _fit_detail(detail, request.max_chars)


@command(
    "decision.record",
    http=Post("/v1/decisions", status=201, body_bytes_max=limits.TEXT_BODY_BYTES_MAX),
    scope="meetings:write",
    errors=(OnlyPeople, *relations.REFUSALS, AgentNotFound, DependencyNotFound),
    prepare=on_worker_thread(
        lambda request, _store: _words(request),
        when=lambda request: is_long(request.decision) or is_long(request.rationale),
    ),
)
def record_decision(tx: Transaction, request: RecordDecision) -> Decision:
    """Record a decision that people made without a meeting, and create its tasks in the same transaction."""
    people_only.require_person(tx.caller, "record decisions; agents take them in meetings")
    relations.require(tx, request.related_message_ids, request.related_task_ids, request.supersedes)
    decision, events = rows.add(
        tx,
        request.tasks,
        _words(request),
        topic=request.topic,
        decision=request.decision,
        rationale=request.rationale,
        related_message_ids=list(dict.fromkeys(request.related_message_ids)),
        related_task_ids=list(dict.fromkeys(request.related_task_ids)),
        supersedes_id=request.supersedes,
        recorded_by=tx.caller.agent_name,
        recorded_by_id=tx.caller.agent_id,
    )
    for event in events:
        tx.emit(event)
    return decision


@command(
    "decision.supersede",
    http=Post("/v1/decisions/{decision_id}/supersede"),
    scope="meetings:write",
    errors=(OnlyPeople, DecisionNotFound, DecisionStatusConflict, NotALaterDecision, Stale),
)
def supersede_decision(tx: Transaction, request: SupersedeDecision) -> Decision:
    """Replace a decision by a later one. For people; a meeting names the decision when it is created."""
    people_only.require_person(tx.caller, "supersede decisions by hand")
    row = rows.find_active(tx, request.decision_id)
    tx.check_version(row.version)
    later = rows.find(tx, request.by)
    if later.status != "active" or later.id <= row.id:
        raise NotALaterDecision(f"decision {later.id} is {later.status} and of {later.created_at:%Y-%m-%d}")
    decision = rows.mark_superseded(tx, row, later.id, request.reason)
    rows.emit_changed(tx, DECISION_SUPERSEDED, decision)
    return decision


@command(
    "decision.overrule",
    http=Post("/v1/decisions/{decision_id}/overrule"),
    scope="meetings:write",
    errors=(OnlyPeople, DecisionNotFound, DecisionStatusConflict, Stale),
)
def overrule_decision(tx: Transaction, request: OverruleDecision) -> Decision:
    """Overrule a decision as a person, with a reason."""
    people_only.require_person(tx.caller, "overrule decisions")
    row = rows.find_active(tx, request.decision_id)
    tx.check_version(row.version)
    decision = rows.mark_overruled(tx, row, tx.caller.agent_name or "owner", request.reason)
    rows.emit_changed(tx, DECISION_OVERRULED, decision)
    return decision


def _words(request: RecordDecision) -> list[str]:
    return request.cached_words(
        lambda: rows.document_words(request.topic, request.decision, request.rationale)
    )


def _fit_detail(detail: DecisionDetail, max_chars: int | None) -> DecisionDetail:
    """A decision within a budget: related messages and tasks are left out first, then its texts are cut."""
    if max_chars is None or len(detail.model_dump_json()) <= max_chars:
        return detail
    omitted = "related messages and tasks: read them by their ids, or raise max_chars"
    short = detail.model_copy(
        update={"related_messages": [], "related_tasks": [], "tasks": [], "omitted": omitted}
    )
    size = len(short.model_dump_json())
    if size <= max_chars:
        return short
    texts = {"rationale": short.rationale, "decision": short.decision}
    lengths = [encoded_length(text) for text in texts.values()]
    share = fair_share(lengths, max_chars - size + sum(lengths) - 60)
    cut_texts = {name: cut(text, share) for name, text in texts.items()}
    return short.model_copy(update=cut_texts | {"omitted": f"texts cut, and {omitted}"})
