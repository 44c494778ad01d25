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
from repomesh.store.prepared import Prepared
from repomesh.store.transaction import Transaction

_ADD_OPINION = Prepared(insert(meeting_opinions))
_ADD_PROPOSAL = Prepared(insert(meeting_proposals))
_ADD_VOTE = Prepared(insert(meeting_votes))
_NO_WORDS = CommandTexts()
log = structlog.get_logger("repomesh.meetings")


def conduct(tx: Transaction, row: Any, command: MeetingCommand, words: CommandTexts = _NO_WORDS) -> Meeting:
    """Do something to a meeting; answers how it stands then. Raises what the rules have against it."""
    before = flow.load(row.flow)
    after, effects = rules.step(
        before, command, _away(tx, row.id, before), tx.now, drafting=can_be_written(tx)
    )
    writer = MeetingWriter(tx, row._asdict(), after, words)
    if after == before:
        return rows.as_meeting(writer.columns)
    for event in effects:
        _RECORDERS[type(event)](writer, event)
    return writer.write(before)


def conduct_readable(tx: Transaction, meeting_id: str, command: MeetingCommand) -> bool:
    """Do something to a meeting of many; False for one that is damaged, which keeps no other waiting."""
    try:
        row = rows.find(tx, meeting_id)
        flow.load(row.flow)
    except (DamagedRecord, ValidationError) as error:
        log.error("damaged meeting passed over", meeting_id=meeting_id, reason=str(error))
        return False
    conduct(tx, row, command)
    return True


def can_be_written(tx: Transaction) -> bool:
    """Whether a proposal can be written from the opinions when none stands unopposed.

    The command `meeting.propose` asks a model for it; else a draft is made at once.
    """
    return tx.settings.completions_url is not None


def _away(tx: Transaction, meeting_id: str, state: MeetingState) -> frozenset[str]:
    """Who takes part and is known to be inactive. Who calls is there, whatever was written down of it."""
    if state.phase is None:
        return frozenset()
    return rows.away(tx, meeting_id) - {tx.caller.agent_id or ""}


# -- one recorder for each thing that can happen ---------------------------------------------------


def _joined(writer: MeetingWriter, event: flow.ParticipantJoined) -> None:
    writer.take_in(event.agent_id)
    name = writer.state.names[event.agent_id]
    writer.emit(events.MeetingMember, events.MEETING_JOINED, agent_id=event.agent_id, agent_name=name)


def _left(writer: MeetingWriter, event: flow.ParticipantLeft) -> None:
    name = writer.state.names[event.agent_id]
    writer.emit(events.MeetingMember, events.MEETING_LEFT, agent_id=event.agent_id, agent_name=name)


def _started(writer: MeetingWriter, event: flow.MeetingStarted) -> None:
    writer.emit(events.MeetingChanged, events.MEETING_STARTED)


def _opinion_requested(writer: MeetingWriter, event: flow.OpinionRequested) -> None:
    tx, columns, who = writer.tx, writer.columns, event.agent_id
    said = rows.opinions_of(tx, writer.id, event.round)
    asked = _asked(writer, event.round, event.due_at, columns["opinion_prompt"])
    budget = writer.participants()[who].max_chars
    body = prompts.opinion_request(asked, said, round_before(tx, writer.id, event.round), budget)
    subject = prompts.subject("Your turn to speak", columns["topic"])
    writer.ask([who], "opinion_request", subject, body, event.due_at)
    _emit_turn(writer, events.MEETING_OPINION_REQUESTED, event, event.due_at)


def _turn_skipped(writer: MeetingWriter, event: flow.TurnSkipped) -> None:
    _emit_turn(writer, events.MEETING_TURN_SKIPPED, event, None)


def _opinion_presented(writer: MeetingWriter, event: flow.OpinionPresented) -> None:
    silent = event.kind == "no_response"
    words = CommandTexts(content=NO_RESPONSE) if silent else writer.words
    opinion = Opinion(
        sequence=event.sequence,
        round=event.round,
        agent_id=event.agent_id,
        agent_name=writer.state.names[event.agent_id],
        kind=event.kind,
        content=words.content,
        proposal=words.proposal,
        tasks=list(words.tasks),
        at=writer.tx.now,
    )
    kept = opinion.model_dump(exclude={"truncated", "tasks"}) | {"tasks": _as_json(opinion.tasks)}
    writer.tx.execute(_ADD_OPINION, writer.key(**kept))
    if not silent:
        writer.answered(event.agent_id)
    writer.emit(events.MeetingOpinion, events.MEETING_OPINION_PRESENTED, opinion=opinion)


def _draft_requested(writer: MeetingWriter, event: flow.DraftRequested) -> None:
    when: dict[str, Any] = {"round": event.round, "due_at": event.due_at}
    writer.emit(events.MeetingDraft, events.MEETING_DRAFT_REQUESTED, **when)


def _deadline_moved(writer: MeetingWriter, event: flow.DeadlineMoved) -> None:
    writer.ask_until(event.due_at)
    when: dict[str, Any] = {"round": event.round, "due_at": event.due_at}
    writer.emit(events.MeetingDeadline, events.MEETING_DEADLINE_MOVED, **when)


def _vote_requested(writer: MeetingWriter, event: flow.VoteRequested) -> None:
    said = rows.opinions_of(writer.tx, writer.id, event.round)
    proposal = _proposal(writer, event, said)
    kept = proposal.model_dump(exclude={"tasks"}) | {"tasks": _as_json(proposal.tasks)}
    writer.tx.execute(_ADD_PROPOSAL, writer.key(**kept))
    writer.columns["proposal"] = proposal.text
    asked = _asked(writer, event.round, event.due_at, writer.columns["vote_prompt"])
    subject = prompts.subject("Vote", writer.columns["topic"])
    by_budget: dict[int, list[str]] = defaultdict(list)
    for who in event.electors:
        by_budget[writer.participants()[who].max_chars].append(who)
    for budget, agent_ids in by_budget.items():
        body = prompts.vote_request(asked, said, proposal, budget)
        writer.ask(agent_ids, "consensus_request", subject, body, event.due_at)
    writer.emit(
        events.MeetingVoteRequest,
        events.MEETING_VOTE_REQUESTED,
        round=event.round,
        proposal=proposal,
        elector_ids=list(event.electors),
        due_at=event.due_at,
    )


def _vote_cast(writer: MeetingWriter, event: flow.VoteCast) -> None:
    vote = CastVote(
        round=event.round,
        agent_id=event.agent_id,
        agent_name=writer.state.names[event.agent_id],
        choice=event.choice,
        reason=writer.words.reason,
        amendment=writer.words.amendment,
        at=writer.tx.now,
    )
    writer.tx.execute(_ADD_VOTE, writer.key(**vote.model_dump()))
    writer.answered(event.agent_id)
    writer.emit(events.MeetingVote, events.MEETING_VOTE_CAST, vote=vote)


def _round_completed(writer: MeetingWriter, event: flow.RoundCompleted) -> None:
    absent = [writer.state.names[one] for one in event.absent]
    said: dict[str, Any] = {"round": event.round, "agreed": event.agreed, "absent": absent}
    writer.emit(events.MeetingRound, events.MEETING_ROUND_COMPLETED, **said)


def _consensus_reached(writer: MeetingWriter, event: flow.ConsensusReached) -> None:
    tx, columns = writer.tx, writer.columns
    proposal = rows.proposals_of(tx, writer.id, event.round)[event.round]
    positions = _positions(writer, event.round)
    said = {one.sequence: one for one in rows.opinions_of(tx, writer.id, event.round)}
    decision, told = decision_rows.add(
        tx,
        proposal.tasks,
        topic=columns["topic"],
        decision=proposal.text,
        rationale=prompts.rationale(said.get(proposal.sequence or 0), positions),
        meeting_id=writer.id,
        round=event.round,
        consensus=writer.state.terms.consensus,
        positions=[one.model_dump() for one in positions],
        related_message_ids=columns["related_message_ids"],
        related_task_ids=columns["related_task_ids"],
        supersedes_id=decision_rows.still_active(tx, columns["supersedes_id"]),
    )
    columns["decision_id"] = decision.id
    body = prompts.decided(decision.decision, positions, MEETING_REQUEST_CHARS_DEFAULT)
    writer.notify(prompts.subject("Decided", columns["topic"]), body)
    reached: dict[str, Any] = {"round": event.round, "decision": decision}
    writer.emit(events.MeetingConsensus, events.MEETING_CONSENSUS_REACHED, **reached)
    for one in told:
        writer.also(one)


def _no_consensus(writer: MeetingWriter, event: flow.NoConsensus) -> None:
    tx, columns = writer.tx, writer.columns
    names = list(writer.state.names.values())
    votes = rows.votes_of(tx, writer.id, event.round)
    summary = prompts.summary(columns["topic"], names, rows.opinions_of(tx, writer.id), votes)
    columns["summary"] = summary
    body = prompts.shortened(summary, MEETING_REQUEST_CHARS_DEFAULT)
    writer.notify(prompts.subject("No consensus", columns["topic"]), body)
    said: dict[str, Any] = {"round": event.round, "summary": summary}
    writer.emit(events.MeetingNoConsensus, events.MEETING_NO_CONSENSUS, **said)


def _completed(writer: MeetingWriter, event: flow.MeetingCompleted) -> None:
    writer.emit(events.MeetingChanged, events.MEETING_COMPLETED)


def _cancelled(writer: MeetingWriter, event: flow.Cancelled) -> None:
    writer.columns["reason"] = writer.words.reason
    if writer.columns["started_at"] is not None:
        subject = prompts.subject("Cancelled", writer.columns["topic"])
        writer.notify(subject, writer.words.reason or "The meeting was cancelled.")
    writer.emit(events.MeetingChanged, events.MEETING_CANCELLED)


_RECORDERS: dict[type[Any], Callable[[MeetingWriter, Any], None]] = {
    flow.ParticipantJoined: _joined,
    flow.ParticipantLeft: _left,
    flow.MeetingStarted: _started,
    flow.OpinionRequested: _opinion_requested,
    flow.OpinionPresented: _opinion_presented,
    flow.TurnSkipped: _turn_skipped,
    flow.DraftRequested: _draft_requested,
    flow.DeadlineMoved: _deadline_moved,
    flow.VoteRequested: _vote_requested,
    flow.VoteCast: _vote_cast,
    flow.RoundCompleted: _round_completed,
    flow.ConsensusReached: _consensus_reached,
    flow.NoConsensus: _no_consensus,
    flow.MeetingCompleted: _completed,
    flow.Cancelled: _cancelled,
}


# -- what they share -------------------------------------------------------------------------------


def round_before(tx: Transaction, meeting_id: str, round_: int) -> list[str]:
    """What the participants of a round are told of the vote before it."""
    if round_ == 1:
        return []
    before = round_ - 1
    proposal = rows.proposals_of(tx, meeting_id, before).get(before)
    return prompts.dissent(proposal, rows.votes_of(tx, meeting_id, before))


def _emit_turn(writer: MeetingWriter, type_: str, event: Any, due_at: Any) -> None:
    who = event.agent_id
    said = {"agent_id": who, "agent_name": writer.state.names[who], "round": event.round, "due_at": due_at}
    writer.emit(events.MeetingTurn, type_, recipient_id=who, **said)


def _asked(writer: MeetingWriter, round_: int, due_at: Any, prompt: str) -> prompts.PromptHeader:
    columns, rounds_max = writer.columns, writer.state.terms.rounds_max
    topic, agenda = columns["topic"], columns["agenda"]
    return prompts.PromptHeader(writer.id, topic, round_, rounds_max, agenda, prompt, due_at)


def _proposal(writer: MeetingWriter, event: flow.VoteRequested, said: list[Opinion]) -> Proposal:
    """What a round votes on, in words."""
    if event.source == "written":
        text, opinion = writer.words.content, None
    elif event.source == "draft":
        text, opinion = prompts.draft(said)
    else:
        opinion = next(one for one in said if one.sequence == event.sequence)
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


def _positions(writer: MeetingWriter, round_: int) -> list[Position]:
    """Where everybody stood in the vote of a round, in the order of the participants."""
    votes = {vote.agent_id: vote for vote in rows.votes_of(writer.tx, writer.id) if vote.round == round_}
    return [
        Position(
            agent_id=one,
            agent_name=name,
            choice=votes[one].choice if one in votes else None,
            reason=votes[one].reason if one in votes else "",
            amendment=votes[one].amendment if one in votes else None,
        )
        for one, name in writer.state.names.items()
        if one in votes or one in writer.state.present
    ]


def _as_json(tasks: list[Any]) -> list[Any]:
    return [task.model_dump(mode="json") for task in tasks]
