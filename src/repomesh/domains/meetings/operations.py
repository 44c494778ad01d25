"""Operations on meetings: create, list, show, join, leave, start, cancel."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, select, update

from repomesh.domains.agents import people_only
from repomesh.domains.agents.errors import AgentNotFound, AgentRetired
from repomesh.domains.agents.models import Agent
from repomesh.domains.agents.operations import find_agent
from repomesh.domains.meetings import brief, events, flow, relations, rows
from repomesh.domains.meetings.conducting import conduct
from repomesh.domains.meetings.decisions import rows as decision_rows
from repomesh.domains.meetings.errors import (
    DuplicateParticipant,
    MeetingNotFound,
    MeetingStatusConflict,
    NotAParticipant,
    NotYourMeeting,
    QuorumMissing,
    TooFewParticipants,
    TooManyParticipants,
)
from repomesh.domains.meetings.flow import MeetingState, MeetingTerms
from repomesh.domains.meetings.meeting_writer import CommandTexts, MeetingWriter
from repomesh.domains.meetings.models import (
    CancelMeeting,
    CreateMeeting,
    JoinMeeting,
    ListMeetings,
    Meeting,
    MeetingDetail,
    OneMeeting,
    Round,
    ShowMeeting,
)
from repomesh.domains.meetings.tables import meeting_participants, meetings
from repomesh.domains.meetings.templates import operations as templates
from repomesh.domains.meetings.templates.errors import TemplateNotFound
from repomesh.domains.meetings.templates.models import Template
from repomesh.kernel import limits
from repomesh.kernel.fields import Page
from repomesh.kernel.operation import Get, Post, command, query
from repomesh.store.listing import Listing, at_least, equals
from repomesh.store.transaction import Transaction

_table = meetings.c
_PLAIN = Template(name="plain", built_in=True)


@command(
    "meeting.create",
    http=Post("/v1/meetings", status=201),
    scope="meetings:write",
    errors=(
        AgentNotFound,
        AgentRetired,
        DuplicateParticipant,
        TooFewParticipants,
        TooManyParticipants,
        QuorumMissing,
        TemplateNotFound,
        *relations.REFUSALS,
    ),
    rate="messages",
)
def create_meeting(tx: Transaction, request: CreateMeeting) -> Meeting:
    """Create a meeting on a topic. It is pending until it is started.

    Its decision will be linked to the messages and tasks that are named. The meeting is created whole or not
    at all.
    """
    template = _PLAIN if request.template is None else templates.find(tx, request.template)
    relations.require(tx, request.related_message_ids, request.related_task_ids, request.supersedes)
    members = _find_members(tx, request)
    meeting_id = tx.new_id()
    chair = find_agent(tx, request.chair).id if request.chair else None
    state = MeetingState(_build_terms(request, template, chair, meeting_id), members, tuple(members))
    agenda = template.agenda if request.agenda is None else request.agenda
    row: dict[str, Any] = dict.fromkeys(_table.keys()) | {
        "workspace_id": tx.workspace_id,
        "id": meeting_id,
        "topic": request.topic,
        "meeting_type": request.meeting_type,
        "status": state.status,
        "flow": flow.dump(state),
        "agenda": list(agenda),
        "template": None if request.template is None else template.name,
        "opinion_prompt": template.opinion_prompt,
        "vote_prompt": template.vote_prompt,
        "related_message_ids": list(dict.fromkeys(request.related_message_ids)),
        "related_task_ids": list(dict.fromkeys(request.related_task_ids)),
        "supersedes_id": request.supersedes,
        "reason": "",
        "created_by": tx.caller.agent_name,
        "created_by_id": tx.caller.agent_id,
        "created_at": tx.now,
        "version": 1,
    }
    tx.execute(insert(meetings), row)
    writer = MeetingWriter(tx, row, state, CommandTexts())
    for agent_id in members:
        writer.add_participant(agent_id)
    writer.emit(events.MeetingChanged, events.MEETING_CREATED)
    meeting = writer.publish()
    return conduct(tx, rows.find(tx, meeting_id), flow.StartCommand()) if request.start else meeting


def attended_meeting_ids(tx: Transaction, agent_id: str) -> Any:
    """A select of the ids of the meetings in which an agent takes or took part."""
    part = meeting_participants.c
    return select(part.meeting_id).where(part.workspace_id == tx.workspace_id, part.agent_id == agent_id)


_LISTING = Listing(
    Page[Meeting],
    lambda row: rows.as_meeting(row._asdict()),
    keys=(_table.id,),
    descending=True,
    filters={
        "status": equals(_table.status),
        "outcome": equals(_table.outcome),
        "meeting_type": equals(_table.meeting_type),
        "since": at_least(_table.created_at),
        "participant": lambda tx, agent: _table.id.in_(attended_meeting_ids(tx, find_agent(tx, agent).id)),
    },
)


@query("meeting.list", http=Get("/v1/meetings"), scope="meetings:read", errors=(AgentNotFound,))
def list_meetings(tx: Transaction, request: ListMeetings) -> Page[Meeting]:
    """List meetings, newest first."""
    return _LISTING.read(tx, select(meetings).where(_table.workspace_id == tx.workspace_id), request)


@query(
    "meeting.show", http=Get("/v1/meetings/{meeting_id}"), scope="meetings:read", errors=(MeetingNotFound,)
)
def show_meeting(tx: Transaction, request: ShowMeeting) -> MeetingDetail:
    """Show a meeting with its participants, what was said and voted in each round, and its decision."""
    return brief.fit_meeting(detail(tx, request.meeting_id), request.max_chars)


@command(
    "meeting.join",
    http=Post("/v1/meetings/{meeting_id}/join"),
    scope="meetings:write",
    errors=(MeetingNotFound, MeetingStatusConflict, TooManyParticipants),
    needs_agent=True,
)
def join_meeting(tx: Transaction, request: JoinMeeting) -> Meeting:
    """Join a meeting as the acting agent: invited or not, or again after it left or was passed over.

    An agent that joins while the participants speak is the last to speak in this round. One that joins during
    a vote takes part from the next round on.
    """
    row = rows.find(tx, request.meeting_id)
    agent_id = tx.caller.acting_agent()
    texts = CommandTexts()
    if request.max_chars is not None:
        part = meeting_participants.c
        conditions = (
            part.workspace_id == tx.workspace_id,
            part.meeting_id == row.id,
            part.agent_id == agent_id,
        )
        tx.execute(update(meeting_participants).where(*conditions).values(max_chars=request.max_chars))
        texts = CommandTexts(max_chars=request.max_chars)
    return conduct(tx, row, flow.JoinCommand(agent_id, str(tx.caller.agent_name)), texts)


@command(
    "meeting.leave",
    http=Post("/v1/meetings/{meeting_id}/leave"),
    scope="meetings:write",
    errors=(MeetingNotFound, MeetingStatusConflict, NotAParticipant),
    needs_agent=True,
)
def leave_meeting(tx: Transaction, request: OneMeeting) -> Meeting:
    """Leave a meeting. If it was the acting agent's turn, the next participant is asked at once."""
    return conduct(tx, rows.find(tx, request.meeting_id), flow.LeaveCommand(tx.caller.acting_agent()))


@command(
    "meeting.start",
    http=Post("/v1/meetings/{meeting_id}/start"),
    scope="meetings:write",
    errors=(MeetingNotFound, MeetingStatusConflict, NotYourMeeting, TooFewParticipants),
)
def start_meeting(tx: Transaction, request: OneMeeting) -> Meeting:
    """Start a meeting: the first participant is asked to speak.

    For its participants, its creator, its chair, people, and the workspace's owner.
    """
    row = rows.find(tx, request.meeting_id)
    _require_lead(tx, row, *flow.load(row.flow).present)
    return conduct(tx, row, flow.StartCommand())


@command(
    "meeting.cancel",
    http=Post("/v1/meetings/{meeting_id}/cancel"),
    scope="meetings:write",
    errors=(MeetingNotFound, MeetingStatusConflict, NotYourMeeting),
)
def cancel_meeting(tx: Transaction, request: CancelMeeting) -> Meeting:
    """Cancel a meeting. For its creator, its chair, or people. What was said so far stays."""
    row = rows.find(tx, request.meeting_id)
    _require_lead(tx, row)
    return conduct(tx, row, flow.CancelCommand(), CommandTexts(reason=request.reason))


def detail(tx: Transaction, meeting_id: str) -> MeetingDetail:
    """A meeting with the opinions, proposal and votes of each round; raises MeetingNotFound."""
    row = rows.find(tx, meeting_id)
    meeting = rows.as_meeting(row._asdict())
    opinions, votes = rows.opinions_of(tx, row.id), rows.votes_of(tx, row.id)
    proposals = rows.proposals_of(tx, row.id)
    decision = decision_rows.find(tx, row.decision_id) if row.decision_id else None
    return MeetingDetail(
        **meeting.model_dump(),
        rounds=[
            Round(
                number=number,
                opinions=[opinion for opinion in opinions if opinion.round == number],
                proposal=proposals.get(number),
                votes=[vote for vote in votes if vote.round == number],
            )
            for number in range(1, meeting.round + 1)
        ],
        decision=decision_rows.as_decision(decision._asdict()) if decision else None,
    )


def _find_members(tx: Transaction, request: CreateMeeting) -> dict[str, str]:
    """The names of the participants by id, in their order; the chair is one of them."""
    names: dict[str, str] = {}
    for ref in request.participant_ids:
        agent = _find_agent_in_service(tx, ref)
        if agent.id in names:
            raise DuplicateParticipant(f"'{agent.name}' is named more than once", agent_name=agent.name)
        names[agent.id] = agent.name
    if request.chair is not None:
        chair = _find_agent_in_service(tx, request.chair)
        names.setdefault(chair.id, chair.name)
    if len(names) > limits.MEETING_PARTICIPANTS_MAX:
        raise TooManyParticipants(
            f"{len(names)} participants, the limit is {limits.MEETING_PARTICIPANTS_MAX}"
        )
    return names


def _find_agent_in_service(tx: Transaction, ref: str) -> Agent:
    agent = find_agent(tx, ref)
    if agent.status == "retired":
        raise AgentRetired(f"'{agent.name}' is retired and can't take part")
    return agent


def _build_terms(request: CreateMeeting, template: Template, chair: str | None, seed: str) -> MeetingTerms:
    consensus = request.consensus or template.consensus
    quorum = request.quorum
    if quorum is None and consensus == template.consensus:
        quorum = template.quorum
    templates.require_quorum(consensus, quorum)
    return MeetingTerms(
        rounds_max=request.max_discussion_rounds or template.max_discussion_rounds,
        order=request.speaking_order or template.speaking_order,
        consensus=consensus,
        quorum=quorum,
        opinion_timeout_s=request.opinion_timeout_s or template.opinion_timeout_s,
        vote_timeout_s=request.vote_timeout_s or template.vote_timeout_s,
        drafting_timeout_s=limits.MEETING_DRAFTING_S,
        chair=chair,
        seed=seed,
    )


def _require_lead(tx: Transaction, row: Any, *further_leader_ids: str) -> None:
    """Raise NotYourMeeting unless the caller created or chairs it, is a person, or is a further leader."""
    leaders = (row.created_by_id, flow.load(row.flow).terms.chair, *further_leader_ids)
    if not people_only.is_person(tx.caller) and tx.caller.agent_id not in leaders:
        raise NotYourMeeting(f"the meeting was called by '{row.created_by or 'the owner'}'")
