"""The plan of a request as a table of its tasks, and lines about the whole. Takes the plan's JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from repomesh.views.terminal_text import counted

TASK_COLUMNS: Final = ("key", "files", "lines", "tokens", "waits_for", "goal")
"""Columns of the table of tasks."""


def task_rows(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each task."""
    return [
        {
            "key": task["key"],
            "files": task["size"]["files"],
            "lines": task["size"]["lines"],
            "tokens": task["size"]["tokens"],
            "waits_for": ", ".join(task["dependencies"]),
            "goal": task["goal"],
        }
        for task in plan["tasks"]
    ]


def summary_lines(plan: Mapping[str, Any]) -> list[str]:
    """Return how many tasks are independent, how tokens were counted, shared files, and the notes."""
    tasks = plan["tasks"]
    method = (
        "estimated as characters / 4" if plan["token_method"] == "characters/4" else "counted by tiktoken"
    )
    lines = [f"{counted(len(tasks), 'task')}, {plan['independence']:.0%} independent; tokens are {method}."]
    for mode, meaning in (("append_only", "append-only"), ("one_task", "changed by one task alone")):
        shared = [item["path"] for item in plan["shared"] if item["mode"] == mode]
        if shared:
            lines.append(f"{meaning}: {_first_names(shared)}")
    return [*lines, *(f"note: {note}" for note in plan["notes"])]


def _first_names(names: Sequence[str], shown: int = 5) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return f"{', '.join(names[:shown])}{more}"
