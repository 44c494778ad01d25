"""Tasks within a budget of characters: what is long is cut, the description last, and said to be cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from repomesh.domains.tasks.models import Attempt, ClaimedTask, ListedTask, Task, TaskDetail
from repomesh.kernel.budget import PageEnds, cut, encoded_length, fair_share, fit
from repomesh.kernel.fields import Page

AnyTask = TypeVar("AnyTask", bound=Task)

_TEXTS = ("description", "result", "note", "reason")
_LISTS = ("dependencies", "scope", "tags", "capabilities")
_LIST_ITEMS_KEPT = 10
_WORDS_KEPT = 200  # of a result, note or reason in a list; the description gets what is left
_SAID_CHARS = 240  # more than `omitted` ever takes


def fit_list(
    found: Page[ListedTask], positions: Sequence[str], start: str, max_chars: int | None
) -> Page[ListedTask]:
    """A page of tasks within `max_chars`; `positions` are the cursors behind each item."""
    if max_chars is None or len(found.model_dump_json()) <= max_chars:
        return found
    short = found.model_copy(update={"items": [_shortened(task) for task in found.items]})
    return fit(short, max_chars, PageEnds(positions.__getitem__, start), text="description")


def fit_detail(task: TaskDetail, max_chars: int | None) -> TaskDetail:
    """One task within `max_chars`: long lists are cut, its texts share what is left, then its history.

    Its ids, goal and figures are always there, whatever the budget.
    """
    if max_chars is None or len(task.model_dump_json()) <= max_chars:
        return task
    lists = (*_LISTS, "unmet_dependencies")
    short, said = _fit_texts(task.model_copy(update={"history": []}), max_chars - _SAID_CHARS, lists)
    history = _fitting(task.history, max_chars - _SAID_CHARS - len(short.model_dump_json()))
    if len(history) < len(task.history):
        said.append(f"past holders left out: {len(task.history) - len(history)}")
    return short.model_copy(update={"history": history, "omitted": _omitted(said)})


def fit_claim(claimed: ClaimedTask, max_chars: int) -> ClaimedTask:
    """What was claimed within `max_chars`: the locks are cut if they are many, then the task."""
    if len(claimed.model_dump_json()) <= max_chars:
        return claimed
    locks = claimed.locks[:_LIST_ITEMS_KEPT]
    fewer = [f"locks left out: {len(claimed.locks) - len(locks)}"] if locks != claimed.locks else []
    short = claimed.model_copy(update={"locks": locks})
    around = len(short.model_dump_json()) - len(claimed.task.model_dump_json())
    task, said = _fit_texts(claimed.task, max_chars - around - _SAID_CHARS, _LISTS)
    return short.model_copy(update={"task": task, "omitted": _omitted(fewer + said)})


def _fit_texts(task: AnyTask, max_chars: int, lists: Sequence[str]) -> tuple[AnyTask, list[str]]:
    """A task whose texts share what its figures leave of `max_chars`, and what was cut, in words."""
    texts = {name: text for name in _TEXTS if (text := getattr(task, name))}
    kept = {name: getattr(task, name)[:_LIST_ITEMS_KEPT] for name in lists}
    bare = task.model_copy(update=kept | dict.fromkeys(texts, ""))
    lengths = {name: encoded_length(text) for name, text in texts.items()}
    share = fair_share(list(lengths.values()), max_chars - len(bare.model_dump_json()))
    shortened = [name for name, length in lengths.items() if length > share]
    shortened += [name for name in lists if len(kept[name]) < len(getattr(task, name))]
    shown = bare.model_copy(update={name: cut(text, share) for name, text in texts.items()})
    return shown, [f"shortened: {', '.join(shortened)}"] if shortened else []


def _omitted(said: list[str]) -> str:
    return "; ".join([*said, "raise max_chars"])


def _fitting(history: Sequence[Attempt], left: int) -> list[Attempt]:
    """The newest attempts that take at most `left` characters together."""
    kept: list[Attempt] = []
    for attempt in history:
        left -= len(attempt.model_dump_json()) + 1
        if left < 0:
            break
        kept.append(attempt)
    return kept


def _shortened(task: ListedTask) -> ListedTask:
    changed: dict[str, object] = {
        name: getattr(task, name)[:_LIST_ITEMS_KEPT]
        for name in _LISTS
        if len(getattr(task, name)) > _LIST_ITEMS_KEPT
    }
    for name in _TEXTS[1:]:
        text = getattr(task, name) or ""
        if encoded_length(text) > _WORDS_KEPT:
            changed[name] = cut(text, _WORDS_KEPT)
    return task.model_copy(update=changed | {"truncated": True}) if changed else task
