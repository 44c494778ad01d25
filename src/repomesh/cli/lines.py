"""An event as one line for people."""

from __future__ import annotations

from typing import Any

from repomesh.cli import output

_COLOURS = {"debug": "2", "warning": "33", "error": "31", "critical": "1;31"}
_FIRST = ("goal", "subject", "body", "resource", "name", "status")  # what a reader wants of an event's data
_DETAIL_CHARS = 100


def line(event: dict[str, Any], names: dict[str, str]) -> str:
    """Number, time, who, what, about what; `names` are those of agents by their ids."""
    who = names.get(event["actor"] or "", "") or event["principal"].partition(":")[0]
    about, _, id_ = event["subject"].partition("/")
    subject = names.get(id_) or f"{about} {id_[-12:]}"
    start = f"{event['seq']:>6}  {event['at'][11:19]}  {who:<14} {event['type']:<24}"
    shown = output.clean(f"{start} {subject}  {_detail(event['data'])}".rstrip())
    colour = _COLOURS.get(event["severity"]) if output.wants_colour() else None
    return f"\x1b[{colour}m{shown}\x1b[0m" if colour else shown


def learn(names: dict[str, str], event: dict[str, Any]) -> None:
    """Keep the name of an agent that an event tells of."""
    agent = event["data"].get("agent")
    if event["type"].startswith("agent.") and isinstance(agent, dict):
        names[agent["id"]] = agent["name"]


def _detail(data: dict[str, Any]) -> str:
    flat: dict[str, Any] = {}
    for name, value in data.items():
        flat |= value if isinstance(value, dict) else {name: value}
    told = [str(flat[name]) for name in _FIRST if flat.get(name)]
    told += [f"({flat['reason']})"] if flat.get("reason") else []
    if not told:
        told = [", ".join(f"{name}={output.cell(value)}" for name, value in data.items())]
    text = " ".join(" · ".join(dict.fromkeys(told)).split())
    return text if len(text) <= _DETAIL_CHARS else f"{text[:_DETAIL_CHARS]}…"
