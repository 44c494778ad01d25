"""How a person's inbox looks in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from repomesh.cli import output

_BEGINNING_CHARS = 200  # of a text in the list; 'read' shows the rest
_ID_CHARS = 8  # enough of an id's end to name it


def whole(name: str, found: Mapping[str, Any]) -> list[str]:
    """The inbox of a person, a block for each sort of thing that is there."""
    lines = [f"{output.bold(output.clean(name))}: {_counted(found)}"]
    for title, items, shown in (
        ("Questions", found["questions"], question),
        ("Waiting for a permission", found["permissions"], permission),
        ("Not delivered", found["notices"], brief),
        ("Messages", found["messages"], brief),
    ):
        if items:
            lines += ["", output.bold(title)]
            for item in items:
                lines += [f"  {line}" if line else "" for line in shown(item)]
    if found.get("omitted"):
        lines += ["", output.clean(found["omitted"])]
    if found["questions"]:
        lines += ["", f"answer with: repomesh inbox reply {_short(found['questions'][0]['id'])} TEXT"]
    return lines


def question(asked: Mapping[str, Any]) -> list[str]:
    """A question with its options, until when, and what happens then."""
    who, when = output.bold(output.clean(asked["asker_name"])), output.when(asked["created_at"])
    lines = [f"{who} asks, {when}  {output.dim(_short(asked['id']))}"]
    lines += output.clean(asked["question"]).splitlines()
    lines += [f"{number}. {output.clean(option)}" for number, option in enumerate(asked["options"], 1)]
    if asked["status"] != "open":
        answer = f": {asked['answer']}" if asked["answer"] else ""
        return [*lines, output.clean(f"{asked['status']}{answer}")]
    return lines + _deadline(asked)


def permission(asked: Mapping[str, Any]) -> list[str]:
    """A CLI that stands still; only its own terminal can answer it."""
    about = f" {asked['tool']}" if asked["tool"] else ""
    summary = f": {asked['summary']}" if asked["summary"] else ""
    said = f"{asked['agent_name']} ({asked['cli']}) wants to use{about}{summary}, {output.when(asked['at'])}"
    return [output.clean(" ".join(said.split())), output.dim("answer it where that CLI runs")]


def message(shown: Mapping[str, Any]) -> list[str]:
    """A message whole."""
    return [*_head(shown), *output.clean(shown["body"]).splitlines()]


def brief(shown: Mapping[str, Any]) -> list[str]:
    """A message with the beginning of its text."""
    text = " ".join(output.clean(shown["body"]).split())
    return [*_head(shown), text if len(text) <= _BEGINNING_CHARS else f"{text[:_BEGINNING_CHARS]}…"]


def event(told: Mapping[str, Any], name: str) -> list[str]:
    """What happened, if it concerns the person; else nothing."""
    data = told["data"]
    if told["type"] == "message.sent":
        mine = name in data["to"] or "*" in data["to"] or data["channel"]
        return brief(data) if mine and "question" not in data["tags"] else []
    if told["type"] == "agent.permission_requested":
        return permission(data)
    if told["type"].startswith("question."):
        asked = data["question"]
        return question(asked) if asked["asker_name"] != name else []
    return [output.clean(f"not delivered: {data['subject']}")]


def _head(shown: Mapping[str, Any]) -> list[str]:
    marks = [shown["priority"]] if shown["priority"] != "normal" else []
    marks += ["acknowledge"] if shown["ack_required"] else []
    where = f" in #{shown['channel']}" if shown["channel"] else ""
    who, when = output.bold(output.clean(shown["sender_name"])), output.when(shown["created_at"])
    said = f"{who}{output.clean(where)}, {when}{''.join(f' [{mark}]' for mark in marks)}"
    head = f"{said}  {output.dim(_short(shown['id']))}"
    return [head, output.bold(output.clean(shown["subject"]))] if shown["subject"] else [head]


def _deadline(asked: Mapping[str, Any]) -> list[str]:
    if asked["deadline_at"] is None:
        return []
    when = output.when(asked["deadline_at"])
    if asked["escalate_to"] is not None and asked["escalated_at"] is None:
        return [output.clean(f"deadline {when}, then it goes to {asked['escalate_to']}")]
    if asked["default"] is not None:
        return [output.clean(f"deadline {when}, then this applies: {asked['default']}")]
    return [f"deadline {when}"]


def _counted(found: Mapping[str, Any]) -> str:
    counts = (
        (len(found["questions"]), "question"),
        (len(found["permissions"]), "permission"),
        (found["unread"], "unread message"),
    )
    return ", ".join(_number(count, word) for count, word in counts if count) or "nothing needs you"


def _number(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _short(id_: str) -> str:
    return id_[-_ID_CHARS:]
