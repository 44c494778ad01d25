"""Pure decisions on what of a task's context is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from repomesh.domains.overview.models import ContextTask, TaskContext
from repomesh.kernel.budget import PageEnds, cut, encoded_length, fair_share, fit
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
    "review": "reviews:read",
    "task": "tasks:read",
}
"""The scope that reads each kind of what searches find."""

_SAID_CHARS = 200  # more than `omitted` ever takes
_NOWHERE = PageEnds(lambda _index: "", "")


def readable(caller: Caller, kinds: Sequence[Kind]) -> tuple[Kind, ...]:
    """Those of some kinds that the caller's token may read; raises Forbidden when there is none."""
    kept = tuple(kind for kind in kinds if caller.holds(READ_SCOPES[kind]))
    if not kept:
        caller.require(READ_SCOPES[kinds[0]])
    return kept


def fitted(whole: TaskContext, max_chars: int) -> TaskContext:
    """The context with each of its parts cut to a fair share of `max_chars`."""
    empty = whole.model_copy(update={name: [] for name in _SECTIONS})
    task_chars = len(whole.task.model_dump_json())
    sizes = {name: len(_page(getattr(whole, name)).model_dump_json()) for name in _SECTIONS}
    left = max_chars - (len(empty.model_dump_json()) - task_chars) - _SAID_CHARS
    # Without the task the rest means little: half of it is the task's, if it needs that.
    share = max(fair_share([task_chars, *sizes.values()], left), left // 2)
    task = _fitted_task(whole.task, min(left, max(share, _least(whole.task))))
    left -= len(task.model_dump_json())
    share = fair_share(list(sizes.values()), left)
    parts = {
        name: fit(_page(getattr(whole, name)), share, _NOWHERE, text).items
        for name, text in _SECTIONS.items()
    }
    return whole.model_copy(update={"task": task, **parts, "omitted": _omitted(whole, task, parts)})


def _omitted(whole: TaskContext, task: ContextTask, parts: dict[str, list[Any]]) -> str:
    said = [
        f"{name} left out: {missing}"
        for name, part in parts.items()
        if (missing := len(getattr(whole, name)) - len(part))
    ]
    texts = sum(item.truncated for part in parts.values() for item in part)
    texts += sum(getattr(task, name) != getattr(whole.task, name) for name in (*_TEXTS, "goal", "scope"))
    if texts:
        said.append(f"texts cut: {texts}")
    return "; ".join([*said, "raise max_chars"])


def _fitted_task(task: ContextTask, share: int) -> ContextTask:
    if len(task.model_dump_json()) <= share:
        return task
    bare = _bare(task)
    left = share - len(bare.model_dump_json())
    goal = cut(task.goal, max(left, 0))
    left -= encoded_length(goal)
    scope = _shortened(task.scope, left // 4)
    left -= sum(encoded_length(pattern) + 3 for pattern in scope)
    texts = {name: text for name in _TEXTS if (text := getattr(task, name))}
    length = fair_share([encoded_length(text) for text in texts.values()], left)
    shown: dict[str, object] = {name: cut(text, length) for name, text in texts.items()}
    return bare.model_copy(update=shown | {"goal": goal, "scope": scope})


def _bare(task: ContextTask) -> ContextTask:
    """The task without its texts; what is null stays so."""
    texts = {name: "" for name in (*_TEXTS, "goal") if getattr(task, name)}
    return task.model_copy(update=texts | {"scope": []})


def _least(task: ContextTask) -> int:
    """The characters of a task with nothing but its goal and figures."""
    return len(_bare(task).model_dump_json()) + encoded_length(task.goal)


def _shortened(patterns: Sequence[str], left: int) -> list[str]:
    """The first patterns that take at most `left` characters together."""
    kept: list[str] = []
    for pattern in patterns:
        left -= encoded_length(pattern) + 3
        if left < 0:
            break
        kept.append(pattern)
    return kept


def _page(items: list[Item]) -> Page[Item]:
    return Page[Item](items=items)
