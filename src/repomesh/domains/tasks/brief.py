"""Tasks within a budget of characters: what is long is cut, the description last, and said to be cut."""

from __future__ import annotations

from collections.abc import Sequence

from repomesh.domains.tasks.models import Attempt, ListedTask, TaskDetail
from repomesh.kernel.budget import Positions, cut, encoded_length, fair_share, fit
from repomesh.kernel.fields import Page

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
    return fit(short, max_chars, Positions(positions.__getitem__, start), text="description")


def fit_detail(task: TaskDetail, max_chars: int | None) -> TaskDetail:
    """One task within `max_chars`: long lists are cut, its texts share what is left, then its history.

    Its ids, goal and figures are always there, whatever the budget.
    """
    if max_chars is None or len(task.model_dump_json()) <= max_chars:
        return task
    texts = {name: text for name in _TEXTS if (text := getattr(task, name))}
    lists = {name: getattr(task, name)[:_LIST_ITEMS_KEPT] for name in (*_LISTS, "unmet_dependencies")}
    bare = task.model_copy(update=lists | dict.fromkeys(texts, "") | {"history": []})
    left = max_chars - len(bare.model_dump_json()) - _SAID_CHARS
    lengths = {name: encoded_length(text) for name, text in texts.items()}
    share = fair_share(list(lengths.values()), left)
    left -= sum(min(length, share) for length in lengths.values())
    history = _fitting(task.history, left)
    shortened = [name for name, length in lengths.items() if length > share]
    shortened += [name for name, kept in lists.items() if len(kept) < len(getattr(task, name))]
    said = [f"shortened: {', '.join(shortened)}"] if shortened else []
    if len(history) < len(task.history):
        said.append(f"past holders left out: {len(task.history) - len(history)}")
    shown: dict[str, object] = {name: cut(text, share) for name, text in texts.items()}
    omitted = "; ".join([*said, "raise max_chars"])
    return bare.model_copy(update=shown | {"history": history, "omitted": omitted})


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
