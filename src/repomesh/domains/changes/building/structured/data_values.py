"""What a document of data says, as a set of facts: a merge says what either side said anew, and no more."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from repomesh.domains.changes.building.structured.outcome import NotMergeable
from repomesh.kernel import limits

Fact = tuple[str, ...]
"""The keys from the top of a document to a value, and the value."""

_NAMES = ("id", "name")


def check_values(texts: tuple[str, str, str], merged: str, value: Callable[[str], Any]) -> None:
    """Compare what a merge of (base, ours, theirs) says with what they say. Raises NotMergeable."""
    base, ours, theirs, result = (set(_Facts().of(value(text))) for text in (*texts, merged))
    wanted = (ours & theirs) | (ours - base) | (theirs - base)
    if result != wanted:
        fact = min(result ^ wanted)
        raise NotMergeable(f"the merged document would say something else of {'.'.join(fact[:-1])}")


class _Facts:
    """Takes a value apart, in no more than `limits.STRUCTURED_VALUES_MAX` steps: aliases may multiply it."""

    def __init__(self) -> None:
        self._left = limits.STRUCTURED_VALUES_MAX

    def of(self, value: Any) -> Iterator[Fact]:
        """The facts of a value. Raises NotMergeable where there are too many."""
        pending: list[tuple[Fact, Any]] = [((), value)]
        while pending:
            path, value = pending.pop()
            self._count(1)
            if isinstance(value, dict) and value:
                pending += [((*path, f"{key!r}"), item) for key, item in value.items()]
            elif isinstance(value, list) and value:
                pending += self._items(path, value)
            else:
                yield *path, self._written(value)

    def _items(self, path: Fact, items: list[Any]) -> list[tuple[Fact, Any]]:
        """The items of a list: by their names where they have some, else each as a whole."""
        names = [_name(item) for item in items]
        if None not in names and len(set(names)) == len(names):
            return [((*path, f"[{name}]"), item) for name, item in zip(names, items, strict=True)]
        return [((*path, "[]", self._written(item)), None) for item in items]

    def _written(self, value: Any) -> str:
        self._count(_size(value, self._left))
        return json.dumps(value, sort_keys=True, default=repr)

    def _count(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise NotMergeable("the document has too many values")


def _name(item: Any) -> str | None:
    if not isinstance(item, dict):
        return None
    return next((f"{name}={item[name]!r}" for name in _NAMES if name in item), None)


def _size(value: Any, most: int) -> int:
    """How many values a value holds, counted up to `most`."""
    pending, count = [value], 0
    while pending and count <= most:
        item = pending.pop()
        count += 1
        if isinstance(item, dict):
            pending += item.values()
        elif isinstance(item, list):
            pending += item
    return count
