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
    "rollback": "submitted to roll it back",
    "submit": "submitted",
    "read": "read",
    "rotate_secret": "given a new secret",
    "send": "sent",
    "speak": "spoken in",
    "stop": "stopped",
    "unreact": "unmarked",
    "withdraw": "withdrawn",
}
"""Past participles that are irregular, or of another verb."""

PRINTED_WHOLE: Final = frozenset(
    {
        "agent.heartbeat",
        "chunk.add_many",
        "lock.force_release",
        "recovery.reconcile",
        "request.edit",
        "session.delete",
        "task.finish",
        "webhook.replay",
        "webhook.test",
    }
)
"""Commands whose whole answer is printed, since it is what they are run for."""

_MEETING_TURNS: Final = {"speak": "spoke in", "start": "started", "vote": "voted in"}
"""The past tense of the commands that move a meeting on."""

_TITLES: Final = ("goal", "subject", "title", "topic", "question", "key", "reaction", "label")
_IDS: Final = ("id", "message_id", "token_id", "webhook_id", "session_id", "seq")


def outcome_line(style: TextStyle, operation: str, answer: Mapping[str, Any]) -> str | None:
    """Return what the command `operation` did; None for an answer that is to be printed whole."""
    if operation in PRINTED_WHOLE:
        return None
    noun, _, verb = operation.partition(".")
    if noun == "lock":
        return _lock_outcome(style, verb, answer)
    subject = _find_subject(noun, answer)
    label = _label_of(style, noun, subject)
    if label is None:
        return None
    if noun == "meeting" and verb in _MEETING_TURNS:
        return clean(f"{_MEETING_TURNS[verb]} meeting {label}: {_next_in_meeting(style, subject)}")
    parts = [f"{noun.replace('_', ' ')} {label} {past(verb)}"]
    if isinstance(subject.get("to"), list):
        parts[0] += f" to {', '.join(subject['to'])}"
    title = next(
        (str(subject[name]) for name in _TITLES if subject.get(name) and str(subject[name]) != label), ""
    )
    if title:
        parts[-1] += f": {' '.join(title.split())}"
    if noun == "request":
        parts[-1] += f"; {subject['state']}: {subject['reason']}"
    if operation == "meeting.create" and subject["status"] == "pending":
        parts[-1] += f"; '{style.program} meeting start {label}' begins it"
    elif operation == "meeting.create":
        parts[-1] += f"; started: {_next_in_meeting(style, subject)}"
    return clean(", ".join([*parts, *_lease_parts(style, answer)]))


def _next_in_meeting(style: TextStyle, meeting: Mapping[str, Any]) -> str:
    """The next step of a meeting, or its outcome."""
    decision = meeting["decision_id"]
    if decision is not None:
        return f"{meeting['outcome'].replace('_', ' ')}, decision {style.short_id(decision)}"
    if meeting["status"] == "completed":
        return f"ended with {meeting['outcome'].replace('_', ' ')}"
    if meeting["phase"] == "discussion" and meeting["speaker_name"] is not None:
        return f"it is {meeting['speaker_name']}'s turn to speak"
    if meeting["phase"] == "voting":
        return _voting_progress(meeting)
    phase_texts = {"drafting": "the proposal is being written"}
    return phase_texts.get(meeting["phase"]) or str(meeting["status"]).replace("_", " ")


def _voting_progress(meeting: Mapping[str, Any]) -> str:
    """How many participants have voted in this round, and the names of the others."""
    voters = [participant for participant in meeting["participants"] if participant["status"] != "left"]
    missing = [str(participant["agent_name"]) for participant in voters if participant["vote"] is None]
    if len(missing) == len(voters):
        return "everybody may vote now"
    return f"{len(voters) - len(missing)} of {len(voters)} have voted; waiting for {', '.join(missing)}"


def past(verb: str) -> str:
    """Return the past participle of an operation's verb."""
    irregular_form = _PAST.get(verb)
    if irregular_form is not None:
        return irregular_form
    if verb.endswith("e"):
        return f"{verb}d"
    return f"{verb[:-1]}ied" if verb.endswith("y") else f"{verb}ed"


def _find_subject(noun: str, answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object that an answer is about: its field `noun`, itself, or its only field with an id."""
    if isinstance(answer.get(noun), dict):
        return answer[noun]  # type: ignore[no-any-return]
    if any(name in answer for name in _IDS):
        return answer
    inner = [item for item in answer.values() if isinstance(item, dict) and "id" in item]
    return inner[0] if len(inner) == 1 else answer


def _label_of(style: TextStyle, noun: str, subject: Mapping[str, Any]) -> str | None:
    """The label of an object at the prompt: the name of agents and channels, else the id; None without."""
    if noun in ("agent", "channel", "workspace", "meeting_template") and subject.get("name"):
        return str(subject["name"])
    identifier = next((subject[name] for name in _IDS if subject.get(name) is not None), None)
    return None if identifier is None else style.short_id(str(identifier))


def _lock_outcome(style: TextStyle, verb: str, answer: Mapping[str, Any]) -> str:
    locks = answer.get("locks") or answer.get("released") or []
    resources = [str(lock["resource"] if isinstance(lock, dict) else lock) for lock in locks]
    names = ", ".join(resources) or "nothing"
    words = {"acquire": "locked", "renew": "still locked", "release": "released"}
    return clean(", ".join([f"{words.get(verb, past(verb))} {names}", *_lease_parts(style, answer)]))


def _lease_parts(style: TextStyle, answer: Mapping[str, Any]) -> list[str]:
    """The fencing token of the locks, and when they expire."""
    parts = [f"fencing token {answer['fencing_token']}"] if answer.get("fencing_token") is not None else []
    if isinstance(answer.get("expires_at"), str) and parts:
        parts.append(style.until(answer["expires_at"]))
    return parts
