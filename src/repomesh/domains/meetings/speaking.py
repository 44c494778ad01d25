"""Operations of participants: speak, vote, show the open request; and the sweep over deadlines."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, select

from repomesh.domains.agents.errors import AgentNotFound
from repomesh.domains.agents.operations import find_agent
from repomesh.domains.agents.rules import PERSON
from repomesh.domains.agents.tables import agents
from repomesh.domains.meetings import flow, prompts, rows
from repomesh.domains.meetings.conducting import conduct, conduct_unless_damaged, describe_previous_round
from repomesh.domains.meetings.errors import (
    AlreadyVoted,
    MeetingNotFound,
    MeetingStatusConflict,
    NotAParticipant,
    NotVoting,
    NotYourTurn,
    TurnOver,
)
from repomesh.domains.meetings.meeting_writer import CommandTexts
from repomesh.domains.meetings.models import (
    CastVoteRequest,
    DueMeetings,
    FindDueMeetings,
    Meeting,
    MeetingRequest,
    SettledMeetings,
    SettleMeetings,
    ShowRequest,
    Speak,
)
from repomesh.domains.meetings.tables import RUNNING, meeting_participants, meetings
from repomesh.domains.tasks.dependencies import count_unmet
from repomesh.domains.tasks.errors import DependencyNotFound
from repomesh.domains.tasks.models import CreateTask
from repomesh.kernel import limits
from repomesh.kernel.operation import Due, Get, Post, Tool, command, query
from repomesh.store.due import due_at, due_now
from repomesh.store.transaction import Transaction


@command(
    "meeting.speak",
    http=Post("/v1/meetings/{meeting_id}/speak", body_bytes_max=limits.TEXT_BODY_BYTES_MAX),
    tool=Tool(
        "speak_in_meeting",
        "Say your opinion in a meeting that asks you for it.",
        fields=("meeting_id", "content", "kind", "proposal"),
    ),
    scope="meetings:write",
    errors=(
        MeetingNotFound,
        MeetingStatusConflict,
        NotAParticipant,
        NotYourTurn,
        TurnOver,
        AgentNotFound,
        DependencyNotFound,
    ),
    rate="messages",
    needs_agent=True,
)
def speak(tx: Transaction, request: Speak) -> Meeting:
    """Give the acting agent's opinion when it is its turn. The next participant is asked at once.

    With `proposal`, or as kind 'proposal', it is put to the vote; an objection opposes the newest proposal of
    others. A late opinion is refused with what happened instead.
    """
    row = rows.find(tx, request.meeting_id)
    proposal = request.proposed
    kind = request.kind or ("proposal" if proposal else "opinion")
    agent_id = tx.caller.acting_agent()
    speak_command = flow.SpeakCommand(agent_id, kind, proposes=proposal is not None, round=request.round)
    _require_valid_tasks(tx, request.tasks)
    return conduct(
        tx, row, speak_command, CommandTexts(content=request.content, proposal=proposal, tasks=request.tasks)
    )


@command(
    "meeting.vote",
    http=Post("/v1/meetings/{meeting_id}/vote"),
    tool=Tool(
        "vote_in_meeting",
        "Vote on its proposal when a meeting asks you to.",
        fields=("meeting_id", "choice", "reason", "amendment"),
    ),
    scope="meetings:write",
    errors=(MeetingNotFound, MeetingStatusConflict, NotAParticipant, NotVoting, AlreadyVoted),
    rate="messages",
    needs_agent=True,
)
def vote(tx: Transaction, request: CastVoteRequest) -> Meeting:
    """Vote on the proposal of the round as the acting agent. The last vote ends the round at once."""
    row = rows.find(tx, request.meeting_id)
    vote_command = flow.VoteCommand(tx.caller.acting_agent(), request.choice, request.round)
    return conduct(tx, row, vote_command, CommandTexts(reason=request.reason, amendment=request.amendment))


@query(
    "meeting.request",
    http=Get("/v1/meetings/{meeting_id}/request"),
    scope="meetings:read",
    errors=(MeetingNotFound, NotAParticipant),
    needs_agent=True,
)
def show_request(tx: Transaction, request: ShowRequest) -> MeetingRequest:
    """Show what the meeting asks of the acting agent now: to speak, to vote, or nothing."""
    row = rows.find(tx, request.meeting_id)
    state = flow.load(row.flow)
    agent_id = tx.caller.acting_agent()
    participant = rows.participant_rows(tx, row.id).get(agent_id)
    if participant is None:
        raise NotAParticipant("the acting agent does not take part in this meeting")
    is_awaited = agent_id in state.awaited
    type_: Any = None
    if is_awaited:
        type_ = "opinion_request" if state.phase == "discussion" else "consensus_request"
    opinions = rows.opinions_of(tx, row.id, state.round)
    budget = request.max_chars or participant.max_chars or limits.MEETING_REQUEST_CHARS_DEFAULT
    return MeetingRequest(
        type=type_,
        meeting_id=row.id,
        topic=row.topic,
        round=state.round,
        agenda=row.agenda,
        prompt=row.opinion_prompt if state.phase == "discussion" else row.vote_prompt,
        before=describe_previous_round(tx, row.id, state.round) if state.phase == "discussion" else [],
        opinions=prompts.heard_opinions(opinions, budget),
        proposal=row.proposal,
        due_at=state.due_at if is_awaited else None,
        message_id=participant.message_id if is_awaited else None,
    )


@query("meeting.due", scope="meetings:admin")
def find_due_meetings(tx: Transaction, request: FindDueMeetings) -> DueMeetings:
    """Find meetings whose deadline has passed, or that wait for participants known to be inactive."""
    return DueMeetings(meeting_ids=_find_due(tx))


_AWAITED_IS_INACTIVE = (
    meeting_participants.c.awaited,
    agents.c.status != "active",
    agents.c.type != PERSON,
)
_DUE_ANYWHERE = due_at(meetings.c.workspace_id, meetings.c.due_at, RUNNING)
_INACTIVE_ANYWHERE = (
    due_now(meetings.c.workspace_id, RUNNING, *_AWAITED_IS_INACTIVE)
    .join(
        meeting_participants,
        and_(
            meeting_participants.c.workspace_id == meetings.c.workspace_id,
            meeting_participants.c.meeting_id == meetings.c.id,
        ),
    )
    .join(agents, agents.c.id == meeting_participants.c.agent_id)
)


@command(
    "meeting.settle",
    scope="meetings:admin",
    due=(
        Due(lambda _: _DUE_ANYWHERE),
        Due(lambda _: _INACTIVE_ANYWHERE, every_s=limits.SWEEP_CHANGES_S, on_change=True),
    ),
)
def settle_meetings(tx: Transaction, request: SettleMeetings) -> SettledMeetings:
    """Advance the meetings that are due."""
    due_ids = _find_due(tx, request.meeting_id)
    settled = [meeting_id for meeting_id in due_ids if conduct_unless_damaged(tx, meeting_id, flow.Tick())]
    return SettledMeetings(meeting_ids=settled)


def _find_due(tx: Transaction, meeting_id: str | None = None) -> list[str]:
    """The ids of the meetings that are due; with `meeting_id` only of that one."""
    table, part = meetings.c, meeting_participants.c
    awaiting_inactive = (
        select(part.meeting_id)
        .join(agents, agents.c.id == part.agent_id)
        .where(part.workspace_id == tx.workspace_id, *_AWAITED_IS_INACTIVE)
    )
    running = select(table.id).where(table.workspace_id == tx.workspace_id, RUNNING)
    if meeting_id is not None:
        running = running.where(table.id == meeting_id)
    ordered = running.order_by(table.due_at, table.id).limit(limits.MEETINGS_SETTLED_MAX)
    statements = ordered.where(table.due_at <= tx.now), ordered.where(table.id.in_(awaiting_inactive))
    return list(dict.fromkeys(id_ for statement in statements for id_ in tx.execute(statement).scalars()))


def _require_valid_tasks(tx: Transaction, tasks: tuple[CreateTask, ...]) -> None:
    """Raise AgentNotFound or DependencyNotFound now, while the author of the tasks can still correct them."""
    for task in tasks:
        if task.agent is not None:
            find_agent(tx, task.agent)
        count_unmet(tx, list(task.dependencies))
