"""Meetings and decisions: each as a page, and event by event.

Each function takes the JSON of an answer or event and returns lines without their ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from repomesh.views.terminal_text import TextStyle, clean, counted

ENDED = frozenset({"completed", "cancelled"})
"""The states of a meeting after which no event of it follows."""
_SOURCES = {
    "chair": "the chair's proposal",
    "unopposed": "{name}'s proposal, the last one without an objection",
    "written": "a proposal that the language model wrote",
    "draft": "a draft of the opinions, since no proposal was free of objections",
}
_VERBS = {"agree": "agrees", "disagree": "disagrees", "abstain": "abstains"}
_VOTE_GROUPS = (
    ("agreement", "agreed"),
    ("dissent", "dissented"),
    ("abstentions", "abstained"),
    ("absent", "did not vote"),
)
_NAME_CHARS = 24  # a longer name moves its row to the right
_BEGINNING_CHARS = 80  # of a message that a decision concerns


def meeting_page(style: TextStyle, meeting: Mapping[str, Any]) -> list[str]:
    """Return a meeting: its state, the agents it waits for, opinions, proposals, votes and decision."""
    lines = [
        *_topic_lines(style, meeting["topic"]),
        _state_line(meeting),
        _terms_line(style, meeting),
        style.dim(style.short_id(meeting["id"])),
    ]
    related_counts = [
        counted(len(meeting[f"related_{noun}_ids"]), noun)
        for noun in ("message", "task")
        if meeting[f"related_{noun}_ids"]
    ]
    lines += [f"concerns {' and '.join(related_counts)}"] if related_counts else []
    lines += _waiting_lines(style, meeting)
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
    vote_origin = f"meeting {meeting_id}, round {decision['round']}, {decision['consensus']}"
    origin = (
        vote_origin
        if decision["meeting_id"]
        else f"recorded by {_line(decision['recorded_by'] or 'the owner')}"
    )
    lines = [
        *_topic_lines(style, decision["topic"]),
        f"{decision['status']} · {origin} · {style.when(decision['created_at'])}",
        style.dim(style.short_id(decision["id"])),
        "",
        *_indent(decision["decision"]),
    ]
    if decision["status"] != "active":
        lines += ["", _end_line(style, decision)]
    lines += ["", style.bold("Votes"), *_vote_lines(decision)] if decision["meeting_id"] else []
    if decision["rationale"]:
        lines += ["", style.bold("Why"), *_indent(decision["rationale"])]
    lines += _related_lines(style, decision)
    if decision.get("omitted"):
        lines += ["", clean(decision["omitted"])]
    return lines


def request_page(style: TextStyle, request: Mapping[str, Any]) -> list[str]:
    """Return a meeting's request to the caller, and the opinions before it."""
    sentence = {
        "opinion_request": "You are asked to speak",
        "consensus_request": "You are asked to vote",
        None: "Nothing is asked of you now",
    }[request["type"]]
    until = f", {style.until(request['due_at'])}" if request["due_at"] else ""
    lines = [*_topic_lines(style, request["topic"]), f"{sentence}{until}."]
    lines += [_line(request["prompt"])] if request["type"] and request["prompt"] else []
    if request["before"]:
        lines += ["", style.bold("Before"), *_indent("\n".join(request["before"]))]
    for opinion in request["opinions"]:
        lines += ["", _speaker(style, opinion), *_indent(opinion["content"])]
    if request["proposal"]:
        lines += ["", style.bold("Proposal"), *_indent(request["proposal"])]
    return lines


def topics_page(style: TextStyle, suggestions: Mapping[str, Any]) -> list[str]:
    """Return suggested topics with their numbers, and the command that creates a meeting on one."""
    lines: list[str] = []
    for number, topic in enumerate(suggestions["suggested_topics"], 1):
        participants = _line(topic["suggested_participants"]) or "nobody in service"
        counts = ", ".join(counted(len(topic[f"related_{noun}s"]), noun) for noun in ("message", "task"))
        lines += [
            f"{number}. {style.bold(_line(topic['topic']))}  {topic['priority']:.2f}",
            f"   {_line(topic['reason'])}",
            f"   {style.dim(f'with {participants}; {counts}')}",
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


def _state_line(meeting: Mapping[str, Any]) -> str:
    parts = [meeting["status"].replace("_", " ")]
    if meeting["outcome"] and meeting["outcome"] != meeting["status"]:
        parts.append(meeting["outcome"].replace("_", " "))
    if meeting["round"]:
        parts.append(f"round {meeting['round']} of {meeting['max_discussion_rounds']}")
    if meeting["phase"]:
        parts.append(meeting["phase"])
    return " · ".join(parts)


def _terms_line(style: TextStyle, meeting: Mapping[str, Any]) -> str:
    rule = meeting["consensus"].replace("_", " ")
    quorum = f" of {meeting['quorum']}" if meeting["quorum"] else ""
    creator = _line(meeting["created_by"] or "the owner")
    chair = f", chair {_line(meeting['chair_name'])}" if meeting["chair_name"] else ""
    return f"rule: {rule}{quorum}; called by {creator} {style.when(meeting['created_at'])}{chair}"


def _waiting_lines(style: TextStyle, meeting: Mapping[str, Any]) -> list[str]:
    """The agents that a meeting waits for, and until when."""
    until = f" {style.until(meeting['due_at'])}" if meeting["due_at"] else ""
    if meeting["status"] == "pending":
        return ["", "It waits for its start."]
    if meeting["phase"] == "discussion" and meeting["speaker_name"]:
        return ["", f"It is {style.bold(_line(meeting['speaker_name']))}'s turn{until}."]
    if meeting["phase"] == "drafting":
        return ["", f"A proposal is being written{until}."]
    if meeting["phase"] == "voting":
        missing_names = [
            participant["agent_name"]
            for participant in meeting["participants"]
            if participant["turn"] and not participant["vote"]
        ]
        return ["", f"It waits for the votes of {_line(missing_names)}{until}."]
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
        yield from ("", f"  {_speaker(style, opinion)}", *_indent(opinion["content"], 4))
        if opinion["proposal"] and opinion["proposal"] != opinion["content"]:
            yield from ("    It proposes:", *_indent(opinion["proposal"], 6))
    if round_["proposal"]:
        yield from ("", f"  {_voted_on(round_['proposal'])}", *_indent(round_["proposal"]["text"], 4), "")
    for vote in round_["votes"]:
        yield from (f"  {line}" for line in _vote(style, vote))


def _outcome(style: TextStyle, meeting: Mapping[str, Any]) -> list[str]:
    if meeting.get("decision"):
        decision = meeting["decision"]
        heading = f"{style.bold('Decision')}  {style.dim(style.short_id(decision['id']))}"
        end_lines = [] if decision["status"] == "active" else [f"  {_end_line(style, decision)}"]
        return ["", heading, *_indent(decision["decision"]), *end_lines, *_vote_lines(decision)]
    if meeting["summary"]:
        return ["", style.bold("No consensus"), *_indent(meeting["summary"])]
    if meeting["status"] == "cancelled":
        return ["", f"Cancelled: {_line(meeting['reason'] or 'no reason was given')}"]
    return []


# -- the page of a decision ------------------------------------------------------------------------


def _end_line(style: TextStyle, decision: Mapping[str, Any]) -> str:
    """Why a decision is no longer active."""
    successor = f" by {style.short_id(decision['superseded_by_id'])}" if decision["superseded_by_id"] else ""
    overruler = f" by {decision['overruled_by']}" if decision["overruled_by"] else ""
    return _line(f"It is {decision['status']}{successor}{overruler}: {decision['reason']}")


def _vote_lines(decision: Mapping[str, Any]) -> Iterator[str]:
    for name, word in _VOTE_GROUPS:
        for vote in decision[name]:
            reason = f": {_line(vote['reason'])}" if vote["reason"] else ""
            yield f"  {_line(vote['agent_name'])} {word}{reason}"
            if vote["amendment"]:
                yield f"    would change: {_line(vote['amendment'])}"


def _related_lines(style: TextStyle, decision: Mapping[str, Any]) -> Iterator[str]:
    """The messages and tasks that a decision concerns or made; only ids where there are no details."""
    for title, objects, ids in (
        ("Made tasks", decision.get("tasks"), decision["task_ids"]),
        ("Concerns tasks", decision.get("related_tasks"), decision["related_task_ids"]),
        ("Concerns messages", decision.get("related_messages"), decision["related_message_ids"]),
    ):
        if ids:
            yield from ("", style.bold(title))
            summaries = {item["id"]: _summarize(item) for item in objects or ()}
            yield from (f"  {id_}  {summaries.get(id_, '')}".rstrip() for id_ in ids)
    if decision["supersedes_id"]:
        yield from ("", f"In place of {style.short_id(decision['supersedes_id'])}.")


def _summarize(item: Mapping[str, Any]) -> str:
    if "goal" in item:
        return f"{item['status']}: {_line(item['goal'])}"
    text = item["subject"] or " ".join(item["body"].split())[:_BEGINNING_CHARS]
    return f"{_line(item['sender_name'])}: {_line(text)}"


# -- what happened ---------------------------------------------------------------------------------


def _meeting_created(style: TextStyle, data: Mapping[str, Any]) -> list[str]:
    names = [participant["agent_name"] for participant in data["meeting"]["participants"]]
    participants = _line(names) or "nobody yet"
    return [f"called, with {participants}: {_title(style, data['meeting']['topic'])}"]


def _opinion_requested(style: TextStyle, data: Mapping[str, Any]) -> list[str]:
    until = f" until {_clock(data['due_at'])}" if data["due_at"] else ""
    return [f"round {data['round']}: {_name(style, data)} is asked to speak{until}"]


def _opinion_presented(style: TextStyle, data: Mapping[str, Any]) -> Iterator[str]:
    opinion = data["opinion"]
    yield _speaker(style, opinion)
    yield from _indent(opinion["content"])
    if opinion["proposal"] and opinion["proposal"] != opinion["content"]:
        yield from ("  It proposes:", *_indent(opinion["proposal"], 4))


def _vote_requested(_style: TextStyle, data: Mapping[str, Any]) -> list[str]:
    proposal = data["proposal"]
    until = _clock(data["due_at"])
    return [
        f"round {data['round']}: all vote until {until}. {_voted_on(proposal)}",
        *_indent(proposal["text"]),
    ]


def _round_completed(_style: TextStyle, data: Mapping[str, Any]) -> list[str]:
    result = "carried" if data["agreed"] else "not carried"
    absent = f"; no vote of {_line(data['absent'])}" if data["absent"] else ""
    return [f"round {data['round']} is over: {result}{absent}"]


def _consensus_reached(style: TextStyle, data: Mapping[str, Any]) -> list[str]:
    decision = data["decision"]
    heading = f"{style.bold('decided')}  {style.dim(style.short_id(decision['id']))}"
    return [heading, *_indent(decision["decision"]), *_vote_lines(decision)]


def _meeting_completed(_style: TextStyle, data: Mapping[str, Any]) -> list[str]:
    return [f"the meeting is over: {(data['meeting']['outcome'] or '').replace('_', ' ')}"]


_EVENTS: dict[str, Callable[[TextStyle, Mapping[str, Any]], Iterable[str]]] = {
    "meeting.created": _meeting_created,
    "meeting.joined": lambda style, data: [f"{_name(style, data)} joins"],
    "meeting.left": lambda style, data: [f"{_name(style, data)} leaves"],
    "meeting.started": lambda style, data: [f"it begins: {_title(style, data['meeting']['topic'])}"],
    "meeting.opinion_requested": _opinion_requested,
    "meeting.opinion_presented": _opinion_presented,
    "meeting.turn_skipped": lambda style, data: [f"{_name(style, data)} is inactive and passed over"],
    "meeting.draft_requested": lambda _style, _data: ["no proposal stands, so one is being written"],
    "meeting.vote_requested": _vote_requested,
    "meeting.vote_cast": lambda style, data: _vote(style, data["vote"]),
    "meeting.round_completed": _round_completed,
    "meeting.consensus_reached": _consensus_reached,
    "meeting.no_consensus": lambda _style, data: ["no consensus", *_indent(data["summary"])],
    "meeting.completed": _meeting_completed,
    "meeting.cancelled": lambda _style, data: [
        f"cancelled: {_line(data['meeting']['reason'] or 'no reason was given')}"
    ],
    "decision.superseded": lambda style, data: [_end_line(style, data["decision"])],
    "decision.overruled": lambda style, data: [_end_line(style, data["decision"])],
}


# -- what they share -------------------------------------------------------------------------------


def _topic_lines(style: TextStyle, topic: str) -> list[str]:
    """The lines of a topic, the first one bold."""
    first, *other_lines = clean(topic).splitlines() or [""]
    return [style.bold(first), *(f"  {line}" for line in other_lines)]


def _title(style: TextStyle, topic: str) -> str:
    return style.bold(_line(topic))


def _line(words: str | Sequence[str]) -> str:
    """Texts of others on one line, so that they can't imitate lines of the page."""
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
    reason = f": {_line(vote['reason'])}" if vote["reason"] else ""
    lines = [f"{_name(style, vote)} {_VERBS[vote['choice']]}{reason}"]
    return lines + ([f"  would change: {_line(vote['amendment'])}"] if vote["amendment"] else [])


def _indent(text: str, indent_chars: int = 2) -> list[str]:
    return [f"{' ' * indent_chars}{line}".rstrip() for line in clean(text).splitlines()]


def _clock(moment: str) -> str:
    """An absolute time, to the second, which stays right when it is read later."""
    return f"{moment[:19].replace('T', ' ')} UTC"
