"""Changes of the merge queue as lines: how one stands, what a rollback takes back, a report of what landed.

Each function takes the JSON of an answer or event and returns lines without their ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from repomesh.views.terminal_text import TextStyle, clean, counted

ENDED_STATES: Final = ("landed", "returned", "quarantined", "rejected", "withdrawn", "superseded")
"""States in which the queue does nothing more with a change by itself."""

_COLOURS = {"landed": "32", "returned": "33", "rejected": "33", "quarantined": "31"}


def state_lines(style: TextStyle, change: Mapping[str, Any]) -> list[str]:
    """Return the state that a change has now, why, and what would move it."""
    state = style.coloured(f"{change['state']:<11}", _COLOURS.get(change["state"]))
    lines = [f"{style.dim(change['updated_at'][11:19])}  {state} {clean(change['reason'])}"]
    if change["next_step"] and change["state"] in (*ENDED_STATES, "waiting"):
        lines.append(f"{'':<10}{'next':<11} {clean(change['next_step'])}")
    return lines


def waiting_lines(style: TextStyle, change: Mapping[str, Any]) -> list[str]:
    """Return a change that waits for a person, with what it risks and the commands that decide about it."""
    short_id, risk = style.short_id(change["id"]), change["risk"]
    size = f"{counted(change['file_count'], 'file')}, +{change['lines_added']} -{change['lines_deleted']}"
    lines = [
        f"{style.bold(clean(change['summary']))} of {clean(change['author_name'])}  {style.dim(short_id)}",
        clean(change["reason"]),
    ]
    if change["waits_for"] != "approval":
        return [*lines, clean(change["next_step"])]
    risks = f": {'; '.join(risk['reasons'])}" if risk["reasons"] else ""
    program = style.program
    return [
        *lines,
        clean(f"risk {risk['level']}{risks} ({size})"),
        f"look at it: {program} change diff {short_id}",
        f"let it land: {program} change approve {short_id}; stop it: {program} change reject {short_id}",
    ]


def rollback_lines(style: TextStyle, plan: Mapping[str, Any]) -> list[str]:
    """Return what a rollback takes back and what builds on it."""
    lines = [f"Taken back from {clean(plan['target'])}, newest first:"]
    lines += _change_lines(style, plan["changes"]) or ["  no change"]
    if plan["other_commits"]:
        lines.append(f"  and {counted(plan['other_commits'], 'commit')} that came by no change")
    if plan["dependants"]:
        lines += ["Later changes of the same files, which stay:", *_change_lines(style, plan["dependants"])]
    return lines


def _change_lines(style: TextStyle, changes: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"  {style.short_id(change['id'])}  {clean(change['summary'])}, {clean(change['author_name'])}"
        for change in changes
    ]


def report_markdown(
    since: str, statistics: Mapping[str, Any], landed: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Return a report of what landed as Markdown: figures, and a row for each change."""
    wait, checks = statistics["wait_s"], statistics["checks"]
    merged = ", ".join(f"{count} by {name}" for name, count in sorted(statistics["merged_by"].items()))
    failures = ", ".join(f"{count} × {name}" for name, count in sorted(statistics["failures"].items()))
    lines = [
        f"# Merge queue since {since}",
        "",
        f"- landed: {statistics['landed']} ({merged or 'none'}), {statistics['landed_per_h']:g} an hour",
        f"- returned: {statistics['returned']}; failed attempts: {failures or 'none'}",
        f"- rolled back: {statistics['rolled_back']}",
        f"- from submission to landing: {_seconds(wait['p50'])} (half), {_seconds(wait['p95'])} (95 %)",
        f"- checks: {checks['runs']} runs, {checks['passed']} passed, {checks['flaky']} flaky, "
        f"{_seconds(checks['seconds']['p50'])} (half), {_seconds(checks['seconds']['p95'])} (95 %)",
    ]
    if not landed:
        return lines
    head = (
        "landed",
        "commit",
        "change",
        "author",
        "asked for",
        "merged by",
        "checks",
        "approved by",
        "notes",
    )
    lines += ["", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return [*lines, *(f"| {' | '.join(_report_cells(change))} |" for change in landed)]


def _report_cells(change: Mapping[str, Any]) -> list[str]:
    checks = [f"{check['name']}{' (flaky)' if check['flaky'] else ''}" for check in change["checks"]]
    approvals = [approval["agent_name"] for approval in change["approvals"]]
    asked = " by ".join(filter(None, (change["task_goal"], change["requested_by"])))
    notes = [f"takes back {counted(len(change['rolls_back']), 'change')}"] if change["rolls_back"] else []
    notes += ["rolled back"] if change["rolled_back_by"] else []
    notes += [f"risk {change['risk_level']}"] if change["risk_level"] != "low" else []
    cells = [
        change["landed_at"][:19].replace("T", " "),
        change["landed_commit"][:12],
        change["summary"],
        change["author_name"],
        asked or "-",
        change["merged_by"],
        ", ".join(checks) or "none",
        ", ".join(approvals) or "-",
        ", ".join(notes) or "-",
    ]
    return [markdown_text(cell) for cell in cells]


def markdown_text(text: str) -> str:
    """Return a text on one line that a table of Markdown shows as it is."""
    text = " ".join(clean(text).split()).replace("\\", "\\\\").replace("|", "\\|")
    return text.replace("<", "&lt;").replace("`", "\\`")


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:g} s"
