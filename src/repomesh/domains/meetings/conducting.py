"""Conducts a meeting: asks the rules, writes the effects they return, and emits their events.

A request to speak or vote goes out in the transaction of what led to it, so nothing is asked twice or
not at all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import structlog
from pydantic import ValidationError
from sqlalchemy import insert

from repomesh.domains.meetings import events, flow, prompts, rows, rules
from repomesh.domains.meetings.decisions import rows as decision_rows
from repomesh.domains.meetings.decisions.models import Position
from repomesh.domains.meetings.flow import MeetingCommand, MeetingState
from repomesh.domains.meetings.meeting_writer import CommandTexts, MeetingWriter
from repomesh.domains.meetings.models import NO_RESPONSE, CastVote, Meeting, Opinion, Proposal
from repomesh.domains.meetings.tables import (
    meeting_opinions,
    meeting_proposals,
    meeting_votes,
)
from repomesh.kernel.errors import DamagedRecord
from repomesh.kernel.limits import MEETING_REQUEST_CHARS_DEFAULT
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

_ADD_OPINION = PreparedStatement(insert(meeting_opinions))
_ADD_PROPOSAL = PreparedStatement(insert(meeting_proposals))
_ADD_VOTE = PreparedStatement(insert(meeting_votes))
_NO_TEXTS = CommandTexts()
log = structlog.get_logger("repomesh.meetings")


def conduct(tx: Transaction, row: Any, command: MeetingCommand, texts: CommandTexts = _NO_TEXTS) -> Meeting:
    """Apply a command to a meeting, store its effects and emit their events. Returns the changed meeting.

    Raises the errors of `rules.step`; then nothing is written.
    """
    before = flow.load(row.flow)
    after, effects = rules.step(
        before, command, _inactive_participants(tx, row.id, before), tx.now, drafting=can_write_proposals(tx)
    )
    writer = MeetingWriter(tx, row._asdict(), after, texts)
    if after == before:
        return rows.as_meeting(writer.columns)
    for event in effects:
        _RECORDERS[type(event)](writer, event)
    return writer.write(before)


def conduct_unless_damaged(tx: Transaction, meeting_id: str, command: MeetingCommand) -> bool:
    """Apply a command to a meeting; log and return False if its record can't be read.

    For loops over many meetings, which one damaged record must not stop.
    """
    try:
        row = rows.find(tx, meeting_id)
        flow.load(row.flow)
    except (DamagedRecord, ValidationError) as error:
        log.error("damaged meeting passed over", meeting_id=meeting_id, reason=str(error))
        return False
    conduct(tx, row, command)
    return True


def can_write_proposals(tx: Transaction) -> bool:
    """Whether a language model is configured that can write a proposal when none is unopposed.

    With one the command `meeting.propose` asks for it; without one a draft is put to the vote at once.
    """
    return tx.settings.completions_url is not None


def _inactive_participants(tx: Transaction, meeting_id: str, state: MeetingState) -> frozenset[str]:
    """The ids of the inactive participants. The caller counts as active whatever its stored status."""
    if state.phase is None:
        return frozenset()
    return rows.inactive_participants(tx, meeting_id) - {tx.caller.agent_id or ""}


# -- one recorder for each effect ------------------------------------------------------------------


def _record_join(writer: MeetingWriter, event: flow.ParticipantJoined) -> None:
    writer.add_participant(event.agent_id)
    name = writer.state.names[event.agent_id]
    writer.emit(events.MeetingMember, events.MEETING_JOINED, agent_id=event.agent_id, agent_name=name)


def _record_leave(writer: MeetingWriter, event: flow.ParticipantLeft) -> None:
    name = writer.state.names[event.agent_id]
    writer.emit(events.MeetingMember, events.MEETING_LEFT, agent_id=event.agent_id, agent_name=name)


def _record_start(writer: MeetingWriter, event: flow.MeetingStarted) -> None:
    writer.emit(events.MeetingChanged, events.MEETING_STARTED)


def _record_opinion_request(writer: MeetingWriter, event: flow.OpinionRequested) -> None:
    tx, columns, agent_id = writer.tx, writer.columns, event.agent_id
    opinions = rows.opinions_of(tx, writer.id, event.round)
    header = _prompt_header(writer, event.round, event.due_at, columns["opinion_prompt"])
    budget = writer.participants()[agent_id].max_chars
    previous_round = describe_previous_round(tx, writer.id, event.round)
    body = prompts.opinion_request(header, opinions, previous_round, budget)
    subject = prompts.subject("Your turn to speak", columns["topic"])
    writer.send_request([agent_id], "opinion_request", subject, body, event.due_at)
    _emit_turn(writer, events.MEETING_OPINION_REQUESTED, event, event.due_at)


def _record_skipped_turn(writer: MeetingWriter, event: flow.TurnSkipped) -> None:
    _emit_turn(writer, events.MEETING_TURN_SKIPPED, event, None)


def _record_opinion(writer: MeetingWriter, event: flow.OpinionPresented) -> None:
    silent = event.kind == "no_response"
    texts = CommandTexts(content=NO_RESPONSE) if silent else writer.texts
    opinion = Opinion(
        sequence=event.sequence,
        round=event.round,
        agent_id=event.agent_id,
        agent_name=writer.state.names[event.agent_id],
        kind=event.kind,
        content=texts.content,
        proposal=texts.proposal,
        tasks=list(texts.tasks),
        at=writer.tx.now,
    )
    values = opinion.model_dump(exclude={"truncated", "tasks"}) | {"tasks": _as_json(opinion.tasks)}
    writer.tx.execute(_ADD_OPINION, writer.key(**values))
    if not silent:
        writer.acknowledge_request(event.agent_id)
    writer.emit(events.MeetingOpinion, events.MEETING_OPINION_PRESENTED, opinion=opinion)


def _record_draft_request(writer: MeetingWriter, event: flow.DraftRequested) -> None:
    fields: dict[str, Any] = {"round": event.round, "due_at": event.due_at}
    writer.emit(events.MeetingDraft, events.MEETING_DRAFT_REQUESTED, **fields)


def _record_moved_deadline(writer: MeetingWriter, event: flow.DeadlineMoved) -> None:
    writer.extend_requests(event.due_at)
    fields: dict[str, Any] = {"round": event.round, "due_at": event.due_at}
    writer.emit(events.MeetingDeadline, events.MEETING_DEADLINE_MOVED, **fields)


def _record_vote_request(writer: MeetingWriter, event: flow.VoteRequested) -> None:
    opinions = rows.opinions_of(writer.tx, writer.id, event.round)
    proposal = _compose_proposal(writer, event, opinions)
    values = proposal.model_dump(exclude={"tasks"}) | {"tasks": _as_json(proposal.tasks)}
    writer.tx.execute(_ADD_PROPOSAL, writer.key(**values))
    writer.columns["proposal"] = proposal.text
    header = _prompt_header(writer, event.round, event.due_at, writer.columns["vote_prompt"])
    subject = prompts.subject("Vote", writer.columns["topic"])
    by_budget: dict[int, list[str]] = defaultdict(list)
    for agent_id in event.electors:
        by_budget[writer.participants()[agent_id].max_chars].append(agent_id)
    for budget, agent_ids in by_budget.items():
        body = prompts.vote_request(header, opinions, proposal, budget)
        writer.send_request(agent_ids, "consensus_request", subject, body, event.due_at)
    writer.emit(
        events.MeetingVoteRequest,
        events.MEETING_VOTE_REQUESTED,
        round=event.round,
        proposal=proposal,
        elector_ids=list(event.electors),
        due_at=event.due_at,
    )


def _record_vote(writer: MeetingWriter, event: flow.VoteCast) -> None:
    vote = CastVote(
        round=event.round,
        agent_id=event.agent_id,
        agent_name=writer.state.names[event.agent_id],
        choice=event.choice,
        reason=writer.texts.reason,
        amendment=writer.texts.amendment,
        at=writer.tx.now,
    )
    writer.tx.execute(_ADD_VOTE, writer.key(**vote.model_dump()))
    writer.acknowledge_request(event.agent_id)
    writer.emit(events.MeetingVote, events.MEETING_VOTE_CAST, vote=vote)


def _record_completed_round(writer: MeetingWriter, event: flow.RoundCompleted) -> None:
    absent = [writer.state.names[agent_id] for agent_id in event.absent]
    fields: dict[str, Any] = {"round": event.round, "agreed": event.agreed, "absent": absent}
    writer.emit(events.MeetingRound, events.MEETING_ROUND_COMPLETED, **fields)


def _record_consensus(writer: MeetingWriter, event: flow.ConsensusReached) -> None:
    tx, columns = writer.tx, writer.columns
    proposal = rows.proposals_of(tx, writer.id, event.round)[event.round]
    positions = _read_positions(writer, event.round)
    opinions = {opinion.sequence: opinion for opinion in rows.opinions_of(tx, writer.id, event.round)}
    decision, decision_events = decision_rows.add(
        tx,
        proposal.tasks,
        topic=columns["topic"],
        decision=proposal.text,
        rationale=prompts.rationale(opinions.get(proposal.sequence or 0), positions),
        meeting_id=writer.id,
        round=event.round,
        consensus=writer.state.terms.consensus,
        positions=[position.model_dump() for position in positions],
        related_message_ids=columns["related_message_ids"],
        related_task_ids=columns["related_task_ids"],
        supersedes_id=decision_rows.still_active(tx, columns["supersedes_id"]),
    )
    columns["decision_id"] = decision.id
    body = prompts.decision_notice(decision.decision, positions, MEETING_REQUEST_CHARS_DEFAULT)
    writer.notify(prompts.subject("Decided", columns["topic"]), body)
    fields: dict[str, Any] = {"round": event.round, "decision": decision}
    writer.emit(events.MeetingConsensus, events.MEETING_CONSENSUS_REACHED, **fields)
    for decision_event in decision_events:
        writer.append_event(decision_event)


def _record_no_consensus(writer: MeetingWriter, event: flow.NoConsensus) -> None:
    tx, columns = writer.tx, writer.columns
    names = list(writer.state.names.values())
    votes = rows.votes_of(tx, writer.id, event.round)
    summary = prompts.summary(columns["topic"], names, rows.opinions_of(tx, writer.id), votes)
    columns["summary"] = summary
    body = prompts.shorten(summary, MEETING_REQUEST_CHARS_DEFAULT)
    writer.notify(prompts.subject("No consensus", columns["topic"]), body)
    fields: dict[str, Any] = {"round": event.round, "summary": summary}
    writer.emit(events.MeetingNoConsensus, events.MEETING_NO_CONSENSUS, **fields)


def _record_completion(writer: MeetingWriter, event: flow.MeetingCompleted) -> None:
    writer.emit(events.MeetingChanged, events.MEETING_COMPLETED)


def _record_cancellation(writer: MeetingWriter, event: flow.Cancelled) -> None:
    writer.columns["reason"] = writer.texts.reason
    if writer.columns["started_at"] is not None:
        subject = prompts.subject("Cancelled", writer.columns["topic"])
        writer.notify(subject, writer.texts.reason or "The meeting was cancelled.")
    writer.emit(events.MeetingChanged, events.MEETING_CANCELLED)


_RECORDERS: dict[type[Any], Callable[[MeetingWriter, Any], None]] = {
    flow.ParticipantJoined: _record_join,
    flow.ParticipantLeft: _record_leave,
    flow.MeetingStarted: _record_start,
    flow.OpinionRequested: _record_opinion_request,
    flow.OpinionPresented: _record_opinion,
    flow.TurnSkipped: _record_skipped_turn,
    flow.DraftRequested: _record_draft_request,
    flow.DeadlineMoved: _record_moved_deadline,
    flow.VoteRequested: _record_vote_request,
    flow.VoteCast: _record_vote,
    flow.RoundCompleted: _record_completed_round,
    flow.ConsensusReached: _record_consensus,
    flow.NoConsensus: _record_no_consensus,
    flow.MeetingCompleted: _record_completion,
    flow.Cancelled: _record_cancellation,
}


# -- shared by the recorders -----------------------------------------------------------------------


def describe_previous_round(tx: Transaction, meeting_id: str, round_: int) -> list[str]:
    """The proposal and votes of the round before as lines for a request to speak; empty in round 1."""
    if round_ == 1:
        return []
    previous = round_ - 1
    proposal = rows.proposals_of(tx, meeting_id, previous).get(previous)
    return prompts.dissent(proposal, rows.votes_of(tx, meeting_id, previous))


def _emit_turn(writer: MeetingWriter, type_: str, event: Any, due_at: Any) -> None:
    agent_id = event.agent_id
    name = writer.state.names[agent_id]
    fields = {"agent_id": agent_id, "agent_name": name, "round": event.round, "due_at": due_at}
    writer.emit(events.MeetingTurn, type_, recipient_id=agent_id, **fields)


def _prompt_header(writer: MeetingWriter, round_: int, due_at: Any, prompt: str) -> prompts.PromptHeader:
    columns, rounds_max = writer.columns, writer.state.terms.rounds_max
    topic, agenda = columns["topic"], columns["agenda"]
    return prompts.PromptHeader(writer.id, topic, round_, rounds_max, agenda, prompt, due_at)


def _compose_proposal(writer: MeetingWriter, event: flow.VoteRequested, opinions: list[Opinion]) -> Proposal:
    """The proposal that a round votes on: an opinion's, a draft, or the text that a model wrote."""
    if event.source == "written":
        text, opinion = writer.texts.content, None
    elif event.source == "draft":
        text, opinion = prompts.draft(opinions)
    else:
        opinion = next(candidate for candidate in opinions if candidate.sequence == event.sequence)
        text = opinion.proposal or opinion.content
    return Proposal(
        round=event.round,
        source=event.source,
        sequence=opinion.sequence if opinion else None,
        agent_name=opinion.agent_name if opinion else None,
        text=text,
        tasks=opinion.tasks if opinion else [],
        at=writer.tx.now,
    )


def _read_positions(writer: MeetingWriter, round_: int) -> list[Position]:
    """The votes of a round by participant, in their order; without a choice for those who cast none."""
    votes = {vote.agent_id: vote for vote in rows.votes_of(writer.tx, writer.id) if vote.round == round_}
    return [
        Position(
            agent_id=agent_id,
            agent_name=name,
            choice=votes[agent_id].choice if agent_id in votes else None,
            reason=votes[agent_id].reason if agent_id in votes else "",
            amendment=votes[agent_id].amendment if agent_id in votes else None,
        )
        for agent_id, name in writer.state.names.items()
        if agent_id in votes or agent_id in writer.state.present
    ]


def _as_json(tasks: list[Any]) -> list[Any]:
    return [task.model_dump(mode="json") for task in tasks]
