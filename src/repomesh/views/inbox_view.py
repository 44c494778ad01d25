"""A person's inbox: questions, permissions, notices and messages, as lines.

Each function takes the JSON of an answer or event and returns lines without their ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from repomesh.views import request_view
from repomesh.views.change_view import waiting_lines
from repomesh.views.terminal_text import TextStyle, clean, counted

_BEGINNING_CHARS = 200  # of a text in the list; 'read' shows the rest


def inbox_lines(style: TextStyle, name: str, inbox: Mapping[str, Any]) -> list[str]:
    """Return the inbox of person `name`, a block for each sort of item that it holds."""
    lines = [f"{style.bold(clean(name))}: {_count_items(inbox)}"]
    for title, items, draw in (
        ("Questions", inbox["questions"], question_lines),
        ("Waiting for a permission", inbox["permissions"], permission_lines),
        ("Changes that wait for you", inbox.get("changes", ()), waiting_lines),
        ("Requests that wait for you", inbox.get("requests", ()), request_view.waiting_lines),
        ("Not delivered", inbox["notices"], message_summary),
        ("Messages", inbox["messages"], message_summary),
    ):
        if items:
            lines += ["", style.bold(title)]
            for item in items:
                lines += [f"  {line}" if line else "" for line in draw(style, item)]
    if inbox.get("omitted"):
        lines += ["", clean(inbox["omitted"])]
    if inbox["questions"]:
        first = style.short_id(inbox["questions"][0]["id"])
        lines += ["", f"answer with: {style.program} inbox reply {first} TEXT"]
    return lines


def question_lines(style: TextStyle, question: Mapping[str, Any]) -> list[str]:
    """Return a question with its options, its deadline and what happens then."""
    asker, asked_at = style.bold(clean(question["asker_name"])), style.when(question["created_at"])
    lines = [f"{asker} asks, {asked_at}  {style.dim(style.short_id(question['id']))}"]
    lines += clean(question["question"]).splitlines()
    lines += [f"{number}. {clean(option)}" for number, option in enumerate(question["options"], 1)]
    if question["status"] != "open":
        answer = f": {question['answer']}" if question["answer"] else ""
        return [*lines, clean(f"{question['status']}{answer}")]
    return lines + _deadline(style, question)


def permission_lines(style: TextStyle, permission: Mapping[str, Any]) -> list[str]:
    """Return an agent CLI's request for a permission. Only that CLI's own terminal can answer it."""
    tool = f" {permission['tool']}" if permission["tool"] else ""
    summary = f": {permission['summary']}" if permission["summary"] else ""
    agent, asked_at = f"{permission['agent_name']} ({permission['cli']})", style.when(permission["at"])
    text = f"{agent} wants to use{tool}{summary}, {asked_at}"
    return [clean(" ".join(text.split())), style.dim("answer it where that CLI runs")]


def message_lines(style: TextStyle, message: Mapping[str, Any]) -> list[str]:
    """Return a message with its whole text."""
    return [*_heading(style, message), *clean(message["body"]).splitlines()]


def message_summary(style: TextStyle, message: Mapping[str, Any]) -> list[str]:
    """Return a message with the beginning of its text on one line."""
    text = " ".join(clean(message["body"]).split())
    return [
        *_heading(style, message),
        text if len(text) <= _BEGINNING_CHARS else f"{text[:_BEGINNING_CHARS]}…",
    ]


def event_lines(style: TextStyle, event: Mapping[str, Any], name: str) -> list[str]:
    """Return an event of the log as it concerns person `name`; no lines if it does not."""
    data = event["data"]
    if event["type"] == "message.sent":
        is_addressed = name in data["to"] or "*" in data["to"] or data["channel"]
        return message_summary(style, data) if is_addressed and "question" not in data["tags"] else []
    if event["type"] == "agent.permission_requested":
        return permission_lines(style, data)
    if event["type"].startswith("question."):
        question = data["question"]
        return question_lines(style, question) if question["asker_name"] != name else []
    return [clean(f"not delivered: {data['subject']}")]


def _heading(style: TextStyle, message: Mapping[str, Any]) -> list[str]:
    marks = [message["priority"]] if message["priority"] != "normal" else []
    marks += ["acknowledge"] if message["ack_required"] else []
    channel = f" in #{message['channel']}" if message["channel"] else ""
    sender, sent_at = style.bold(clean(message["sender_name"])), style.when(message["created_at"])
    text = f"{sender}{clean(channel)}, {sent_at}{''.join(f' [{mark}]' for mark in marks)}"
    head = f"{text}  {style.dim(style.short_id(message['id']))}"
    return [head, style.bold(clean(message["subject"]))] if message["subject"] else [head]


def _deadline(style: TextStyle, question: Mapping[str, Any]) -> list[str]:
    if question["deadline_at"] is None:
        return []
    deadline = style.when(question["deadline_at"])
    if question["escalate_to"] is not None and question["escalated_at"] is None:
        return [clean(f"deadline {deadline}, then it goes to {question['escalate_to']}")]
    if question["default"] is not None:
        return [clean(f"deadline {deadline}, then this applies: {question['default']}")]
    return [f"deadline {deadline}"]


def _count_items(inbox: Mapping[str, Any]) -> str:
    counts = (
        (len(inbox["questions"]), "question"),
        (len(inbox["permissions"]), "permission"),
        (len(inbox.get("changes", ())), "change"),
        (len(inbox.get("requests", ())), "request"),
        (inbox["unread"], "unread message"),
    )
    return ", ".join(counted(count, word) for count, word in counts if count) or "nothing needs you"
