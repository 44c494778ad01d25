"""The status of a server: its address and process, and a block for each sort of object that exists."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from repomesh.views.terminal_text import TextStyle, clean

SHOWN_MAX: Final = 10
"""Lines of each block, so that the most urgent of all blocks fit on one screen."""

Item = Mapping[str, Any]


def status_lines(style: TextStyle, status: Item) -> list[str]:
    """Return the lines of a status, as `repomesh status --json` prints it."""
    header = {
        "server": f"{status['url']} ({status['version']}, {status['database']})",
        "process": status["pid"],
        "data": status["data"],
        "repository": _repository(status["workspace"]),
        "waking": f"process {status['daemon']}" if status["daemon"] else None,
        "last event": _last_event(style, status),
        "queue": "; ".join(status["queue"]),
        "damaged": _damaged(status),
    }
    lines = [f"{style.bold(f'{name:<10}')}  {clean(str(text))}" for name, text in header.items() if text]
    cut_blocks = set(status["more"])
    tasks = status["tasks"]
    for title, items, line in _blocks(status):
        cut = "+" if _is_cut(title, cut_blocks) else ""
        lines += ["", style.bold(f"{title}: {_count(title, items, tasks)}{cut}")]
        lines += [f"  {clean(line(style, item))}" for item in items[:SHOWN_MAX]]
        if len(items) > SHOWN_MAX:
            lines.append(style.dim(f"  and {len(items) - SHOWN_MAX} more"))
    return lines


def _blocks(status: Item) -> Iterator[tuple[str, list[Item], Callable[[TextStyle, Item], str]]]:
    """Yield title, items and the function that draws one item; agents always, the others if any exist."""
    yield "Agents", status["agents"]["items"], _agent
    for title, items, line in (
        ("Questions", status["questions"], _question),
        ("Urgent, not acknowledged", status["urgent"], _urgent),
        ("Meetings", status["meetings"], _meeting),
        ("Tasks", status["tasks"]["items"], _task),
        ("Changes", status["changes"], _change),
        ("Locks", status["locks"], _lock),
    ):
        if items:
            yield title, items, line


def _is_cut(title: str, cut_blocks: set[str]) -> bool:
    tasks = {"claimed", "ready", "waiting", "blocked"}
    return bool(cut_blocks & tasks) if title == "Tasks" else title.lower() in cut_blocks


def _count(title: str, items: list[Item], tasks: Item) -> str:
    if title == "Tasks":
        return ", ".join(f"{tasks[name]} {name}" for name in tasks if name != "items" and tasks[name])
    if title == "Agents":
        counts = [(sum(agent["status"] == word for agent in items), word) for word in ("active", "inactive")]
        return ", ".join(f"{count} {word}" for count, word in counts if count) or "none"
    return str(len(items))


def _repository(workspace: Item) -> str:
    return f"{workspace['name']}, {workspace['path']}" if workspace["path"] else str(workspace["name"])


def _last_event(style: TextStyle, status: Item) -> str | None:
    if status["last_seq"] is None:
        return None
    time = f", {style.when(status['last_event_at'])}" if status["last_event_at"] else ""
    return f"{status['last_seq']}{time}"


def _damaged(status: Item) -> str | None:
    names = ", ".join(status["damaged"])
    return f"{names} can't be read: run 'repomesh doctor'" if names else None


def _agent(style: TextStyle, agent: Item) -> str:
    last_seen = f"seen {style.when(agent['last_seen_at'])}" if agent["last_seen_at"] else ""
    parts = (agent["status"], agent["program"], last_seen, agent["status_text"])
    return f"{agent['name']}: {', '.join(part for part in parts if part)}"


def _lock(style: TextStyle, lock: Item) -> str:
    note = f" ({lock['note']})" if lock["note"] else ""
    shared = ", shared" if lock["mode"] == "shared" else ""
    return f"{lock['resource']}: {lock['agent_name']}{shared}, ends {style.when(lock['expires_at'])}{note}"


def _task(style: TextStyle, task: Item) -> str:
    agent = f", {task['agent_name']}" if task["state"] == "claimed" else ""
    percent = f" {task['percent']} %" if task["percent"] is not None and agent else ""
    reason = f": {task['reason']}" if task["state"] == "blocked" and task["reason"] else ""
    return f"{style.short_id(task['id'])}  {task['state']}{agent}{percent}  {task['goal']}{reason}"


def _change(style: TextStyle, change: Item) -> str:
    return (
        f"{style.short_id(change['id'])}  {change['state']}, {change['author_name']}  {change['summary']}: "
        f"{change['reason']}"
    )


def _question(style: TextStyle, question: Item) -> str:
    until = f", {style.until(question['deadline_at'])}" if question["deadline_at"] else ""
    text = " ".join(question["question"].split())
    names = f"{question['asker_name']} asks {question['asked_name']}"
    return f"{style.short_id(question['id'])}  {names}{until}: {text}"


def _urgent(style: TextStyle, message: Item) -> str:
    text = message["subject"] or " ".join(message["body"].split())
    recipients = ", ".join(message["waits_for"])
    return f"{style.short_id(message['id'])}  {message['sender_name']}, waits for {recipients}: {text}"


def _meeting(style: TextStyle, meeting: Item) -> str:
    turn = f", {meeting['speaker_name']}'s turn" if meeting["speaker_name"] else ""
    due = f", goes on {style.when(meeting['due_at'])}" if meeting["due_at"] else ""
    return f"{style.short_id(meeting['id'])}  {meeting['topic']} ({meeting['phase']}{turn}{due})"
