"""Operations on decisions: list, show, record, supersede, overrule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select

from repomesh.domains.agents.errors import AgentNotFound
from repomesh.domains.agents.operations import find_agent
from repomesh.domains.meetings import people_only, relations
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
from repomesh.domains.meetings.errors import OnlyPeople
from repomesh.domains.meetings.operations import attended_meeting_ids
from repomesh.domains.tasks.errors import DependencyNotFound
from repomesh.kernel import limits
from repomesh.kernel.budget import PageEnds, cut, encoded_length, fair_share, fit
from repomesh.kernel.errors import Stale
from repomesh.kernel.fields import Page, encode_cursor
from repomesh.kernel.operation import Get, Post, command, query
from repomesh.kernel.preparation import on_worker_thread
from repomesh.kernel.prepared_words import is_long
from repomesh.store import searching
from repomesh.store.damage import convert_readable
from repomesh.store.paging import page
from repomesh.store.transaction import Transaction

_table = decisions.c
_NEWEST = encode_cursor("g")  # follows every hexadecimal digit, and so every id


@query("decision.list", http=Get("/v1/decisions"), scope="meetings:read", errors=(AgentNotFound,))
def list_decisions(tx: Transaction, request: ListDecisions) -> Page[ListedDecision]:
    """List decisions, newest first."""
    statement = select(decisions).where(*_conditions(tx, request))
    if request.text is not None:
        return _search(tx, request.text, request, statement)
    items, next_cursor = page(tx, statement, request, [_table.id], _row_to_listed, descending=True)
    cursors = [encode_cursor(item.id) for item in items]
    return _fit_page(Page(items=items, next_cursor=next_cursor), cursors, _NEWEST, request)


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
    return request.words_once(lambda: rows.document_words(request.topic, request.decision, request.rationale))


def _conditions(tx: Transaction, request: ListDecisions) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [_table.workspace_id == tx.workspace_id]
    if request.status is not None:
        conditions.append(_table.status == request.status)
    if request.meeting_id is not None:
        conditions.append(_table.meeting_id == request.meeting_id)
    if request.topic is not None:
        conditions.append(func.lower(_table.topic).contains(request.topic.lower(), autoescape=True))
    if request.participant is not None:
        agent_id = find_agent(tx, request.participant).id
        conditions.append(
            or_(_table.meeting_id.in_(attended_meeting_ids(tx, agent_id)), _table.recorded_by_id == agent_id)
        )
    if request.since is not None:
        conditions.append(_table.created_at >= request.since)
    if request.until is not None:
        conditions.append(_table.created_at < request.until)
    return conditions


def _search(
    tx: Transaction, words: str, request: ListDecisions, statement: Select[Any]
) -> Page[ListedDecision]:
    def matching(ids: Sequence[str]) -> set[str]:
        return set(tx.execute(statement.with_only_columns(_table.id).where(_table.id.in_(ids))).scalars())

    hits, next_cursor = searching.search(tx, rows.DOCUMENT, words, request, matching)
    hit_rows = statement.where(_table.id.in_([decision_id for _, decision_id in hits]))
    by_id = {decision.id: decision for decision in convert_readable(tx, tx.execute(hit_rows), _row_to_listed)}
    hits = [(position, decision_id) for position, decision_id in hits if decision_id in by_id]
    items = [by_id[decision_id] for _, decision_id in hits]
    cursors = [encode_cursor(position) for position, _ in hits]
    result = Page[ListedDecision](items=items, next_cursor=next_cursor, notice=searching.notice(tx, words))
    return _fit_page(result, cursors, searching.BEFORE_ALL, request)


def _row_to_listed(row: Any) -> ListedDecision:
    return ListedDecision(**rows.decision_fields(row._asdict()))


def _fit_page(
    listing: Page[ListedDecision], cursors: Sequence[str], start: str, request: ListDecisions
) -> Page[ListedDecision]:
    if request.max_chars is None or len(listing.model_dump_json()) <= request.max_chars:
        return listing
    items = [item.model_copy(update={"rationale": "", "truncated": True}) for item in listing.items]
    positions = PageEnds(cursors.__getitem__, request.cursor or start)
    return fit(listing.model_copy(update={"items": items}), request.max_chars, positions, "decision")


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
