"""Whether the meeting of the demo went as told: each claim is looked up in the event log and its minutes."""

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
    """What is left when the meeting is over."""

    meeting: dict[str, Any] = field(default_factory=dict)
    minutes: str = ""
    sockets: int = 0

    def opinion(self, name: str, round_: int) -> Event | None:
        """What stands on record of somebody in a round."""

        def fits(event: Event) -> bool:
            said = event["data"]["opinion"]
            return (said["agent_name"], said["round"]) == (name, round_)

        return next((event for event in self.events_of("meeting.opinion_presented") if fits(event)), None)

    def asked(self, name: str, round_: int) -> Event:
        """The request to speak that somebody got in a round; raises Missing."""

        def fits(event: Event) -> bool:
            return (event["data"]["agent_name"], event["data"]["round"]) == (name, round_)

        return self.first("meeting.opinion_requested", f"of {name} in round {round_}", fits)

    def votes(self, round_: int) -> dict[str, str]:
        """What each voted in a round."""
        cast = (event["data"]["vote"] for event in self.events_of("meeting.vote_cast"))
        return {vote["agent_name"]: vote["choice"] for vote in cast if vote["round"] == round_}


def took_their_seats(seen: MeetingRecord) -> str:
    """Four processes took part: two over MCP, two over a WebSocket."""
    registered = {
        event["data"]["agent"]["name"]: event["seq"] for event in seen.events_of("agent.registered")
    }
    joined = {event["data"]["agent_name"]: event["seq"] for event in seen.events_of("meeting.joined")}
    require(len(seen.exit_codes) == len(ROLES), f"{len(seen.exit_codes)} processes were started")
    require(set(OVER_MCP) <= registered.keys(), "not both registered over MCP")
    require(set(OVER_SOCKET) <= joined.keys(), "not both joined over their sockets")
    require(seen.sockets == len(OVER_SOCKET), f"{seen.sockets} sockets were open")
    by_tool = ", ".join(f"{registered[name]} ({name})" for name in OVER_MCP)
    return f"registered by tool in events {by_tool}; {seen.sockets} sockets open at the start"


def was_killed_in_its_turn(seen: MeetingRecord) -> str:
    """One was killed in its turn, before it said anything."""
    require_killed(seen, "ben")
    asked = seen.asked("ben", 1)
    said = seen.opinion("ben", 1)
    require(said is None or said["data"]["opinion"]["kind"] == "no_response", "ben spoke")
    return f"ben, by SIGKILL; asked in event {asked['seq']}"


def went_on_without_it(seen: MeetingRecord) -> str:
    """The meeting went on without the dead one."""
    skipped = (
        event for event in seen.events_of("meeting.turn_skipped") if event["data"]["agent_name"] == "ben"
    )
    over = seen.opinion("ben", 1) or next(skipped, None)
    if over is None:
        raise ClaimNotFound("ben's turn did not end")
    following = seen.asked("cleo", 1)
    require(over["seq"] < following["seq"], "the next was asked before ben's turn was over")
    why = "its time ran out" if over["type"] == "meeting.opinion_presented" else "it was known to be gone"
    return f"event {over['seq']}: {why}; cleo was asked in event {following['seq']}"


def waited_no_longer_for_the_slow_one(seen: MeetingRecord) -> str:
    """The slow one missed its deadline, its late opinion was refused, and it was heard in the next round."""
    missed, heard = seen.opinion("cleo", 1), seen.opinion("cleo", 2)
    if missed is None or heard is None:
        raise ClaimNotFound("cleo's turns are not both on record")
    require(missed["data"]["opinion"]["kind"] == "no_response", "cleo spoke in time")
    require(heard["data"]["opinion"]["kind"] != "no_response", "cleo was not heard in round 2")
    late = seen.refusals("meeting.speak", "turn_over")
    require(late > 0, "no late opinion was refused")
    text = missed["data"]["opinion"]["content"]
    return f"event {missed['seq']}: {text}; {late} late opinion refused; heard in event {heard['seq']}"


def spoke_one_at_a_time(seen: MeetingRecord) -> str:
    """One was asked at a time, and nobody had two turns in a round."""
    speaker, turns = None, []
    for event in seen.events_of(
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


def voted_when_all_were_heard(seen: MeetingRecord) -> str:
    """In both rounds the vote came after all opinions."""
    told = []
    for round_ in (1, 2):
        last = max((one["seq"] for one in _opinions(seen, round_)), default=0)
        cast = [
            one["seq"]
            for one in seen.events_of("meeting.vote_cast")
            if one["data"]["vote"]["round"] == round_
        ]
        require(bool(last and cast) and last < min(cast), f"round {round_}: opinions to {last}, votes {cast}")
        told.append(f"opinions to event {last}, votes from {min(cast)}")
    return "; ".join(told)


def disagreed_first(seen: MeetingRecord) -> str:
    """The first round was not carried."""
    over = seen.first("meeting.round_completed", "of round 1", lambda event: event["data"]["round"] == 1)
    require(not over["data"]["agreed"], "round 1 was carried")
    return f"event {over['seq']}: {_votes_as_text(seen.votes(1))}"


def dissenters_spoke_first(seen: MeetingRecord) -> str:
    """The second round began with those who dissented."""
    against = [name for name, choice in seen.votes(1).items() if choice == "disagree"]
    asked = [
        event["data"]["agent_name"]
        for event in seen.events_of("meeting.opinion_requested")
        if event["data"]["round"] == 2
    ]
    require(bool(against), "nobody dissented in round 1")
    require(set(asked[: len(against)]) == set(against), f"round 2 began with {', '.join(asked) or 'nobody'}")
    return f"{' and '.join(asked[: len(against)])}, then {' and '.join(asked[len(against) :])}"


def decided_against_one(seen: MeetingRecord) -> str:
    """The second round was carried by two thirds, against one whose reason is kept."""
    reached = seen.first("meeting.consensus_reached")
    made = reached["data"]["decision"]
    require(reached["data"]["round"] == 2, "another round was carried")
    require(made["decision"] == AMENDED, f"it decided: {made['decision']}")
    stood = [(one["agent_name"], one["reason"]) for one in made["dissent"]]
    require(stood == [("dora", DISSENT)], f"dissent: {stood}")
    require({one["agent_name"] for one in made["agreement"]} == {"ada", "cleo"}, "not the two agreed")
    recorded = seen.first("decision.recorded", "of the meeting")
    require(seen.meeting.get("decision_id") == recorded["data"]["decision"]["id"], "another decision stands")
    return f"event {recorded['seq']}: {_votes_as_text(seen.votes(2))}"


def made_its_task(seen: MeetingRecord) -> str:
    """The decision made its task, in the transaction of the last vote."""
    made = seen.first("task.created", "for it", lambda event: event["data"]["task"]["goal"] == TASK)
    recorded = seen.first("decision.recorded")
    require(made["data"]["task"]["id"] in recorded["data"]["decision"]["task_ids"], "it is another's task")
    over = seen.first("meeting.completed")
    times = {event["at"] for event in seen.log if made["seq"] <= event["seq"] <= over["seq"]}
    require(len(times) == 1, "it was made apart from the decision")
    return f"events {made['seq']} to {over['seq']}, all of one moment: {TASK}"


def wrote_the_minutes(seen: MeetingRecord) -> str:
    """The minutes hold the decision, the silence, the dissent and its reason."""
    wanted = (f"> {AMENDED}", "[No response - timeout]", "- Dissented: dora", DISSENT, "- Agreed: ada, cleo")
    missing = [one for one in wanted if one not in seen.minutes]
    require(not missing, f"they lack: {'; '.join(missing)}")
    return f"{len(seen.minutes.splitlines())} lines of Markdown"


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
"""The story, claim by claim; each answers where it is written, or raises Missing."""


def _opinions(seen: MeetingRecord, round_: int) -> Iterator[Event]:
    presented = seen.events_of("meeting.opinion_presented")
    return (event for event in presented if event["data"]["opinion"]["round"] == round_)


def _votes_as_text(votes: dict[str, str]) -> str:
    return ", ".join(f"{name} {choice}" for name, choice in votes.items())
