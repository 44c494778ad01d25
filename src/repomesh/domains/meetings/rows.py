"""Meetings as rows: found, shown, and read with what was said in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, select

from repomesh.domains.meetings import flow
from repomesh.domains.meetings.errors import MeetingNotFound
from repomesh.domains.meetings.flow import Flow
from repomesh.domains.meetings.models import CastVote, Meeting, Opinion, Participant, Proposal
from repomesh.domains.meetings.tables import (
    meeting_opinions,
    meeting_participants,
    meeting_proposals,
    meeting_votes,
    meetings,
)
from repomesh.store.prepared import Prepared
from repomesh.store.transaction import Transaction

_BY_ID = Prepared(
    select(meetings).where(meetings.c.workspace_id == bindparam("ws"), meetings.c.id == bindparam("id"))
)


def _of_meeting(table: Any, *order: Any) -> Prepared:
    here = table.c.workspace_id == bindparam("ws"), table.c.meeting_id == bindparam("id")
    return Prepared(select(table).where(*here).order_by(*order))


_OPINIONS = _of_meeting(meeting_opinions, meeting_opinions.c.sequence)
_PROPOSALS = _of_meeting(meeting_proposals, meeting_proposals.c.round)
_VOTES = _of_meeting(meeting_votes, meeting_votes.c.round, meeting_votes.c.at, meeting_votes.c.agent_id)
_PARTICIPANTS = _of_meeting(meeting_participants, meeting_participants.c.agent_id)

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
    """The meeting in the columns of a row."""
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


def participants(state: Flow) -> list[Participant]:
    """Who takes part, and who took part and left."""
    return [
        Participant(
            agent_id=one,
            agent_name=name,
            status=("joined" if one in state.joined else "invited") if one in state.present else "left",
            turn=state.turns[one].status if one in state.turns else None,
            vote=state.votes.get(one),
        )
        for one, name in state.names.items()
    ]


def opinions_of(tx: Transaction, meeting_id: str) -> list[Opinion]:
    """What was said, in its order."""
    return [Opinion(**_fields(row, Opinion)) for row in _read(tx, _OPINIONS, meeting_id)]


def proposals_of(tx: Transaction, meeting_id: str) -> dict[int, Proposal]:
    """What each round voted on."""
    return {row.round: Proposal(**_fields(row, Proposal)) for row in _read(tx, _PROPOSALS, meeting_id)}


def votes_of(tx: Transaction, meeting_id: str) -> list[CastVote]:
    """The votes, by round and in the order in which they were cast."""
    return [CastVote(**_fields(row, CastVote)) for row in _read(tx, _VOTES, meeting_id)]


def participant_rows(tx: Transaction, meeting_id: str) -> dict[str, Any]:
    """The rows of who takes part, by agent."""
    return {row.agent_id: row for row in _read(tx, _PARTICIPANTS, meeting_id)}


def _read(tx: Transaction, statement: Prepared, meeting_id: str) -> Sequence[Any]:
    return tx.execute(statement, {"ws": tx.workspace_id, "id": meeting_id}).all()


def _fields(row: Any, model: Any) -> dict[str, Any]:
    return {name: value for name, value in row._asdict().items() if name in model.model_fields}
