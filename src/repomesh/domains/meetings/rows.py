"""Meetings as rows: found, shown, and read with what was said in them."""

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
from repomesh.store.prepared import Prepared
from repomesh.store.transaction import Transaction

_BY_ID = Prepared(
    select(meetings).where(meetings.c.workspace_id == bindparam("ws"), meetings.c.id == bindparam("id"))
)


def _selects_of(table: Any, model: Any, *order: str) -> tuple[Prepared, Prepared]:
    """The selects of what `model` shows of a meeting's rows: of all rounds, and of one."""
    here = table.c.workspace_id == bindparam("ws"), table.c.meeting_id == bindparam("id")
    shown = [column for column in table.c if column.name in model.model_fields]
    statement = select(*shown).where(*here).order_by(*(table.c[name] for name in order))
    return Prepared(statement), Prepared(statement.where(table.c.round == bindparam("round")))


_OPINIONS = _selects_of(meeting_opinions, Opinion, "sequence")
_PROPOSALS = _selects_of(meeting_proposals, Proposal, "round")
_VOTES = _selects_of(meeting_votes, CastVote, "round", "at", "agent_id")
_part = meeting_participants.c
_MINE = _part.workspace_id == bindparam("ws"), _part.meeting_id == bindparam("id")
_PARTICIPANTS = Prepared(select(meeting_participants).where(*_MINE).order_by(_part.agent_id))
_AWAY = Prepared(
    select(_part.agent_id)
    .join(agents, agents.c.id == _part.agent_id)
    .where(*_MINE, agents.c.status != "active", agents.c.type != PERSON)
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


def participants(state: MeetingState) -> list[Participant]:
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


def opinions_of(tx: Transaction, meeting_id: str, round_: int | None = None) -> list[Opinion]:
    """What was said, in one round or in all, in its order."""
    return [Opinion(**row) for row in _read(tx, _OPINIONS, meeting_id, round_)]


def proposals_of(tx: Transaction, meeting_id: str, round_: int | None = None) -> dict[int, Proposal]:
    """What a round, or each, voted on."""
    return {row["round"]: Proposal(**row) for row in _read(tx, _PROPOSALS, meeting_id, round_)}


def votes_of(tx: Transaction, meeting_id: str, round_: int | None = None) -> list[CastVote]:
    """The votes of a round or of all, in the order in which they were cast."""
    return [CastVote(**row) for row in _read(tx, _VOTES, meeting_id, round_)]


def participant_rows(tx: Transaction, meeting_id: str) -> dict[str, Any]:
    """The rows of who takes part, by agent."""
    rows = tx.execute(_PARTICIPANTS, {"ws": tx.workspace_id, "id": meeting_id})
    return {row.agent_id: row for row in rows}


def away(tx: Transaction, meeting_id: str) -> frozenset[str]:
    """Who takes part, or did, and is known to be inactive. People come and go, and answer when they look."""
    return frozenset(tx.execute(_AWAY, {"ws": tx.workspace_id, "id": meeting_id}).scalars())


def rename_participant(tx: Transaction, agent_id: str, name: str) -> None:
    """Give a participant another name in the meetings that are pending or in progress."""
    table = meetings.c
    taken_in = select(meeting_participants.c.meeting_id).where(
        meeting_participants.c.workspace_id == tx.workspace_id, meeting_participants.c.agent_id == agent_id
    )
    running = table.workspace_id == tx.workspace_id, table.status.in_(("pending", "in_progress"))
    for row in tx.execute(select(table.id, table.flow).where(*running, table.id.in_(taken_in))).all():
        state = flow.load(row.flow)
        renamed = replace(state, names={**state.names, agent_id: name})
        own = update(meetings).where(table.workspace_id == tx.workspace_id, table.id == row.id)
        tx.execute(own.values(flow=flow.dump(renamed), version=table.version + 1))


def _read(
    tx: Transaction, statements: tuple[Prepared, Prepared], meeting_id: str, round_: int | None
) -> list[dict[str, Any]]:
    of_all, of_round = statements
    key = {"ws": tx.workspace_id, "id": meeting_id}
    found = tx.execute(of_all, key) if round_ is None else tx.execute(of_round, key | {"round": round_})
    return [row._asdict() for row in found]
