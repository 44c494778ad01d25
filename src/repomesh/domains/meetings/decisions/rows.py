"""Rows of decisions: find, insert, supersede and overrule them, index their words, emit their events."""

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
from repomesh.kernel.words import distinct_words
from repomesh.store.damage import convert_readable
from repomesh.store.log import NewEvent
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

DOCUMENT = "decision"
"""The type under which topic, decision and rationale are found by their words."""

_table = decisions.c
_BY_ID = PreparedStatement(
    select(decisions).where(_table.workspace_id == bindparam("ws"), _table.id == bindparam("id"))
)
_NEWEST = PreparedStatement(
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
    """The row of an active decision; raises DecisionNotFound or DecisionStatusConflict."""
    row = find(tx, decision_id)
    if row.status != "active":
        raise DecisionStatusConflict(
            f"the decision is {row.status}: {row.reason}", decision_status=row.status
        )
    return row


def still_active(tx: Transaction, decision_id: str | None) -> str | None:
    """`decision_id` if that decision is active, else None; raises DecisionNotFound."""
    return decision_id if decision_id and find(tx, decision_id).status == "active" else None


def newest_active(tx: Transaction, count: int) -> list[Decision]:
    """The newest active decisions, at most `count`; damaged ones are left out."""
    return [
        decision
        for row in tx.execute(_NEWEST, {"ws": tx.workspace_id, "count": count})
        for decision in convert_readable(tx, [row], lambda record: as_decision(record._asdict()))
    ]


def as_decision(columns: Mapping[str, Any]) -> Decision:
    """The decision from the columns of its row."""
    return Decision(**decision_fields(columns))


def decision_fields(columns: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a Decision from the columns of its row."""
    positions = [Position(**position) for position in columns["positions"]]
    return {name: columns[name] for name in _FROM_COLUMNS} | {
        "agreement": [position for position in positions if position.choice == "agree"],
        "dissent": [position for position in positions if position.choice == "disagree"],
        "abstentions": [position for position in positions if position.choice == "abstain"],
        "absent": [position for position in positions if position.choice is None],
    }


def document_words(topic: str, decision: str, rationale: str) -> list[str]:
    """The words by which a decision is found."""
    return distinct_words(topic, decision, rationale)


def add(
    tx: Transaction, tasks: Sequence[CreateTask], words: Sequence[str] | None = None, **fields: Any
) -> tuple[Decision, list[NewEvent]]:
    """Insert a decision from its columns, create its tasks, and mark the one of `supersedes_id` superseded.

    `words` are its index words, computed here if None. Returns the decision and its events, which the caller
    must emit. Raises DecisionNotFound and what `create_task` raises.
    """
    row = _PLAIN | fields
    row |= {"id": tx.new_id(), "workspace_id": tx.workspace_id, "created_at": tx.now, "updated_at": tx.now}
    row["task_ids"] = [_create_task(tx, task) for task in tasks]
    tx.execute(insert(decisions), row)
    if words is None:
        words = document_words(row["topic"], row["decision"], row["rationale"])
    tx.index_words(DOCUMENT, row["id"], words)
    decision = as_decision(row)
    events = [_changed_event(DECISION_RECORDED, decision)]
    if decision.supersedes_id is not None:
        earlier = find(tx, decision.supersedes_id)
        earlier_decision = mark_superseded(tx, earlier, decision.id, "a later decision holds")
        events.append(_changed_event(DECISION_SUPERSEDED, earlier_decision))
    return decision, events


def mark_superseded(tx: Transaction, row: Any, later_id: str, reason: str) -> Decision:
    """Mark a decision as superseded by a later one. Returns the changed decision."""
    return _change(tx, row, status="superseded", superseded_by_id=later_id, reason=reason)


def mark_overruled(tx: Transaction, row: Any, person: str | None, reason: str) -> Decision:
    """Mark a decision as overruled by a person. Returns the changed decision."""
    return _change(tx, row, status="overruled", overruled_by=person, reason=reason)


def emit_changed(tx: Transaction, type_: str, decision: Decision) -> None:
    """Emit an event of this type with the decision as it is now."""
    tx.emit(_changed_event(type_, decision))


def _change(tx: Transaction, row: Any, **columns: Any) -> Decision:
    columns |= {"updated_at": tx.now, "version": row.version + 1}
    conditions = _table.workspace_id == tx.workspace_id, _table.id == row.id
    tx.execute(update(decisions).where(*conditions).values(columns))
    return as_decision(row._asdict() | columns)


def _changed_event(type_: str, decision: Decision) -> NewEvent:
    changed = DecisionChanged(decision=decision)
    return NewEvent(type_, f"decision/{decision.id}", changed, correlation_id=decision.meeting_id)


def _create_task(tx: Transaction, task: CreateTask) -> str:
    """Create a task and return its id; the task of an agent that has retired since is open to any agent."""
    if task.agent is not None and find_agent(tx, task.agent).status == "retired":
        task = task.model_copy(update={"agent": None})
    return create_task(tx, task).id
