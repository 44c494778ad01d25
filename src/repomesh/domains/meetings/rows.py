"""Rows of meetings: find them, turn them into models, read their opinions, proposals and votes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import bindparam, select, update

from repomesh.domains.agents.rules import PERSON
from repomesh.domains.agents.tables import agents
from repomesh.domains.meetings import flow
from repomesh.domains.meetings.errors import MeetingNotFound
from repomesh.domains.meetings.flow import MeetingState
from repomesh.domains.meetings.models import CastVote, Meeting, Opinion, Participant, Proposal
from repomesh.domains.meetings.tables import (
    meeting_opinions,
    meeting_participants,
    meeting_proposals,
    meeting_votes,
    meetings,
)
from repomesh.store.damage import convert_readable
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

_BY_ID = PreparedStatement(
    select(meetings).where(meetings.c.workspace_id == bindparam("ws"), meetings.c.id == bindparam("id"))
)


def _selects_of(table: Any, model: Any, *order: str) -> tuple[PreparedStatement, PreparedStatement]:
    """Two selects of the columns of `model` from a meeting's rows: of all rounds, and of one."""
    conditions = table.c.workspace_id == bindparam("ws"), table.c.meeting_id == bindparam("id")
    columns = [column for column in table.c if column.name in model.model_fields]
    statement = select(*columns).where(*conditions).order_by(*(table.c[name] for name in order))
    return PreparedStatement(statement), PreparedStatement(
        statement.where(table.c.round == bindparam("round"))
    )


_OPINIONS = _selects_of(meeting_opinions, Opinion, "sequence")
_PROPOSALS = _selects_of(meeting_proposals, Proposal, "round")
_VOTES = _selects_of(meeting_votes, CastVote, "round", "at", "agent_id")
_part = meeting_participants.c
_OF_MEETING = _part.workspace_id == bindparam("ws"), _part.meeting_id == bindparam("id")
_PARTICIPANTS = PreparedStatement(select(meeting_participants).where(*_OF_MEETING).order_by(_part.agent_id))
_INACTIVE = PreparedStatement(
    select(_part.agent_id)
    .join(agents, agents.c.id == _part.agent_id)
    .where(*_OF_MEETING, agents.c.status != "active", agents.c.type != PERSON)
)

_FROM_COLUMNS = tuple(
    name
    for name in Meeting.model_fields
    if name in meetings.c and name not in ("status", "outcome", "phase", "due_at")
)


def find(tx: Transaction, meeting_id: str) -> Any:
    """The row of a meeting of this workspace; raises MeetingNotFound."""
    row = tx.execute(_BY_ID, {"ws": tx.workspace_id, "id": meeting_id}).one_or_none()
    if row is None:
        raise MeetingNotFound(f"there is no meeting {meeting_id}")
    return row


def as_meeting(columns: Mapping[str, Any]) -> Meeting:
    """The meeting from the columns of its row; its state comes from `flow`."""
    state = flow.load(columns["flow"])
    terms = state.terms
    return Meeting(
        **{name: columns[name] for name in _FROM_COLUMNS},
        status=state.status,
        outcome=state.outcome,
        phase=state.phase,
        round=state.round,
        max_discussion_rounds=terms.rounds_max,
        speaking_order=terms.order,
        consensus=terms.consensus,
        quorum=terms.quorum,
        opinion_timeout_s=terms.opinion_timeout_s,
        vote_timeout_s=terms.vote_timeout_s,
        chair_id=terms.chair,
        chair_name=state.names[terms.chair] if terms.chair else None,
        participants=participants(state),
        speaker_id=state.speaker,
        speaker_name=state.names[state.speaker] if state.speaker else None,
        due_at=state.due_at,
    )


def participants(state: MeetingState) -> list[Participant]:
    """All participants, those who left included."""
    return [
        Participant(
            agent_id=agent_id,
            agent_name=name,
            status=("joined" if agent_id in state.joined else "invited")
            if agent_id in state.present
            else "left",
            turn=state.turns[agent_id].status if agent_id in state.turns else None,
            vote=state.votes.get(agent_id),
        )
        for agent_id, name in state.names.items()
    ]


def opinions_of(tx: Transaction, meeting_id: str, round_: int | None = None) -> list[Opinion]:
    """The opinions of a round, or of all, in their order."""
    return [Opinion(**row) for row in _read(tx, _OPINIONS, meeting_id, round_)]


def proposals_of(tx: Transaction, meeting_id: str, round_: int | None = None) -> dict[int, Proposal]:
    """The proposals voted on by round number: of one round, or of all."""
    return {row["round"]: Proposal(**row) for row in _read(tx, _PROPOSALS, meeting_id, round_)}


def votes_of(tx: Transaction, meeting_id: str, round_: int | None = None) -> list[CastVote]:
    """The votes of a round or of all, in the order in which they were cast."""
    return [CastVote(**row) for row in _read(tx, _VOTES, meeting_id, round_)]


def participant_rows(tx: Transaction, meeting_id: str) -> dict[str, Any]:
    """The rows of the participants by agent id."""
    rows = tx.execute(_PARTICIPANTS, {"ws": tx.workspace_id, "id": meeting_id})
    return {row.agent_id: row for row in rows}


def inactive_participants(tx: Transaction, meeting_id: str) -> frozenset[str]:
    """The ids of inactive participants, those who left included. People never count as inactive."""
    return frozenset(tx.execute(_INACTIVE, {"ws": tx.workspace_id, "id": meeting_id}).scalars())


def rename_participant(tx: Transaction, agent_id: str, name: str) -> None:
    """Store a participant's new name in all meetings that are pending or in progress."""
    table = meetings.c
    meeting_ids = select(meeting_participants.c.meeting_id).where(
        meeting_participants.c.workspace_id == tx.workspace_id, meeting_participants.c.agent_id == agent_id
    )
    unfinished = table.workspace_id == tx.workspace_id, table.status.in_(("pending", "in_progress"))
    rows = tx.execute(select(table.id, table.flow).where(*unfinished, table.id.in_(meeting_ids))).all()
    states = convert_readable(
        tx, rows, lambda row: (row.id, flow.load(row.flow)), lambda row: f"meeting/{row.id}"
    )
    for meeting_id, state in states:
        renamed = replace(state, names={**state.names, agent_id: name})
        change = update(meetings).where(table.workspace_id == tx.workspace_id, table.id == meeting_id)
        tx.execute(change.values(flow=flow.dump(renamed), version=table.version + 1))


def _read(
    tx: Transaction,
    statements: tuple[PreparedStatement, PreparedStatement],
    meeting_id: str,
    round_: int | None,
) -> list[dict[str, Any]]:
    of_all, of_round = statements
    key = {"ws": tx.workspace_id, "id": meeting_id}
    result = tx.execute(of_all, key) if round_ is None else tx.execute(of_round, key | {"round": round_})
    return [row._asdict() for row in result]
