"""The answer of any operation as text: lists as tables, messages in full, and objects by their fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from repomesh.views import meeting_view, message_path, request_view
from repomesh.views.tables import object_lines, table
from repomesh.views.terminal_text import TextStyle, cell, clean

COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "Agent": ("name", "type", "status", "program", "capabilities", "status_text", "last_seen_at"),
    "Channel": ("name", "description", "member_count", "archived_at", "created_at"),
    "ChannelMember": ("agent_name", "joined_at"),
    "Event": ("seq", "type", "subject", "actor_name", "at", "severity"),
    "Lease": ("resource", "mode", "agent_name", "fencing_token", "expires_at", "note"),
    "HeldLock": ("resource", "mode", "fencing_token", "expires_at"),
    "ListedTask": ("id", "status", "ready", "priority", "type", "agent_name", "goal"),
    "LockObstacle": ("wanted", "resource", "mode", "holder_name", "waiting", "expires_at", "note"),
    "Meeting": ("id", "status", "outcome", "round", "speaker_name", "due_at", "topic"),
    "Template": ("name", "consensus", "max_discussion_rounds", "description"),
    "Question": ("id", "status", "asker_name", "asked_name", "question", "answer", "deadline_at"),
    "Reaction": ("reaction", "agent_name", "created_at"),
    "Receipt": ("agent_name", "status", "stored_at", "offered_at", "injected_at", "read_at", "acked_at"),
    "Artifact": ("session_id", "artifact_id", "type", "title", "version", "bytes", "author", "updated_at"),
    "Chunk": ("sequence", "speaker", "created_at", "chunk_id", "bytes", "content"),
    "SearchResult": ("what", "id", "title", "snippet", "at", "key", "session_id"),
    "ListedDecision": ("id", "status", "created_at", "topic"),
    "ListedMemory": ("key", "type", "status", "session_id", "tags", "author", "updated_at", "id"),
    "ListedSession": ("id", "status", "title", "participants", "created_by", "created_at"),
    "RecallResult": ("id", "score", "what", "session_id", "key", "snippet", "why"),
    "ReviewComment": ("created_at", "agent_name", "verdict", "file", "line", "body"),
    "Change": ("id", "state", "author_name", "summary", "reason", "updated_at"),
    "RequestSummary": ("id", "state", "class", "requester_name", "title", "reason", "updated_at"),
    "Review": ("id", "state", "author_name", "reviewers", "title", "updated_at"),
    "SessionTask": (
        "session_id",
        "key",
        "task.status",
        "task.percent",
        "task.agent_name",
        "task.assignee_name",
        "task.goal",
    ),
    "Token": ("id", "role", "agent_name", "label", "created_at"),
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
"""The columns of a list, by the class name of its items."""

_PRIORITY_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "Event": ("type", "subject", "actor_name", "at"),
    "SearchResult": ("id", "snippet"),
}
"""The most important columns of a list, which are left out last, by the class name of its items."""

_NOT_ABOVE_ITEMS: Final = frozenset(
    {"items", "next_cursor", "notice", "omitted", "version", "oldest_seq", "last_seq"}
)
"""Fields of a list that are not shown above its items: they are shown as notes, or are positions."""

_MESSAGES: Final = frozenset({"Message", "ReceivedMessage"})
_PAGES: Final[dict[str, Callable[[TextStyle, Mapping[str, Any]], list[str]]]] = {
    "Decision": meeting_view.decision_page,
    "DecisionDetail": meeting_view.decision_page,
    "Meeting": meeting_view.meeting_page,
    "MeetingDetail": meeting_view.meeting_page,
    "MeetingRequest": meeting_view.request_page,
    "EditedRequest": request_view.edited_page,
    "RequestDetail": request_view.request_page,
    "MessageTrace": message_path.path_lines,
    "SuggestedTopics": meeting_view.topics_page,
}
"""Objects that have a page of their own."""
_INNER_ITEMS: Final = {
    "locks": "HeldLock",
    "conflicts": "LockObstacle",
    "obstacles": "LockObstacle",
    "history": "Attempt",
}


@dataclass(frozen=True, slots=True)
class RenderedAnswer:
    """Text for standard output, without its last line end, and notes for standard error, a line each.

    `text` is None where nothing is to be printed; an empty text is an empty line.
    """

    text: str | None
    notes: tuple[str, ...] = ()


def draw(style: TextStyle, item: str, answer: Any, searched: Sequence[str] = ()) -> RenderedAnswer:
    """Draw the JSON of an answer.

    `item` is the class name of the answer, of a list that of its items. `searched` are the sorts of objects
    that were searched, for the note on a list without items.
    """
    if isinstance(answer, dict) and isinstance(answer.get("items"), list):
        return _render_page(style, item, answer, searched)
    if item in _MESSAGES:
        return _render_lines(_message_lines(style, answer))
    if item in _PAGES:
        lines = _PAGES[item](style, answer)
        cursor_notes = _cursor_notes(answer)
        return _render_lines(lines, cursor_notes) if lines else RenderedAnswer(None, ("nothing",))
    if isinstance(answer, dict):
        return _render_lines(*_object_and_lists(style, answer))
    return RenderedAnswer(cell(answer))


def _render_lines(lines: Sequence[str], notes: Sequence[str] = ()) -> RenderedAnswer:
    return RenderedAnswer("\n".join(lines) if lines else None, tuple(notes))


def _cursor_notes(answer: Mapping[str, Any]) -> list[str]:
    return [f"there is more: --cursor {answer['next_cursor']}"] if answer.get("next_cursor") else []


def _render_page(
    style: TextStyle, item: str, page: Mapping[str, Any], searched: Sequence[str]
) -> RenderedAnswer:
    items = page["items"]
    lines: list[str] = []
    notes: list[str] = []
    page_fields = {name: value for name, value in page.items() if name not in _NOT_ABOVE_ITEMS}
    if page_fields:
        lines, notes = _object_and_lists(style, _merge_fields(page_fields))
        lines.append("")
    if item in _MESSAGES:
        for message in items:
            lines += _message_lines(style, message)
    elif items:
        text, note = table(
            style, items, COLUMNS.get(item) or _scalar_columns(items[0]), _PRIORITY_COLUMNS.get(item, ())
        )
        lines.append(text)
        notes += [note] if note else []
    if not items:
        searched_note = f" among {', '.join(searched)}; '--what' looks elsewhere" if searched else ""
        notes.append(f"nothing{' was said yet' if item == 'ReviewComment' else ''}{searched_note}")
    notes += [str(page[name]) for name in ("notice", "omitted") if page.get(name)]
    return _render_lines(lines, notes + _cursor_notes(page))


def _merge_fields(page_fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields beside a list's items, and the fields of the objects among them, as one object."""
    merged: dict[str, Any] = {}
    for name, value in page_fields.items():
        merged |= (
            {key: item for key, item in value.items() if item} if isinstance(value, dict) else {name: value}
        )
    return merged


def _object_and_lists(style: TextStyle, value: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The lines of one object's fields and of the lists inside it, and notes on hidden columns."""
    flat = _flatten(value)
    if flat.get("written"):
        flat = {**flat, "written": _mark_generated(flat["written"])}
    lists = {name: rows for name, rows in flat.items() if _is_table(rows)}
    lines = []
    if "conflicts" in flat and isinstance(flat.get("free"), bool):
        lines.append("free" if flat["free"] else "not free")
        flat = {name: item for name, item in flat.items() if name != "free"}
    lines += object_lines(style, {name: item for name, item in flat.items() if name not in lists})
    notes = []
    for name, rows in lists.items():
        text, note = table(style, rows, COLUMNS.get(_INNER_ITEMS.get(name, "")) or _scalar_columns(rows[0]))
        lines += ["", clean(f"{name.replace('_', ' ')}:"), text]
        notes += [note] if note else []
    return lines, notes


def _mark_generated(written: Mapping[str, Any]) -> str:
    """A text of a language model, marked as such."""
    return f"{written['text']}\n\n(generated by {written['model']}, {written['made_at']})"


def _message_lines(style: TextStyle, message: Mapping[str, Any]) -> list[str]:
    """A message: a line about it, its subject, its text and an empty line."""
    id_ = style.short_id(message["id"])
    marks = [message["priority"]] if message["priority"] != "normal" else []
    marks += ["acknowledge"] if message["ack_required"] else []
    marks += [message["status"]] if "status" in message else []
    lines = [
        f"{style.bold(clean(message['sender_name']))} to {clean(', '.join(message['to']))}, "
        f"{style.when(message['created_at'])}{''.join(f' [{mark}]' for mark in marks)} {style.dim(id_)}"
    ]
    lines += [style.bold(clean(message["subject"]))] if message["subject"] else []
    lines.append(clean(message["body"]))
    if message["truncated"]:
        show_command = f"{style.program} message show {id_}"
        lines.append(style.dim(f"… {message['body_chars']} characters in all: {show_command}"))
    return [*lines, ""]


def _is_table(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _scalar_columns(item: Mapping[str, Any]) -> tuple[str, ...]:
    """Columns for objects that have none of their own: the short fields."""
    short = [name for name, value in item.items() if not isinstance(value, list | dict)]
    return tuple(name for name in short if not (name.endswith("_id") or name == "version"))[:8]


def _flatten(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of an object; an object that it wraps, if it is a single one, is merged into it."""
    wrapped_names = [name for name, item in value.items() if isinstance(item, dict) and "id" in item]
    if len(wrapped_names) != 1:
        return value
    other_fields = {name: item for name, item in value.items() if name != wrapped_names[0]}
    return {**value[wrapped_names[0]], **other_fields}
