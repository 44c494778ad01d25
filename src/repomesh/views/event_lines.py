"""An event of the log as one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from repomesh.views.terminal_text import TextStyle, cell, clean

_COLOURS = {"debug": "2", "warning": "33", "error": "31", "critical": "1;31"}
_FIRST = (
    "goal",
    "subject",
    "body",
    "resource",
    "name",
    "status",
)  # fields of an event's data to show, if it has them
_DETAIL_CHARS = 100


def event_line(style: TextStyle, event: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Return an event as one line: number, time, actor, type, subject and the main fields of its data.

    `names` are the names of agents by id. The colour is that of the severity.
    """
    actor = names.get(event["actor"] or "", "") or event["principal"].partition(":")[0]
    subject_type, _, id_ = event["subject"].partition("/")
    subject = names.get(id_) or f"{subject_type} {style.short_id(id_)}"
    start = f"{event['seq']:>6}  {event['at'][11:19]}  {actor:<14} {event['type']:<24}"
    line = clean(f"{start} {subject}  {_detail(event['data'])}".rstrip())
    return style.coloured(line, _COLOURS.get(event["severity"]))


def add_name(names: dict[str, str], event: Mapping[str, Any]) -> None:
    """Add to `names` (agent names by id) the agent whose event this is."""
    agent = event["data"].get("agent")
    if event["type"].startswith("agent.") and isinstance(agent, dict):
        names[agent["id"]] = agent["name"]


def _detail(data: Mapping[str, Any]) -> str:
    flat: dict[str, Any] = {}
    for name, value in data.items():
        flat |= value if isinstance(value, dict) else {name: value}
    parts = [str(flat[name]) for name in _FIRST if flat.get(name)]
    parts += [f"({flat['reason']})"] if flat.get("reason") else []
    if not parts:
        parts = [", ".join(f"{name}={cell(value)}" for name, value in data.items())]
    text = " ".join(" · ".join(dict.fromkeys(parts)).split())
    return text if len(text) <= _DETAIL_CHARS else f"{text[:_DETAIL_CHARS]}…"
