"""The claims of the demo's meeting, each checked in the event log or the minutes.

The docstring of a claim is the sentence that the demo prints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from repomesh.cli.demo.participant import AMENDED, DISSENT, OVER_MCP, OVER_SOCKET, ROLES, TASK
from repomesh.cli.demo.verdicts import (
    ClaimNotFound,
    Event,
    RunRecord,
    log_is_gapless,
    require,
    require_killed,
)


@dataclass(kw_only=True)
class MeetingRecord(RunRecord):
    """Results of a finished meeting, with the number of sockets that were open at its start."""

    meeting: dict[str, Any] = field(default_factory=dict)
    minutes: str = ""
    sockets: int = 0

    def opinion(self, name: str, round_: int) -> Event | None:
        """Return the recorded opinion of a participant in a round, if any."""

        def fits(event: Event) -> bool:
            opinion = event["data"]["opinion"]
            return (opinion["agent_name"], opinion["round"]) == (name, round_)

        return next((event for event in self.events("meeting.opinion_presented") if fits(event)), None)

    def request(self, name: str, round_: int) -> Event:
        """Return the request to speak that a participant got in a round; raises ClaimNotFound."""

        def fits(event: Event) -> bool:
            return (event["data"]["agent_name"], event["data"]["round"]) == (name, round_)

        return self.first("meeting.opinion_requested", f"of {name} in round {round_}", fits)

    def votes(self, round_: int) -> dict[str, str]:
        """Return the choices of a round by participant."""
        cast = (event["data"]["vote"] for event in self.events("meeting.vote_cast"))
        return {vote["agent_name"]: vote["choice"] for vote in cast if vote["round"] == round_}


def took_their_seats(record: MeetingRecord) -> str:
    """Four processes took part: two over MCP, two over a WebSocket."""
    registered = {event["data"]["agent"]["name"]: event["seq"] for event in record.events("agent.registered")}
    joined = {event["data"]["agent_name"]: event["seq"] for event in record.events("meeting.joined")}
    require(len(record.exit_codes) == len(ROLES), f"{len(record.exit_codes)} processes were started")
    require(set(OVER_MCP) <= registered.keys(), "not both registered over MCP")
    require(set(OVER_SOCKET) <= joined.keys(), "not both joined over their sockets")
    require(record.sockets == len(OVER_SOCKET), f"{record.sockets} sockets were open")
    by_tool = ", ".join(f"{registered[name]} ({name})" for name in OVER_MCP)
    return f"registered by tool in events {by_tool}; {record.sockets} sockets open at the start"


def was_killed_in_its_turn(record: MeetingRecord) -> str:
    """One was killed in its turn, before it said anything."""
    require_killed(record, "ben")
    request = record.request("ben", 1)
    opinion = record.opinion("ben", 1)
    require(opinion is None or opinion["data"]["opinion"]["kind"] == "no_response", "ben spoke")
    return f"ben, by SIGKILL; asked in event {request['seq']}"


def went_on_without_it(record: MeetingRecord) -> str:
    """The meeting went on without the dead one."""
    skipped = (
        event for event in record.events("meeting.turn_skipped") if event["data"]["agent_name"] == "ben"
    )
    turn_end = record.opinion("ben", 1) or next(skipped, None)
    if turn_end is None:
        raise ClaimNotFound("ben's turn did not end")
    next_request = record.request("cleo", 1)
    require(turn_end["seq"] < next_request["seq"], "the next was asked before ben's turn was over")
    reason = (
        "its time ran out" if turn_end["type"] == "meeting.opinion_presented" else "it was known to be gone"
    )
    return f"event {turn_end['seq']}: {reason}; cleo was asked in event {next_request['seq']}"


def waited_no_longer_for_the_slow_one(record: MeetingRecord) -> str:
    """The slow one missed its deadline, its late opinion was refused, and it was heard in the next round."""
    missed, heard = record.opinion("cleo", 1), record.opinion("cleo", 2)
    if missed is None or heard is None:
        raise ClaimNotFound("cleo's turns are not both on record")
    require(missed["data"]["opinion"]["kind"] == "no_response", "cleo spoke in time")
    require(heard["data"]["opinion"]["kind"] != "no_response", "cleo was not heard in round 2")
    late = record.refusals("meeting.speak", "turn_over")
    require(late > 0, "no late opinion was refused")
    text = missed["data"]["opinion"]["content"]
    return f"event {missed['seq']}: {text}; {late} late opinion refused; heard in event {heard['seq']}"


def spoke_one_at_a_time(record: MeetingRecord) -> str:
    """One was asked at a time, and nobody had two turns in a round."""
    speaker, turns = None, []
    for event in record.events(
        "meeting.opinion_requested", "meeting.opinion_presented", "meeting.turn_skipped"
    ):
        if event["type"] == "meeting.opinion_requested":
            require(speaker is None, f"event {event['seq']} asks while {speaker} is asked")
            speaker = event["data"]["agent_name"]
            turns.append((event["data"]["round"], speaker))
        elif event["type"] == "meeting.opinion_presented" or speaker == event["data"]["agent_name"]:
            speaker = None
    require(bool(turns) and len(turns) == len(set(turns)), "somebody was asked twice, or nobody at all")
    return f"{len(turns)} turns: {', '.join(f'{name} in {round_}' for round_, name in turns)}"


def voted_when_all_were_heard(record: MeetingRecord) -> str:
    """In both rounds the vote came after all opinions."""
    evidence = []
    for round_ in (1, 2):
        last_opinion = max((event["seq"] for event in _opinions(record, round_)), default=0)
        votes = record.events("meeting.vote_cast")
        cast = [event["seq"] for event in votes if event["data"]["vote"]["round"] == round_]
        in_order = bool(last_opinion and cast) and last_opinion < min(cast)
        require(in_order, f"round {round_}: opinions to {last_opinion}, votes {cast}")
        evidence.append(f"opinions to event {last_opinion}, votes from {min(cast)}")
    return "; ".join(evidence)


def disagreed_first(record: MeetingRecord) -> str:
    """The first round was not carried."""
    completed = record.first(
        "meeting.round_completed", "of round 1", lambda event: event["data"]["round"] == 1
    )
    require(not completed["data"]["agreed"], "round 1 was carried")
    return f"event {completed['seq']}: {_votes_as_text(record.votes(1))}"


def dissenters_spoke_first(record: MeetingRecord) -> str:
    """The second round began with those who dissented."""
    dissenters = [name for name, choice in record.votes(1).items() if choice == "disagree"]
    speakers = [
        event["data"]["agent_name"]
        for event in record.events("meeting.opinion_requested")
        if event["data"]["round"] == 2
    ]
    require(bool(dissenters), "nobody dissented in round 1")
    require(
        set(speakers[: len(dissenters)]) == set(dissenters),
        f"round 2 began with {', '.join(speakers) or 'nobody'}",
    )
    return f"{' and '.join(speakers[: len(dissenters)])}, then {' and '.join(speakers[len(dissenters) :])}"


def decided_against_one(record: MeetingRecord) -> str:
    """The second round was carried by two thirds, against one whose reason is kept."""
    reached = record.first("meeting.consensus_reached")
    decision = reached["data"]["decision"]
    require(reached["data"]["round"] == 2, "another round was carried")
    require(decision["decision"] == AMENDED, f"it decided: {decision['decision']}")
    dissent = [(vote["agent_name"], vote["reason"]) for vote in decision["dissent"]]
    require(dissent == [("dora", DISSENT)], f"dissent: {dissent}")
    require({vote["agent_name"] for vote in decision["agreement"]} == {"ada", "cleo"}, "not the two agreed")
    recorded = record.first("decision.recorded", "of the meeting")
    require(
        record.meeting.get("decision_id") == recorded["data"]["decision"]["id"], "another decision stands"
    )
    return f"event {recorded['seq']}: {_votes_as_text(record.votes(2))}"


def made_its_task(record: MeetingRecord) -> str:
    """The decision made its task, in the transaction of the last vote."""
    created = record.first("task.created", "for it", lambda event: event["data"]["task"]["goal"] == TASK)
    recorded = record.first("decision.recorded")
    require(created["data"]["task"]["id"] in recorded["data"]["decision"]["task_ids"], "it is another's task")
    completed = record.first("meeting.completed")
    times = {event["at"] for event in record.log if created["seq"] <= event["seq"] <= completed["seq"]}
    require(len(times) == 1, "it was made apart from the decision")
    return f"events {created['seq']} to {completed['seq']}, all of one moment: {TASK}"


def wrote_the_minutes(record: MeetingRecord) -> str:
    """The minutes hold the decision, the silence, the dissent and its reason."""
    texts = (f"> {AMENDED}", "[No response - timeout]", "- Dissented: dora", DISSENT, "- Agreed: ada, cleo")
    missing = [text for text in texts if text not in record.minutes]
    require(not missing, f"they lack: {'; '.join(missing)}")
    return f"{len(record.minutes.splitlines())} lines of Markdown"


CLAIMS: tuple[Callable[[MeetingRecord], str], ...] = (
    took_their_seats,
    was_killed_in_its_turn,
    went_on_without_it,
    waited_no_longer_for_the_slow_one,
    spoke_one_at_a_time,
    voted_when_all_were_heard,
    disagreed_first,
    dissenters_spoke_first,
    decided_against_one,
    made_its_task,
    wrote_the_minutes,
    log_is_gapless,
)
"""All claims, in order; each returns its evidence, or raises ClaimNotFound."""


def _opinions(record: MeetingRecord, round_: int) -> Iterator[Event]:
    presented = record.events("meeting.opinion_presented")
    return (event for event in presented if event["data"]["opinion"]["round"] == round_)


def _votes_as_text(votes: dict[str, str]) -> str:
    return ", ".join(f"{name} {choice}" for name, choice in votes.items())
