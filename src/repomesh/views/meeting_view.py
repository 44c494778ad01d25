"""Meetings and decisions: each as a page, and event by event.

Each function takes the JSON of an answer or event and returns lines without their ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from repomesh.views.terminal_text import TextStyle, clean, counted

ENDED = frozenset({"completed", "cancelled"})
"""The states of a meeting in which nothing more comes."""
_SOURCES = {
    "chair": "the chair's proposal",
    "unopposed": "{name}'s proposal, the last one without an objection",
    "written": "a proposal that the language model wrote",
    "draft": "a draft of the opinions, since no proposal was free of objections",
}
_VERBS = {"agree": "agrees", "disagree": "disagrees", "abstain": "abstains"}
_STOOD = (
    ("agreement", "agreed"),
    ("dissent", "dissented"),
    ("abstentions", "abstained"),
    ("absent", "did not vote"),
)
_NAME_CHARS = 24  # a longer name moves its row to the right
_BEGINNING_CHARS = 80  # of a message that a decision concerns


def meeting_page(style: TextStyle, meeting: Mapping[str, Any]) -> list[str]:
    """Return a meeting: its state, whom it waits for, its opinions, proposals, votes and decision."""
    lines = [
        *_titled(style, meeting["topic"]),
        _standing(meeting),
        _terms(style, meeting),
        style.dim(style.short_id(meeting["id"])),
    ]
    linked = [
        counted(len(meeting[f"related_{noun}_ids"]), noun)
        for noun in ("message", "task")
        if meeting[f"related_{noun}_ids"]
    ]
    lines += [f"concerns {' and '.join(linked)}"] if linked else []
    lines += _waiting(style, meeting)
    if meeting["agenda"]:
        lines += ["", style.bold("Agenda")]
        lines += [f"  {number}. {_line(item)}" for number, item in enumerate(meeting["agenda"], 1)]
    lines += ["", style.bold("Participants"), *_participants(meeting)]
    for round_ in meeting.get("rounds") or ():
        lines += _round(style, round_)
    lines += _outcome(style, meeting)
    if meeting.get("omitted"):
        lines += ["", clean(meeting["omitted"])]
    return lines


def decision_page(style: TextStyle, decision: Mapping[str, Any]) -> list[str]:
    """Return a decision: its text, its reason, the votes, and the messages and tasks that it concerns."""
    meeting_id = style.short_id(decision["meeting_id"] or "")
    where = f"meeting {meeting_id}, round {decision['round']}, {decision['consensus']}"
    by = where if decision["meeting_id"] else f"recorded by {_line(decision['recorded_by'] or 'the owner')}"
    lines = [
        *_titled(style, decision["topic"]),
        f"{decision['status']} · {by} · {style.when(decision['created_at'])}",
        style.dim(style.short_id(decision["id"])),
        "",
        *_indented(decision["decision"]),
    ]
    if decision["status"] != "active":
        lines += ["", _fallen(style, decision)]
    lines += ["", style.bold("Votes"), *_stood(decision)] if decision["meeting_id"] else []
    if decision["rationale"]:
        lines += ["", style.bold("Why"), *_indented(decision["rationale"])]
    lines += _concerned(style, decision)
    if decision.get("omitted"):
        lines += ["", clean(decision["omitted"])]
    return lines


def request_page(style: TextStyle, request: Mapping[str, Any]) -> list[str]:
    """Return what a meeting asks of the caller, and the opinions before that."""
    sentence = {
        "opinion_request": "You are asked to speak",
        "consensus_request": "You are asked to vote",
        None: "Nothing is asked of you now",
    }[request["type"]]
    until = f", {style.until(request['due_at'])}" if request["due_at"] else ""
    lines = [*_titled(style, request["topic"]), f"{sentence}{until}."]
    lines += [_line(request["prompt"])] if request["type"] and request["prompt"] else []
    if request["before"]:
        lines += ["", style.bold("Before"), *_indented("\n".join(request["before"]))]
    for opinion in request["opinions"]:
        lines += ["", _speaker(style, opinion), *_indented(opinion["content"])]
    if request["proposal"]:
        lines += ["", style.bold("Proposal"), *_indented(request["proposal"])]
    return lines


def topics_page(style: TextStyle, suggestions: Mapping[str, Any]) -> list[str]:
    """Return suggested topics with their numbers, and the command that creates a meeting on one."""
    lines: list[str] = []
    for number, topic in enumerate(suggestions["suggested_topics"], 1):
        who = _line(topic["suggested_participants"]) or "nobody in service"
        counts = ", ".join(counted(len(topic[f"related_{noun}s"]), noun) for noun in ("message", "task"))
        lines += [
            f"{number}. {style.bold(_line(topic['topic']))}  {topic['priority']:.2f}",
            f"   {_line(topic['reason'])}",
            f"   {style.dim(f'with {who}; {counts}')}",
        ]
    if lines:
        lines += ["", "call one with: repomesh meeting create --suggested NUMBER"]
    if suggestions.get("omitted"):
        lines += [clean(suggestions["omitted"])]
    return lines


def event_lines(style: TextStyle, event: Mapping[str, Any]) -> list[str]:
    """Return an event of a meeting; its first line is to follow the time.

    No lines for a type that repeats what the events beside it show.
    """
    draw = _EVENTS.get(event["type"])
    return list(draw(style, event["data"])) if draw else []


# -- the page of a meeting -------------------------------------------------------------------------


def _standing(meeting: Mapping[str, Any]) -> str:
    parts = [meeting["status"].replace("_", " ")]
    if meeting["outcome"] and meeting["outcome"] != meeting["status"]:
        parts.append(meeting["outcome"].replace("_", " "))
    if meeting["round"]:
        parts.append(f"round {meeting['round']} of {meeting['max_discussion_rounds']}")
    if meeting["phase"]:
        parts.append(meeting["phase"])
    return " · ".join(parts)


def _terms(style: TextStyle, meeting: Mapping[str, Any]) -> str:
    rule = meeting["consensus"].replace("_", " ")
    quorum = f" of {meeting['quorum']}" if meeting["quorum"] else ""
    by = _line(meeting["created_by"] or "the owner")
    chair = f", chair {_line(meeting['chair_name'])}" if meeting["chair_name"] else ""
    return f"rule: {rule}{quorum}; called by {by} {style.when(meeting['created_at'])}{chair}"


def _waiting(style: TextStyle, meeting: Mapping[str, Any]) -> list[str]:
    """Whom it waits for, and until when."""
    until = f" {style.until(meeting['due_at'])}" if meeting["due_at"] else ""
    if meeting["status"] == "pending":
        return ["", "It waits for its start."]
    if meeting["phase"] == "discussion" and meeting["speaker_name"]:
        return ["", f"It is {style.bold(_line(meeting['speaker_name']))}'s turn{until}."]
    if meeting["phase"] == "drafting":
        return ["", f"A proposal is being written{until}."]
    if meeting["phase"] == "voting":
        missing = [
            participant["agent_name"]
            for participant in meeting["participants"]
            if participant["turn"] and not participant["vote"]
        ]
        return ["", f"It waits for the votes of {_line(missing)}{until}."]
    return []


def _participants(meeting: Mapping[str, Any]) -> Iterator[str]:
    width = max((len(participant["agent_name"]) for participant in meeting["participants"]), default=0)
    for participant in meeting["participants"]:
        words = [participant["status"], participant["turn"] or "", _VERBS.get(participant["vote"] or "", "")]
        state = " · ".join(word.replace("_", " ") for word in words if word)
        yield f"  {_line(participant['agent_name']):<{min(width, _NAME_CHARS)}}  {state}"


def _round(style: TextStyle, round_: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", style.bold(f"Round {round_['number']}"))
    for opinion in round_["opinions"]:
        yield from ("", f"  {_speaker(style, opinion)}", *_indented(opinion["content"], 4))
        if opinion["proposal"] and opinion["proposal"] != opinion["content"]:
            yield from ("    It proposes:", *_indented(opinion["proposal"], 6))
    if round_["proposal"]:
        yield from ("", f"  {_voted_on(round_['proposal'])}", *_indented(round_["proposal"]["text"], 4), "")
    for vote in round_["votes"]:
        yield from (f"  {line}" for line in _vote(style, vote))


def _outcome(style: TextStyle, meeting: Mapping[str, Any]) -> list[str]:
    if meeting.get("decision"):
        decision = meeting["decision"]
        head = f"{style.bold('Decision')}  {style.dim(style.short_id(decision['id']))}"
        fallen = [] if decision["status"] == "active" else [f"  {_fallen(style, decision)}"]
        return ["", head, *_indented(decision["decision"]), *fallen, *_stood(decision)]
    if meeting["summary"]:
        return ["", style.bold("No consensus"), *_indented(meeting["summary"])]
    if meeting["status"] == "cancelled":
        return ["", f"Cancelled: {_line(meeting['reason'] or 'no reason was given')}"]
    return []


# -- the page of a decision ------------------------------------------------------------------------


def _fallen(style: TextStyle, decision: Mapping[str, Any]) -> str:
    """Why a decision does not hold any more."""
    instead = f" by {style.short_id(decision['superseded_by_id'])}" if decision["superseded_by_id"] else ""
    by = f" by {decision['overruled_by']}" if decision["overruled_by"] else ""
    return _line(f"It is {decision['status']}{instead}{by}: {decision['reason']}")


def _stood(decision: Mapping[str, Any]) -> Iterator[str]:
    for name, word in _STOOD:
        for vote in decision[name]:
            why = f": {_line(vote['reason'])}" if vote["reason"] else ""
            yield f"  {_line(vote['agent_name'])} {word}{why}"
            if vote["amendment"]:
                yield f"    would change: {_line(vote['amendment'])}"


def _concerned(style: TextStyle, decision: Mapping[str, Any]) -> Iterator[str]:
    """The messages and tasks that a decision concerns, or made; only ids where that is all there is."""
    for title, objects, ids in (
        ("Made tasks", decision.get("tasks"), decision["task_ids"]),
        ("Concerns tasks", decision.get("related_tasks"), decision["related_task_ids"]),
        ("Concerns messages", decision.get("related_messages"), decision["related_message_ids"]),
    ):
        if ids:
            yield from ("", style.bold(title))
            summaries = {item["id"]: _in_short(item) for item in objects or ()}
            yield from (f"  {id_}  {summaries.get(id_, '')}".rstrip() for id_ in ids)
    if decision["supersedes_id"]:
        yield from ("", f"In place of {style.short_id(decision['supersedes_id'])}.")


def _in_short(item: Mapping[str, Any]) -> str:
    if "goal" in item:
        return f"{item['status']}: {_line(item['goal'])}"
    text = item["subject"] or " ".join(item["body"].split())[:_BEGINNING_CHARS]
    return f"{_line(item['sender_name'])}: {_line(text)}"


# -- what happened ---------------------------------------------------------------------------------


def _created(style: TextStyle, data: Mapping[str, Any]) -> list[str]:
    names = [participant["agent_name"] for participant in data["meeting"]["participants"]]
    who = _line(names) or "nobody yet"
    return [f"called, with {who}: {_title(style, data['meeting']['topic'])}"]


def _asked(style: TextStyle, data: Mapping[str, Any]) -> list[str]:
    until = f" until {_clock(data['due_at'])}" if data["due_at"] else ""
    return [f"round {data['round']}: {_name(style, data)} is asked to speak{until}"]


def _presented(style: TextStyle, data: Mapping[str, Any]) -> Iterator[str]:
    opinion = data["opinion"]
    yield _speaker(style, opinion)
    yield from _indented(opinion["content"])
    if opinion["proposal"] and opinion["proposal"] != opinion["content"]:
        yield from ("  It proposes:", *_indented(opinion["proposal"], 4))


def _requested(_style: TextStyle, data: Mapping[str, Any]) -> list[str]:
    proposal = data["proposal"]
    until = _clock(data["due_at"])
    return [
        f"round {data['round']}: all vote until {until}. {_voted_on(proposal)}",
        *_indented(proposal["text"]),
    ]


def _completed_round(_style: TextStyle, data: Mapping[str, Any]) -> list[str]:
    how = "carried" if data["agreed"] else "not carried"
    absent = f"; no vote of {_line(data['absent'])}" if data["absent"] else ""
    return [f"round {data['round']} is over: {how}{absent}"]


def _reached(style: TextStyle, data: Mapping[str, Any]) -> list[str]:
    decision = data["decision"]
    head = f"{style.bold('decided')}  {style.dim(style.short_id(decision['id']))}"
    return [head, *_indented(decision["decision"]), *_stood(decision)]


def _over(_style: TextStyle, data: Mapping[str, Any]) -> list[str]:
    return [f"the meeting is over: {(data['meeting']['outcome'] or '').replace('_', ' ')}"]


_EVENTS: dict[str, Callable[[TextStyle, Mapping[str, Any]], Iterable[str]]] = {
    "meeting.created": _created,
    "meeting.joined": lambda style, data: [f"{_name(style, data)} joins"],
    "meeting.left": lambda style, data: [f"{_name(style, data)} leaves"],
    "meeting.started": lambda style, data: [f"it begins: {_title(style, data['meeting']['topic'])}"],
    "meeting.opinion_requested": _asked,
    "meeting.opinion_presented": _presented,
    "meeting.turn_skipped": lambda style, data: [f"{_name(style, data)} is inactive and passed over"],
    "meeting.draft_requested": lambda _style, _data: ["no proposal stands, so one is being written"],
    "meeting.vote_requested": _requested,
    "meeting.vote_cast": lambda style, data: _vote(style, data["vote"]),
    "meeting.round_completed": _completed_round,
    "meeting.consensus_reached": _reached,
    "meeting.no_consensus": lambda _style, data: ["no consensus", *_indented(data["summary"])],
    "meeting.completed": _over,
    "meeting.cancelled": lambda _style, data: [
        f"cancelled: {_line(data['meeting']['reason'] or 'no reason was given')}"
    ],
    "decision.superseded": lambda style, data: [_fallen(style, data["decision"])],
    "decision.overruled": lambda style, data: [_fallen(style, data["decision"])],
}


# -- what they share -------------------------------------------------------------------------------


def _titled(style: TextStyle, topic: str) -> list[str]:
    """A topic to the letter: its first line stands out."""
    first, *rest = clean(topic).splitlines() or [""]
    return [style.bold(first), *(f"  {line}" for line in rest)]


def _title(style: TextStyle, topic: str) -> str:
    return style.bold(_line(topic))


def _line(words: str | Sequence[str]) -> str:
    """Words of others on one line, so that they can't look like lines of ours."""
    text = words if isinstance(words, str) else ", ".join(words)
    return " ".join(clean(text).split())


def _name(style: TextStyle, data: Mapping[str, Any]) -> str:
    return style.bold(_line(data["agent_name"]))


def _speaker(style: TextStyle, opinion: Mapping[str, Any]) -> str:
    kind = opinion["kind"].replace("_", " ")
    return f"{_name(style, opinion)} ({kind}, #{opinion['sequence']})"


def _voted_on(proposal: Mapping[str, Any]) -> str:
    words = _SOURCES.get(proposal["source"], proposal["source"])
    return f"Voted on {words.format(name=_line(proposal['agent_name'] or ''))}:"


def _vote(style: TextStyle, vote: Mapping[str, Any]) -> list[str]:
    why = f": {_line(vote['reason'])}" if vote["reason"] else ""
    lines = [f"{_name(style, vote)} {_VERBS[vote['choice']]}{why}"]
    return lines + ([f"  would change: {_line(vote['amendment'])}"] if vote["amendment"] else [])


def _indented(text: str, by: int = 2) -> list[str]:
    return [f"{' ' * by}{line}".rstrip() for line in clean(text).splitlines()]


def _clock(moment: str) -> str:
    """A time for those who may read of it later."""
    return f"{moment[:19].replace('T', ' ')} UTC"
