"""The outcome of a command in one line: the object, what happened to it, and its id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from repomesh.views.terminal_text import TextStyle, clean

_PAST: Final = {
    "ack": "acknowledged",
    "add": "added",
    "ask": "asked",
    "begin": "begun",
    "cancel": "cancelled",
    "leave": "left",
    "overrule": "overruled",
    "post": "posted",
    "progress": "noted",
    "react": "marked",
    "read": "read",
    "rotate_secret": "given a new secret",
    "send": "sent",
    "speak": "spoken in",
    "unreact": "unmarked",
    "withdraw": "withdrawn",
}
"""Verbs whose past is not made by an ending, or is another word."""

PRINTED_WHOLE: Final = frozenset(
    {
        "agent.heartbeat",
        "chunk.add_many",
        "lock.force_release",
        "recovery.reconcile",
        "session.delete",
        "task.finish",
        "webhook.replay",
        "webhook.test",
    }
)
"""Commands whose answer is their purpose: it is printed whole."""

_MEETING_TURNS: Final = {"speak": "spoke in", "start": "started", "vote": "voted in"}
"""Of the turns of a meeting, what was done; how it goes on follows."""

_TITLES: Final = ("goal", "subject", "title", "topic", "question", "key", "reaction", "label")
_IDS: Final = ("id", "message_id", "token_id", "webhook_id", "session_id", "seq")


def outcome_line(style: TextStyle, operation: str, answer: Mapping[str, Any]) -> str | None:
    """Return what the command `operation` did; None for an answer that is to be printed whole."""
    if operation in PRINTED_WHOLE:
        return None
    noun, _, verb = operation.partition(".")
    if noun == "lock":
        return _locks(style, verb, answer)
    thing = _thing(noun, answer)
    named = _named(style, noun, thing)
    if named is None:
        return None
    if noun == "meeting" and verb in _MEETING_TURNS:
        return clean(f"{_MEETING_TURNS[verb]} meeting {named}: {_next_in_meeting(style, thing)}")
    parts = [f"{noun.replace('_', ' ')} {named} {past(verb)}"]
    if isinstance(thing.get("to"), list):
        parts[0] += f" to {', '.join(thing['to'])}"
    title = next((str(thing[name]) for name in _TITLES if thing.get(name) and str(thing[name]) != named), "")
    if title:
        parts[-1] += f": {' '.join(title.split())}"
    if operation == "meeting.create" and thing["status"] == "pending":
        parts[-1] += f"; '{style.program} meeting start {named}' begins it"
    elif operation == "meeting.create":
        parts[-1] += f"; started: {_next_in_meeting(style, thing)}"
    return clean(", ".join([*parts, *_held(style, answer)]))


def _next_in_meeting(style: TextStyle, meeting: Mapping[str, Any]) -> str:
    """What a meeting waits for now, or how it ended."""
    decision = meeting["decision_id"]
    if decision is not None:
        return f"{meeting['outcome'].replace('_', ' ')}, decision {style.short_id(decision)}"
    if meeting["status"] == "completed":
        return f"ended with {meeting['outcome'].replace('_', ' ')}"
    if meeting["phase"] == "discussion" and meeting["speaker_name"] is not None:
        return f"it is {meeting['speaker_name']}'s turn to speak"
    if meeting["phase"] == "voting":
        return _votes(meeting)
    waiting = {"drafting": "the proposal is being written"}
    return waiting.get(meeting["phase"]) or str(meeting["status"]).replace("_", " ")


def _votes(meeting: Mapping[str, Any]) -> str:
    """How many of those who take part have voted in this round, and who has not."""
    voters = [one for one in meeting["participants"] if one["status"] != "left"]
    waiting = [str(one["agent_name"]) for one in voters if one["vote"] is None]
    if len(waiting) == len(voters):
        return "everybody may vote now"
    return f"{len(voters) - len(waiting)} of {len(voters)} have voted; waiting for {', '.join(waiting)}"


def past(verb: str) -> str:
    """Return the past participle of an operation's verb."""
    known = _PAST.get(verb)
    if known is not None:
        return known
    if verb.endswith("e"):
        return f"{verb}d"
    return f"{verb[:-1]}ied" if verb.endswith("y") else f"{verb}ed"


def _thing(noun: str, answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the answer is about: the thing inside it that is called so, itself, or what alone has an id."""
    if isinstance(answer.get(noun), dict):
        return answer[noun]  # type: ignore[no-any-return]
    if any(name in answer for name in _IDS):
        return answer
    inner = [item for item in answer.values() if isinstance(item, dict) and "id" in item]
    return inner[0] if len(inner) == 1 else answer


def _named(style: TextStyle, noun: str, thing: Mapping[str, Any]) -> str | None:
    """By what a thing is called at the prompt: agents and channels by name, the rest by id."""
    if noun in ("agent", "channel", "workspace", "meeting_template") and thing.get("name"):
        return str(thing["name"])
    found = next((thing[name] for name in _IDS if thing.get(name) is not None), None)
    return None if found is None else style.short_id(str(found))


def _locks(style: TextStyle, verb: str, answer: Mapping[str, Any]) -> str:
    held = answer.get("locks") or answer.get("released") or []
    names = ", ".join(str(one["resource"] if isinstance(one, dict) else one) for one in held) or "nothing"
    words = {"acquire": "locked", "renew": "still locked", "release": "released"}
    return clean(", ".join([f"{words.get(verb, past(verb))} {names}", *_held(style, answer)]))


def _held(style: TextStyle, answer: Mapping[str, Any]) -> list[str]:
    """The fencing token of what is held, and until when."""
    said = [f"fencing token {answer['fencing_token']}"] if answer.get("fencing_token") is not None else []
    if isinstance(answer.get("expires_at"), str) and said:
        said.append(style.until(answer["expires_at"]))
    return said
