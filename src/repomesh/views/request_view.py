"""Requests as lines: how one stands, its brief, its plan, and who works on it.

Each function takes the JSON of an answer and returns lines without their ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from repomesh.views.change_view import markdown_text
from repomesh.views.terminal_text import TextStyle, clean, counted

_COLOURS: Final = {"done": "32", "clarifying": "33", "failed": "31", "cancelled": "33"}
_APPROVABLE: Final = ("briefed", "planned")
_BRIEF_LISTS: Final = (
    ("scope_in", "in scope"),
    ("scope_out", "out of scope"),
    ("files", "files"),
    ("acceptance", "acceptance"),
    ("constraints", "constraints"),
    ("open_questions", "open questions"),
)


def request_page(style: TextStyle, request: Mapping[str, Any]) -> list[str]:
    """Return a request with its state, its documents, its tasks and their changes."""
    lines = [
        f"{style.bold(clean(request['title']))}  {style.dim(style.short_id(request['id']))}",
        f"{request['class']} of {clean(request['requester_name'])}, approval: {request['approval']}",
        *state_lines(style, request),
    ]
    lines += _brief_lines(style, request["brief"])
    lines += _plan_lines(style, request)
    lines += _violation_lines(request["violations"])
    if request["changes"]:
        lines += ["", style.bold("Changes")]
        lines += [
            f"  {change['state']:<11} {style.short_id(change['id'])}  {clean(change['summary'])} "
            f"({clean(change['task_key'])}, {clean(change['author_name'])})"
            for change in request["changes"]
        ]
    return lines


def edited_page(style: TextStyle, edited: Mapping[str, Any]) -> list[str]:
    """Return what came of a new brief or plan."""
    request = edited["request"]
    if edited["accepted"]:
        return [f"request {style.short_id(request['id'])} edited", *state_lines(style, request)]
    return [
        f"request {style.short_id(request['id'])}: the plan was not taken",
        *_violation_lines(edited["violations"]),
    ]


def state_lines(style: TextStyle, request: Mapping[str, Any]) -> list[str]:
    """Return the state that a request has now, why, and what would move it."""
    state = style.coloured(request["state"], _COLOURS.get(request["state"]))
    lines = [f"{state}: {clean(request['reason'])}"]
    if request["stopped"]:
        stopped = f"stopped by {clean(request['stopped_by'])}: {clean(request['stopped_reason'])}"
        lines.append(style.coloured(stopped, "33"))
    if request["next_step"]:
        lines.append(f"next: {clean(request['next_step'])}")
    return lines


def waiting_lines(style: TextStyle, request: Mapping[str, Any]) -> list[str]:
    """Return a request that waits for a person, with the commands that move it."""
    short_id, program = style.short_id(request["id"]), style.program
    lines = [
        f"{style.bold(clean(request['title']))} of {clean(request['requester_name'])}  {style.dim(short_id)}",
        clean(f"{request['state']}: {request['reason']}"),
        f"look at it: {program} request show {short_id}",
    ]
    if request["state"] in _APPROVABLE:
        lines += [f"let it go on: {program} request approve {short_id}"]
        lines += [f"stop it for good: {program} request cancel {short_id}"]
    return lines


def _brief_lines(style: TextStyle, brief: Mapping[str, Any] | None) -> list[str]:
    if brief is None:
        return []
    document = brief["document"]
    lines = ["", style.bold(f"Brief {brief['version']}") + _authorship(brief)]
    lines += [f"  {clean(line)}" for line in document["goal"].splitlines()]
    for name, label in _BRIEF_LISTS:
        if document[name]:
            lines.append(f"  {label}: {clean('; '.join(document[name]))}")
    return lines


def _plan_lines(style: TextStyle, request: Mapping[str, Any]) -> list[str]:
    plan = request["plan"]
    if plan is None:
        return []
    document = plan["document"]
    on_board = {task["key"]: task for task in request["tasks"]}
    share = f"{counted(len(document['tasks']), 'task')}, {document['independence']:.0%} independent"
    lines = ["", f"{style.bold('Plan ' + str(plan['version']))}: {share}{_authorship(plan)}"]
    lines += [f"  needs approval, since {clean(risk)}" for risk in plan["risks"]]
    for task in document["tasks"]:
        known = on_board.get(task["key"])
        status = known["status"] if known else "planned"
        who = f" ({clean(known['agent_name'])})" if known and known["agent_name"] else ""
        after = f", after {clean(', '.join(task['dependencies']))}" if task["dependencies"] else ""
        lines.append(f"  {status:<10} {clean(task['key'])}{who}: {clean(task['goal'])}{after}")
    return lines


def _authorship(document: Mapping[str, Any]) -> str:
    approved = f", approved by {clean(document['approved_by'])}" if document["approved_by"] else ""
    return f" by {clean(document['author_name'])}{approved}"


def _violation_lines(violations: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["", "Rules that the plan broke:"] if violations else []
    for violation in violations:
        lines.append(f"  {violation['rule']}: {clean(violation['message'])}. {clean(violation['fix'])}")
    return lines


def report_markdown(report: Mapping[str, Any]) -> list[str]:
    """Return the report of a request as Markdown: asked, understood, split, done, checked, approved."""
    request, brief, plan = report["request"], report["brief"], report["plan"]
    lines = [
        f"# {markdown_text(request['title'])}",
        "",
        f"- state: {request['state']}: {markdown_text(request['reason'])}",
        f"- asked by {markdown_text(request['requester_name'])} at {request['created_at'][:19]}Z "
        f"(request {request['id']}){_duration(request)}",
        f"- brief: {_document_summary(brief)}",
        f"- plan: {_document_summary(plan)}",
        "",
        "## Asked",
        "",
        *_quoted(report["text"]),
    ]
    if brief is not None:
        lines += ["", "## Understood", "", *_quoted(brief["document"]["goal"])]
        named = [(name, label) for name, label in _BRIEF_LISTS if brief["document"][name]]
        lines += [""] if named else []
        for name, label in named:
            lines.append(f"- {label}: {markdown_text('; '.join(brief['document'][name]))}")
    if plan is not None:
        share = f"{plan['document']['independence']:.0%}"
        count = counted(len(plan["document"]["tasks"]), "task")
        lines += ["", "## Split", "", f"{count}, {share} of them independent.", ""]
        lines += _markdown_table(
            ("task", "goal", "files", "state", "by", "attempts"), map(_task_cells, report["tasks"])
        )
    if report["changes"]:
        lines += ["", "## Done", ""]
        head = ("change", "task", "by", "state", "commit", "checks", "approved by", "risk")
        lines += _markdown_table(head, map(_change_cells, report["changes"]))
    failures = [*map(_task_failure, report["tasks"]), *map(_change_failure, report["changes"])]
    if any(failures):
        lines += ["", "## Failed on the way", ""]
        lines += [f"- {markdown_text(failure)}" for failure in failures if failure]
    return lines


def _duration(request: Mapping[str, Any]) -> str:
    if request["ended_at"] is None:
        return ""
    began, ended = (datetime.fromisoformat(request[name]) for name in ("created_at", "ended_at"))
    return f", ended after {(ended - began).total_seconds() / 60:.1f} minutes"


def _document_summary(document: Mapping[str, Any] | None) -> str:
    if document is None:
        return "none"
    approval = f"approved by {document['approved_by']}" if document["approved_by"] else "no approval needed"
    return markdown_text(f"version {document['version']} by {document['author_name']}, {approval}")


def _quoted(text: str) -> list[str]:
    return [f"> {markdown_text(line)}" for line in text.strip().splitlines()]


def _markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return [*lines, *(f"| {' | '.join(map(markdown_text, row))} |" for row in rows)]


def _task_cells(task: Mapping[str, Any]) -> list[str]:
    holders = dict.fromkeys(attempt["agent_name"] for attempt in reversed(task["attempts"]))
    return [
        task["key"],
        task["goal"],
        ", ".join(task["files"]),
        task["status"],
        ", ".join(holders) or "-",
        str(len(task["attempts"])),
    ]


def _change_cells(change: Mapping[str, Any]) -> list[str]:
    checks = [f"{check['name']} {check['outcome']}" for check in change["checks"]]
    approvals = [
        approval["agent_name"] for approval in change["approvals"] if approval["verdict"] == "approved"
    ]
    return [
        change["summary"],
        change["task_key"],
        change["author_name"],
        change["state"],
        (change["landed_commit"] or "-")[:12],
        ", ".join(dict.fromkeys(checks)) or "none",
        ", ".join(approvals) or "-",
        change["risk"]["level"],
    ]


def _task_failure(task: Mapping[str, Any]) -> str:
    lost = [
        f"{attempt['agent_name']} {attempt['outcome']}{': ' + attempt['reason'] if attempt['reason'] else ''}"
        for attempt in reversed(task["attempts"])
        if attempt["outcome"] not in (None, "done")
    ]
    return f"{task['key']}: {'; '.join(lost)}" if lost else ""


def _change_failure(change: Mapping[str, Any]) -> str:
    failed = [attempt for attempt in reversed(change["attempts"]) if attempt["error_class"] is not None]
    reasons = "; ".join(f"{attempt['error_class']}: {attempt['reason']}" for attempt in failed)
    return f"{change['summary']}: {reasons}" if reasons else ""
