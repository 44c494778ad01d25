"""Decisions as rows: found, made, superseded, told of, and made findable by their words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from repomesh.domains.agents.operations import find_agent
from repomesh.domains.meetings.decisions.errors import DecisionNotFound, DecisionStatusConflict
from repomesh.domains.meetings.decisions.models import (
    DECISION_RECORDED,
    DECISION_SUPERSEDED,
    Decision,
    DecisionChanged,
    Position,
)
from repomesh.domains.meetings.decisions.tables import decisions
from repomesh.domains.tasks.models import CreateTask
from repomesh.domains.tasks.operations import create_task
from repomesh.kernel.words import different_words
from repomesh.store.damage import readable
from repomesh.store.log import NewEvent
from repomesh.store.prepared import Prepared
from repomesh.store.transaction import Transaction

DOCUMENT = "decision"
"""The type under which topic, decision and rationale are found by their words."""

_table = decisions.c
_BY_ID = Prepared(
    select(decisions).where(_table.workspace_id == bindparam("ws"), _table.id == bindparam("id"))
)
_NEWEST = Prepared(
    select(decisions)
    .where(_table.workspace_id == bindparam("ws"), _table.status == "active")
    .order_by(_table.id.desc())
    .limit(bindparam("count"))
)
_FROM_COLUMNS = tuple(name for name in Decision.model_fields if name in _table)
_PLAIN: dict[str, Any] = {
    "status": "active",
    "reason": "",
    "meeting_id": None,
    "round": None,
    "consensus": None,
    "positions": [],
    "superseded_by_id": None,
    "overruled_by": None,
    "recorded_by": None,
    "recorded_by_id": None,
    "version": 1,
}


def find(tx: Transaction, decision_id: str) -> Any:
    """The row of a decision of this workspace; raises DecisionNotFound."""
    row = tx.execute(_BY_ID, {"ws": tx.workspace_id, "id": decision_id}).one_or_none()
    if row is None:
        raise DecisionNotFound(f"there is no decision {decision_id}")
    return row


def find_active(tx: Transaction, decision_id: str) -> Any:
    """The row of a decision that holds; raises DecisionNotFound or DecisionStatusConflict."""
    row = find(tx, decision_id)
    if row.status != "active":
        raise DecisionStatusConflict(
            f"the decision is {row.status}: {row.reason}", decision_status=row.status
        )
    return row


def still_active(tx: Transaction, decision_id: str | None) -> str | None:
    """The id of a decision if it still holds."""
    return decision_id if decision_id and find(tx, decision_id).status == "active" else None


def newest_active(tx: Transaction, count: int) -> list[Decision]:
    """The newest decisions that hold."""
    return [
        decision
        for row in tx.execute(_NEWEST, {"ws": tx.workspace_id, "count": count})
        for decision in readable(tx, [row], lambda one: as_decision(one._asdict()))
    ]


def as_decision(columns: Mapping[str, Any]) -> Decision:
    """The decision in the columns of a row."""
    return Decision(**decision_fields(columns))


def decision_fields(columns: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the decision in the columns of a row."""
    positions = [Position(**one) for one in columns["positions"]]
    return {name: columns[name] for name in _FROM_COLUMNS} | {
        "agreement": [one for one in positions if one.choice == "agree"],
        "dissent": [one for one in positions if one.choice == "disagree"],
        "abstentions": [one for one in positions if one.choice == "abstain"],
        "absent": [one for one in positions if one.choice is None],
    }


def document_words(topic: str, decision: str, rationale: str) -> list[str]:
    """The words by which a decision is found."""
    return different_words(topic, decision, rationale)


def add(
    tx: Transaction, tasks: Sequence[CreateTask], words: Sequence[str] | None = None, **fields: Any
) -> tuple[Decision, list[NewEvent]]:
    """Keep a new decision with the tasks that it makes; the one that it `supersedes_id` holds no more.

    `words` are those by which it is found, where they are known already.
    Answers it and the events that tell of it, for the caller to append where they belong.
    """
    row = _PLAIN | fields
    row |= {"id": tx.new_id(), "workspace_id": tx.workspace_id, "created_at": tx.now, "updated_at": tx.now}
    row["task_ids"] = [_make(tx, task) for task in tasks]
    tx.execute(insert(decisions), row)
    found = document_words(row["topic"], row["decision"], row["rationale"]) if words is None else words
    tx.index_words(DOCUMENT, row["id"], found)
    made = as_decision(row)
    told = [_event(DECISION_RECORDED, made)]
    if made.supersedes_id is not None:
        earlier = find(tx, made.supersedes_id)
        told.append(_event(DECISION_SUPERSEDED, superseded(tx, earlier, made.id, "a later decision holds")))
    return made, told


def superseded(tx: Transaction, row: Any, by: str, reason: str) -> Decision:
    """Write that a later decision holds instead of this one."""
    return _change(tx, row, status="superseded", superseded_by_id=by, reason=reason)


def overruled(tx: Transaction, row: Any, by: str | None, reason: str) -> Decision:
    """Write that a person says that a decision does not hold."""
    return _change(tx, row, status="overruled", overruled_by=by, reason=reason)


def emit_changed(tx: Transaction, type_: str, decision: Decision) -> None:
    """Append what a decision is now."""
    tx.emit(_event(type_, decision))


def _change(tx: Transaction, row: Any, **columns: Any) -> Decision:
    columns |= {"updated_at": tx.now, "version": row.version + 1}
    here = _table.workspace_id == tx.workspace_id, _table.id == row.id
    tx.execute(update(decisions).where(*here).values(columns))
    return as_decision(row._asdict() | columns)


def _event(type_: str, decision: Decision) -> NewEvent:
    changed = DecisionChanged(decision=decision)
    return NewEvent(type_, f"decision/{decision.id}", changed, correlation_id=decision.meeting_id)


def _make(tx: Transaction, task: CreateTask) -> str:
    """Make a task; one for an agent that has left service since goes to any that can do it."""
    if task.agent is not None and find_agent(tx, task.agent).status == "retired":
        task = task.model_copy(update={"agent": None})
    return create_task(tx, task).id
