"""How meetings and decisions look in a terminal: as a page, and event by event."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from repomesh.cli import output

ENDED = frozenset({"completed", "cancelled"})
"""The states of a meeting in which nothing more comes."""
_VERBS = {"agree": "agrees", "disagree": "disagrees", "abstain": "abstains"}
_STOOD = (
    ("agreement", "agreed"),
    ("dissent", "dissented"),
    ("abstentions", "abstained"),
    ("absent", "did not vote"),
)
_NAME_CHARS = 24  # a longer name moves its row to the right
_BEGINNING_CHARS = 80  # of a message that a decision concerns


def meeting(shown: Mapping[str, Any]) -> list[str]:
    """A meeting: how it stands, whom it waits for, and what was said, proposed, voted and decided."""
    lines = [*_titled(shown["topic"]), _standing(shown), _terms(shown), output.dim(shown["id"])]
    linked = [
        _count(shown[f"related_{noun}_ids"], noun)
        for noun in ("message", "task")
        if shown[f"related_{noun}_ids"]
    ]
    lines += [f"concerns {' and '.join(linked)}"] if linked else []
    lines += _waiting(shown)
    if shown["agenda"]:
        lines += ["", output.bold("Agenda")]
        lines += [f"  {number}. {_line(item)}" for number, item in enumerate(shown["agenda"], 1)]
    lines += ["", output.bold("Participants"), *_participants(shown)]
    for one in shown.get("rounds") or ():
        lines += _round(one)
    lines += _outcome(shown)
    if shown.get("omitted"):
        lines += ["", output.clean(shown["omitted"])]
    return lines


def decision(shown: Mapping[str, Any]) -> list[str]:
    """A decision: what holds, why, who stood where, and what it concerns."""
    where = f"meeting {shown['meeting_id']}, round {shown['round']}, {shown['consensus']}"
    by = where if shown["meeting_id"] else f"recorded by {_line(shown['recorded_by'] or 'the owner')}"
    lines = [
        *_titled(shown["topic"]),
        f"{shown['status']} · {by} · {output.when(shown['created_at'])}",
        output.dim(shown["id"]),
        "",
        *_indented(shown["decision"]),
    ]
    if shown["status"] != "active":
        lines += ["", _fallen(shown)]
    lines += ["", output.bold("Votes"), *_stood(shown)] if shown["meeting_id"] else []
    if shown["rationale"]:
        lines += ["", output.bold("Why"), *_indented(shown["rationale"])]
    lines += _concerned(shown)
    if shown.get("omitted"):
        lines += ["", output.clean(shown["omitted"])]
    return lines


def request(shown: Mapping[str, Any]) -> list[str]:
    """What a meeting asks of somebody, and what was said before."""
    asked = {
        "opinion_request": "You are asked to speak",
        "consensus_request": "You are asked to vote",
        None: "Nothing is asked of you now",
    }[shown["type"]]
    until = f", until {output.when(shown['due_at'])}" if shown["due_at"] else ""
    lines = [*_titled(shown["topic"]), f"{asked}{until}."]
    lines += [_line(shown["prompt"])] if shown["type"] and shown["prompt"] else []
    if shown["before"]:
        lines += ["", output.bold("Before"), *_indented("\n".join(shown["before"]))]
    for said in shown["opinions"]:
        lines += ["", _speaker(said), *_indented(said["content"])]
    if shown["proposal"]:
        lines += ["", output.bold("Proposal"), *_indented(shown["proposal"])]
    return lines


def topics(found: Mapping[str, Any]) -> list[str]:
    """Suggested topics, with their numbers, and how a meeting on one is called."""
    lines: list[str] = []
    for number, one in enumerate(found["suggested_topics"], 1):
        who = _line(one["suggested_participants"]) or "nobody in service"
        counts = f"{_count(one['related_messages'], 'message')}, {_count(one['related_tasks'], 'task')}"
        lines += [
            f"{number}. {output.bold(_line(one['topic']))}  {one['priority']:.2f}",
            f"   {_line(one['reason'])}",
            f"   {output.dim(f'with {who}; {counts}')}",
        ]
    if lines:
        lines += ["", "call one with: repomesh meeting create --suggested NUMBER"]
    if found.get("omitted"):
        lines += [output.clean(found["omitted"])]
    return lines


def event(told: Mapping[str, Any]) -> list[str]:
    """What happened in a meeting, the first line without its time; nothing for what says no more than
    the events beside it."""
    say = _EVENTS.get(told["type"])
    return list(say(told["data"])) if say else []


# -- the page of a meeting -------------------------------------------------------------------------


def _standing(shown: Mapping[str, Any]) -> str:
    parts = [shown["status"].replace("_", " ")]
    if shown["outcome"] and shown["outcome"] != shown["status"]:
        parts.append(shown["outcome"].replace("_", " "))
    if shown["round"]:
        parts.append(f"round {shown['round']} of {shown['max_discussion_rounds']}")
    if shown["phase"]:
        parts.append(shown["phase"])
    return " · ".join(parts)


def _terms(shown: Mapping[str, Any]) -> str:
    rule = shown["consensus"].replace("_", " ")
    quorum = f" of {shown['quorum']}" if shown["quorum"] else ""
    by = _line(shown["created_by"] or "the owner")
    chair = f", chair {_line(shown['chair_name'])}" if shown["chair_name"] else ""
    return f"rule: {rule}{quorum}; called by {by} {output.when(shown['created_at'])}{chair}"


def _waiting(shown: Mapping[str, Any]) -> list[str]:
    """Whom it waits for, and until when."""
    until = f" until {output.when(shown['due_at'])}" if shown["due_at"] else ""
    if shown["status"] == "pending":
        return ["", "It waits for its start."]
    if shown["phase"] == "discussion" and shown["speaker_name"]:
        return ["", f"It is {output.bold(_line(shown['speaker_name']))}'s turn{until}."]
    if shown["phase"] == "drafting":
        return ["", f"A proposal is being written{until}."]
    if shown["phase"] == "voting":
        missing = [one["agent_name"] for one in shown["participants"] if one["turn"] and not one["vote"]]
        return ["", f"It waits for the votes of {_line(missing)}{until}."]
    return []


def _participants(shown: Mapping[str, Any]) -> Iterator[str]:
    width = max((len(one["agent_name"]) for one in shown["participants"]), default=0)
    for one in shown["participants"]:
        words = [one["status"], one["turn"] or "", _VERBS.get(one["vote"] or "", "")]
        told = " · ".join(word.replace("_", " ") for word in words if word)
        yield f"  {_line(one['agent_name']):<{min(width, _NAME_CHARS)}}  {told}"


def _round(one: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", output.bold(f"Round {one['number']}"))
    for said in one["opinions"]:
        yield from ("", f"  {_speaker(said)}", *_indented(said["content"], 4))
        if said["proposal"] and said["proposal"] != said["content"]:
            yield from ("    It proposes:", *_indented(said["proposal"], 6))
    if one["proposal"]:
        yield from ("", f"  {_voted_on(one['proposal'])}", *_indented(one["proposal"]["text"], 4), "")
    for vote in one["votes"]:
        yield from (f"  {line}" for line in _vote(vote))


def _outcome(shown: Mapping[str, Any]) -> list[str]:
    if shown.get("decision"):
        made = shown["decision"]
        head = f"{output.bold('Decision')}  {output.dim(made['id'])}"
        fallen = [] if made["status"] == "active" else [f"  {_fallen(made)}"]
        return ["", head, *_indented(made["decision"]), *fallen, *_stood(made)]
    if shown["summary"]:
        return ["", output.bold("No consensus"), *_indented(shown["summary"])]
    if shown["status"] == "cancelled":
        return ["", f"Cancelled: {_line(shown['reason'] or 'no reason was given')}"]
    return []


# -- the page of a decision ------------------------------------------------------------------------


def _fallen(shown: Mapping[str, Any]) -> str:
    """Why a decision does not hold any more."""
    instead = f" by {shown['superseded_by_id']}" if shown["superseded_by_id"] else ""
    by = f" by {shown['overruled_by']}" if shown["overruled_by"] else ""
    return _line(f"It is {shown['status']}{instead}{by}: {shown['reason']}")


def _stood(shown: Mapping[str, Any]) -> Iterator[str]:
    for name, word in _STOOD:
        for one in shown[name]:
            why = f": {_line(one['reason'])}" if one["reason"] else ""
            yield f"  {_line(one['agent_name'])} {word}{why}"
            if one["amendment"]:
                yield f"    would change: {_line(one['amendment'])}"


def _concerned(shown: Mapping[str, Any]) -> Iterator[str]:
    """The messages and tasks that a decision concerns, or made; only ids where that is all there is."""
    for title, whole, ids in (
        ("Made tasks", shown.get("tasks"), shown["task_ids"]),
        ("Concerns tasks", shown.get("related_tasks"), shown["related_task_ids"]),
        ("Concerns messages", shown.get("related_messages"), shown["related_message_ids"]),
    ):
        if ids:
            yield from ("", output.bold(title))
            told = {one["id"]: _in_short(one) for one in whole or ()}
            yield from (f"  {id_}  {told.get(id_, '')}".rstrip() for id_ in ids)
    if shown["supersedes_id"]:
        yield from ("", f"In place of {shown['supersedes_id']}.")


def _in_short(one: Mapping[str, Any]) -> str:
    if "goal" in one:
        return f"{one['status']}: {_line(one['goal'])}"
    text = one["subject"] or " ".join(one["body"].split())[:_BEGINNING_CHARS]
    return f"{_line(one['sender_name'])}: {_line(text)}"


# -- what happened ---------------------------------------------------------------------------------


def _created(data: Mapping[str, Any]) -> list[str]:
    who = _line([one["agent_name"] for one in data["meeting"]["participants"]]) or "nobody yet"
    return [f"called, with {who}: {_title(data['meeting']['topic'])}"]


def _asked(data: Mapping[str, Any]) -> list[str]:
    until = f" until {_clock(data['due_at'])}" if data["due_at"] else ""
    return [f"round {data['round']}: {_name(data)} is asked to speak{until}"]


def _presented(data: Mapping[str, Any]) -> Iterator[str]:
    said = data["opinion"]
    yield _speaker(said)
    yield from _indented(said["content"])
    if said["proposal"] and said["proposal"] != said["content"]:
        yield from ("  It proposes:", *_indented(said["proposal"], 4))


def _requested(data: Mapping[str, Any]) -> list[str]:
    voted_on = data["proposal"]
    until = _clock(data["due_at"])
    return [
        f"round {data['round']}: all vote until {until}. {_voted_on(voted_on)}",
        *_indented(voted_on["text"]),
    ]


def _completed_round(data: Mapping[str, Any]) -> list[str]:
    how = "carried" if data["agreed"] else "not carried"
    absent = f"; no vote of {_line(data['absent'])}" if data["absent"] else ""
    return [f"round {data['round']} is over: {how}{absent}"]


def _reached(data: Mapping[str, Any]) -> list[str]:
    made = data["decision"]
    head = f"{output.bold('decided')}  {output.dim(made['id'])}"
    return [head, *_indented(made["decision"]), *_stood(made)]


def _over(data: Mapping[str, Any]) -> list[str]:
    return [f"the meeting is over: {(data['meeting']['outcome'] or '').replace('_', ' ')}"]


_EVENTS: dict[str, Callable[[Mapping[str, Any]], Sequence[str] | Iterator[str]]] = {
    "meeting.created": _created,
    "meeting.joined": lambda data: [f"{_name(data)} joins"],
    "meeting.left": lambda data: [f"{_name(data)} leaves"],
    "meeting.started": lambda data: [f"it begins: {_title(data['meeting']['topic'])}"],
    "meeting.opinion_requested": _asked,
    "meeting.opinion_presented": _presented,
    "meeting.turn_skipped": lambda data: [f"{_name(data)} is inactive and passed over"],
    "meeting.draft_requested": lambda _data: ["no proposal stands, so one is being written"],
    "meeting.vote_requested": _requested,
    "meeting.vote_cast": lambda data: _vote(data["vote"]),
    "meeting.round_completed": _completed_round,
    "meeting.consensus_reached": _reached,
    "meeting.no_consensus": lambda data: ["no consensus", *_indented(data["summary"])],
    "meeting.completed": _over,
    "meeting.cancelled": lambda data: [
        f"cancelled: {_line(data['meeting']['reason'] or 'no reason was given')}"
    ],
    "decision.superseded": lambda data: [_fallen(data["decision"])],
    "decision.overruled": lambda data: [_fallen(data["decision"])],
}


# -- what they share -------------------------------------------------------------------------------


def _titled(topic: str) -> list[str]:
    """A topic to the letter: its first line stands out."""
    first, *rest = output.clean(topic).splitlines() or [""]
    return [output.bold(first), *(f"  {line}" for line in rest)]


def _title(topic: str) -> str:
    return output.bold(_line(topic))


def _line(said: str | Sequence[str]) -> str:
    """Words of others on one line, so that they can't look like lines of ours."""
    text = said if isinstance(said, str) else ", ".join(said)
    return " ".join(output.clean(text).split())


def _name(data: Mapping[str, Any]) -> str:
    return output.bold(_line(data["agent_name"]))


def _speaker(said: Mapping[str, Any]) -> str:
    kind = said["kind"].replace("_", " ")
    return f"{_name(said)} ({kind}, #{said['sequence']})"


def _voted_on(proposal: Mapping[str, Any]) -> str:
    by = f", {_line(proposal['agent_name'])}" if proposal["agent_name"] else ""
    return f"Voted on ({proposal['source']}{by}):"


def _vote(vote: Mapping[str, Any]) -> list[str]:
    why = f": {_line(vote['reason'])}" if vote["reason"] else ""
    lines = [f"{_name(vote)} {_VERBS[vote['choice']]}{why}"]
    return lines + ([f"  would change: {_line(vote['amendment'])}"] if vote["amendment"] else [])


def _indented(text: str, by: int = 2) -> list[str]:
    return [f"{' ' * by}{line}".rstrip() for line in output.clean(text).splitlines()]


def _clock(moment: str) -> str:
    """A time for those who may read of it later."""
    return f"{moment[:19].replace('T', ' ')} UTC"


def _count(items: Sequence[Any], word: str) -> str:
    return f"{len(items)} {word}{'' if len(items) == 1 else 's'}"
