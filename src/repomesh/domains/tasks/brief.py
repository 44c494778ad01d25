"""Fits tasks into a budget of characters: cuts long fields, the description last, and names what was cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from repomesh.domains.tasks.models import Attempt, ClaimedTask, ListedTask, Task, TaskDetail
from repomesh.kernel.budget import cut, encoded_length, fair_share

AnyTask = TypeVar("AnyTask", bound=Task)

_TEXTS = ("description", "result", "note", "reason")
_LISTS = ("dependencies", "scope", "tags", "capabilities")
_LIST_ITEMS_KEPT = 10
_TEXT_CHARS_KEPT = 200  # of a result, note or reason in a list; the description gets the rest
_OMITTED_CHARS = 240  # more than `omitted` ever takes


def fit_detail(task: TaskDetail, max_chars: int | None) -> TaskDetail:
    """One task within `max_chars`: long lists are cut, its texts share the rest, then its history.

    Its ids, goal and figures are always there, whatever the budget.
    """
    if max_chars is None or len(task.model_dump_json()) <= max_chars:
        return task
    lists = (*_LISTS, "unmet_dependencies")
    short_task, omissions = _fit_texts(
        task.model_copy(update={"history": []}), max_chars - _OMITTED_CHARS, lists
    )
    history = _fit_history(task.history, max_chars - _OMITTED_CHARS - len(short_task.model_dump_json()))
    if len(history) < len(task.history):
        omissions.append(f"past holders left out: {len(task.history) - len(history)}")
    return short_task.model_copy(update={"history": history, "omitted": _omitted_text(omissions)})


def fit_claim(claimed: ClaimedTask, max_chars: int) -> ClaimedTask:
    """A claim within `max_chars`: the locks are cut if they are many, then the task."""
    if len(claimed.model_dump_json()) <= max_chars:
        return claimed
    locks = claimed.locks[:_LIST_ITEMS_KEPT]
    lock_omissions = [f"locks left out: {len(claimed.locks) - len(locks)}"] if locks != claimed.locks else []
    short_claim = claimed.model_copy(update={"locks": locks})
    frame_chars = len(short_claim.model_dump_json()) - len(claimed.task.model_dump_json())
    task, omissions = _fit_texts(claimed.task, max_chars - frame_chars - _OMITTED_CHARS, _LISTS)
    return short_claim.model_copy(update={"task": task, "omitted": _omitted_text(lock_omissions + omissions)})


def _fit_texts(task: AnyTask, max_chars: int, lists: Sequence[str]) -> tuple[AnyTask, list[str]]:
    """Return a task whose texts share the rest of `max_chars`, and what was cut, in words."""
    texts = {name: text for name in _TEXTS if (text := getattr(task, name))}
    kept_lists = {name: getattr(task, name)[:_LIST_ITEMS_KEPT] for name in lists}
    bare_task = task.model_copy(update=kept_lists | dict.fromkeys(texts, ""))
    lengths = {name: encoded_length(text) for name, text in texts.items()}
    share = fair_share(list(lengths.values()), max_chars - len(bare_task.model_dump_json()))
    shortened_fields = [name for name, length in lengths.items() if length > share]
    shortened_fields += [name for name in lists if len(kept_lists[name]) < len(getattr(task, name))]
    shown_task = bare_task.model_copy(update={name: cut(text, share) for name, text in texts.items()})
    return shown_task, [f"shortened: {', '.join(shortened_fields)}"] if shortened_fields else []


def _omitted_text(omissions: list[str]) -> str:
    return "; ".join([*omissions, "raise max_chars"])


def _fit_history(history: Sequence[Attempt], chars_left: int) -> list[Attempt]:
    """The newest attempts that take at most `chars_left` characters together."""
    kept_attempts: list[Attempt] = []
    for attempt in history:
        chars_left -= len(attempt.model_dump_json()) + 1
        if chars_left < 0:
            break
        kept_attempts.append(attempt)
    return kept_attempts


def shorten(task: ListedTask) -> ListedTask:
    """A task of a list with all but its description cut: a list has less room for each."""
    shortened_fields: dict[str, object] = {
        name: getattr(task, name)[:_LIST_ITEMS_KEPT]
        for name in _LISTS
        if len(getattr(task, name)) > _LIST_ITEMS_KEPT
    }
    for name in _TEXTS[1:]:
        text = getattr(task, name) or ""
        if encoded_length(text) > _TEXT_CHARS_KEPT:
            shortened_fields[name] = cut(text, _TEXT_CHARS_KEPT)
    return task.model_copy(update=shortened_fields | {"truncated": True}) if shortened_fields else task
