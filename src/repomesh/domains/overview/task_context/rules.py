"""Pure decisions on what of a task's context is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from repomesh.domains.overview.task_context.models import ContextTask, TaskContext
from repomesh.kernel.budget import cut, encoded_length, fair_share, fit, no_cursor
from repomesh.kernel.fields import Page
from repomesh.kernel.identity import Caller
from repomesh.kernel.operation import Model

Item = TypeVar("Item", bound=Model)
Kind = TypeVar("Kind", bound=str)

_SECTIONS = {"dependencies": "result", "messages": "body", "events": "text", "locks": "note"}
"""The lists of a context, each with the long field of its items."""

_TEXTS = ("description", "result", "note", "reason")
READ_SCOPES: dict[str, str] = {
    "agent": "agents:read",
    "artifact": "sessions:read",
    "chunk": "sessions:read",
    "decision": "meetings:read",
    "meeting": "meetings:read",
    "memory": "sessions:read",
    "message": "messages:read",
    "question": "messages:read",
    "change": "changes:read",
    "request": "requests:read",
    "review": "reviews:read",
    "task": "tasks:read",
}
"""The scope that reads each kind of what searches find."""

_OMITTED_CHARS = 200  # more than `omitted` ever takes


def readable(caller: Caller, kinds: Sequence[Kind]) -> tuple[Kind, ...]:
    """The kinds that the caller's token may read; raises Forbidden when there is none."""
    readable_kinds = tuple(kind for kind in kinds if caller.holds(READ_SCOPES[kind]))
    if not readable_kinds:
        caller.require(READ_SCOPES[kinds[0]])
    return readable_kinds


def fit_context(context: TaskContext, max_chars: int) -> TaskContext:
    """The context with each of its parts cut to a fair share of `max_chars`."""
    empty_context = context.model_copy(update={name: [] for name in _SECTIONS})
    task_chars = len(context.task.model_dump_json())
    section_sizes = {name: len(_page(getattr(context, name)).model_dump_json()) for name in _SECTIONS}
    chars_left = max_chars - (len(empty_context.model_dump_json()) - task_chars) - _OMITTED_CHARS
    # Without the task the other parts mean little: it gets half of the space, if it needs that.
    share = max(fair_share([task_chars, *section_sizes.values()], chars_left), chars_left // 2)
    task = _fit_task(context.task, min(chars_left, max(share, _chars_min(context.task))))
    chars_left -= len(task.model_dump_json())
    share = fair_share(list(section_sizes.values()), chars_left)
    fitted_sections = {
        name: fit(_page(getattr(context, name)), share, no_cursor, text).items
        for name, text in _SECTIONS.items()
    }
    return context.model_copy(
        update={"task": task, **fitted_sections, "omitted": _omitted_text(context, task, fitted_sections)}
    )


def _omitted_text(context: TaskContext, task: ContextTask, sections: dict[str, list[Any]]) -> str:
    omissions = [
        f"{name} left out: {missing_count}"
        for name, items in sections.items()
        if (missing_count := len(getattr(context, name)) - len(items))
    ]
    cut_count = sum(item.truncated for items in sections.values() for item in items)
    cut_count += sum(
        getattr(task, name) != getattr(context.task, name) for name in (*_TEXTS, "goal", "scope")
    )
    if cut_count:
        omissions.append(f"texts cut: {cut_count}")
    return "; ".join([*omissions, "raise max_chars"])


def _fit_task(task: ContextTask, share: int) -> ContextTask:
    if len(task.model_dump_json()) <= share:
        return task
    bare_task = _without_texts(task)
    chars_left = share - len(bare_task.model_dump_json())
    goal = cut(task.goal, max(chars_left, 0))
    chars_left -= encoded_length(goal)
    scope = _take_patterns(task.scope, chars_left // 4)
    chars_left -= sum(encoded_length(pattern) + 3 for pattern in scope)
    texts = {name: text for name in _TEXTS if (text := getattr(task, name))}
    length = fair_share([encoded_length(text) for text in texts.values()], chars_left)
    cut_texts: dict[str, object] = {name: cut(text, length) for name, text in texts.items()}
    return bare_task.model_copy(update=cut_texts | {"goal": goal, "scope": scope})


def _without_texts(task: ContextTask) -> ContextTask:
    """The task without its texts; what is null stays so."""
    texts = {name: "" for name in (*_TEXTS, "goal") if getattr(task, name)}
    return task.model_copy(update=texts | {"scope": []})


def _chars_min(task: ContextTask) -> int:
    """The characters of a task with nothing but its goal and figures."""
    return len(_without_texts(task).model_dump_json()) + encoded_length(task.goal)


def _take_patterns(patterns: Sequence[str], chars_left: int) -> list[str]:
    """The first patterns that take at most `chars_left` characters together."""
    kept_patterns: list[str] = []
    for pattern in patterns:
        chars_left -= encoded_length(pattern) + 3
        if chars_left < 0:
            break
        kept_patterns.append(pattern)
    return kept_patterns


def _page(items: list[Item]) -> Page[Item]:
    return Page[Item](items=items)
