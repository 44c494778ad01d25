"""How results look to people: which columns a list has, what one thing shows first, messages as letters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from repomesh.cli import meeting_text, output, path
from repomesh.client.catalogue import Described

COLUMNS: dict[str, tuple[str, ...]] = {
    "Agent": ("name", "type", "status", "program", "capabilities", "status_text", "last_seen_at"),
    "Channel": ("name", "description", "member_count", "archived_at", "created_at"),
    "ChannelMember": ("agent_name", "joined_at"),
    "Event": ("seq", "at", "type", "subject", "severity"),
    "Lease": ("resource", "mode", "agent_name", "fencing_token", "expires_at", "note"),
    "HeldLock": ("resource", "mode", "fencing_token", "expires_at"),
    "ListedTask": ("id", "status", "ready", "priority", "type", "agent_name", "goal"),
    "Obstacle": ("wanted", "resource", "mode", "holder_name", "waiting", "expires_at", "note"),
    "Meeting": ("id", "status", "outcome", "round", "speaker_name", "due_at", "topic"),
    "Template": ("name", "consensus", "max_discussion_rounds", "description"),
    "Question": ("id", "status", "asker_name", "asked_name", "question", "answer", "deadline_at"),
    "Reaction": ("reaction", "agent_name", "created_at"),
    "Receipt": ("agent_name", "status", "stored_at", "offered_at", "injected_at", "read_at", "acked_at"),
    "Artifact": ("session_id", "artifact_id", "type", "title", "version", "bytes", "author", "updated_at"),
    "Chunk": ("sequence", "speaker", "chunk_id", "format", "bytes", "created_at"),
    "Found": ("what", "session_id", "key", "type", "title", "snippet", "at"),
    "ListedDecision": ("id", "status", "created_at", "topic"),
    "ListedMemory": ("key", "type", "status", "session_id", "tags", "author", "updated_at", "id"),
    "ListedSession": ("id", "status", "title", "participants", "created_by", "created_at"),
    "Recalled": ("score", "what", "session_id", "key", "snippet", "why"),
    "SessionTask": (
        "session_id",
        "key",
        "task.status",
        "task.percent",
        "task.agent_name",
        "task.assignee_name",
        "task.goal",
    ),
    "Token": ("id", "role", "label", "created_at"),
    "Webhook": ("id", "status", "url", "types", "description", "reason"),
    "WebhookDelivery": (
        "id",
        "status",
        "type",
        "attempts",
        "last_status",
        "last_error",
        "next_at",
        "created_at",
    ),
    "Workspace": ("name", "id", "home", "path"),
}
"""The columns of a list, by what is on it."""

_LETTERS = frozenset({"Message", "ReceivedMessage"})
_PAGES = {
    "Decision": meeting_text.decision,
    "DecisionDetail": meeting_text.decision,
    "Meeting": meeting_text.meeting,
    "MeetingDetail": meeting_text.meeting,
    "MeetingRequest": meeting_text.request,
    "SuggestedTopics": meeting_text.topics,
}
"""What has a page of its own, as lines."""
_INNER = {"locks": "HeldLock", "conflicts": "Obstacle", "obstacles": "Obstacle", "history": "Attempt"}


def result(described: Described, value: Any, *, as_json: bool) -> None:
    """Print what an operation answered."""
    if as_json:
        output.print_json(value)
    elif isinstance(value, dict) and isinstance(value.get("items"), list):
        _list(described.item, value)
    elif described.item in _LETTERS:
        _letter(value)
    elif described.item == "MessageTrace":
        path.say(value)
    elif described.item in _PAGES:
        lines = _PAGES[described.item](value)
        print("\n".join(lines)) if lines else output.note("nothing")
    elif isinstance(value, dict):
        _one(value)
    else:
        output.say(output.cell(value))


def without_secret(described: Described, value: Any) -> Any:
    """An answer whose secret is not shown, so that it ends in no transcript."""
    field = described.secret
    if field and isinstance(value, dict) and value.get(field):
        return value | {field: f"(not shown; ask for it with --show-{field})"}
    return value


def _list(item: str, page: dict[str, Any]) -> None:
    items = page["items"]
    if item in _LETTERS:
        for letter in items:
            _letter(letter)
    elif items:
        output.print_table(items, COLUMNS.get(item) or _scalars(items[0]))
    if not items:
        output.note("nothing")
    if page.get("omitted"):
        output.note(str(page["omitted"]))
    if page.get("next_cursor"):
        output.note(f"there is more: --cursor {page['next_cursor']}")


def _one(value: dict[str, Any]) -> None:
    """One thing, and below it the lists inside it."""
    flat = _flat(value)
    if flat.get("written"):
        flat = flat | {"written": _marked(flat["written"])}
    lists = {name: rows for name, rows in flat.items() if _is_table(rows)}
    output.print_object({name: item for name, item in flat.items() if name not in lists})
    for name, rows in lists.items():
        output.say(f"\n{name.replace('_', ' ')}:")
        output.print_table(rows, COLUMNS.get(_INNER.get(name, "")) or _scalars(rows[0]))


def _marked(written: Mapping[str, Any]) -> str:
    """What a language model wrote, with who it was."""
    return f"{written['text']}\n\n(generated by {written['model']}, {written['made_at']})"


def _letter(message: Mapping[str, Any]) -> None:
    """A message with a line about it, its subject and its text."""
    bold, dim, plain = ("\x1b[1m", "\x1b[2m", "\x1b[0m") if output.wants_colour() else ("", "", "")
    when = output.ago(message["created_at"]) if output.wants_colour() else message["created_at"]
    marks = [message["priority"]] if message["priority"] != "normal" else []
    marks += ["acknowledge"] if message["ack_required"] else []
    marks += [message["status"]] if "status" in message else []
    to = ", ".join(message["to"])
    print(
        f"{bold}{output.clean(message['sender_name'])}{plain} to {output.clean(to)}, {when}"
        f"{''.join(f' [{mark}]' for mark in marks)} {dim}{message['id']}{plain}"
    )
    if message["subject"]:
        print(f"{bold}{output.clean(message['subject'])}{plain}")
    print(output.clean(message["body"]))
    if message["truncated"]:
        print(
            f"{dim}… {message['body_chars']} characters in all: repomesh message show {message['id']}{plain}"
        )
    print()


def _is_table(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _scalars(item: dict[str, Any]) -> tuple[str, ...]:
    """Columns for what has none of its own: the short fields."""
    short = [name for name, value in item.items() if not isinstance(value, list | dict)]
    return tuple(name for name in short if not (name.endswith("_id") or name == "version"))[:8]


def _flat(value: dict[str, Any]) -> dict[str, Any]:
    """An answer that wraps one thing is shown as that thing and what stands beside it."""
    inner = [name for name, item in value.items() if isinstance(item, dict) and "id" in item]
    if len(inner) != 1:
        return value
    beside = {name: item for name, item in value.items() if name != inner[0]}
    return {**value[inner[0]], **beside}
