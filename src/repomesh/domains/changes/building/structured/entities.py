"""A source as a tree of named parts, each with all of its text: what every structured merge works on.

Whatever the format, a source is read into a Body. Written again, it gives the same text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from repomesh.domains.changes.building.structured.outcome import NotMergeable
from repomesh.kernel import limits

Key = tuple[str, str]
"""The kind of name that an entity has, and the name. Functions, classes and variables share `name`."""

NAME = "name"


@dataclass(frozen=True, slots=True)
class Entity:
    """A part of a source: a function, an import, a key with its value, an item of a list.

    Attributes:
        key: What it is found by in another version.
        lead: The white space before it, and for items between separators the line ends.
        text: The comments above it, and itself; whole lines unless it stands between separators.
        trail: A comment behind the separator, on the same line.
        body: Its own parts, where it has any: `text` is what they give.
        ordered: It does something where it stands: two such additions at one place are a conflict.
        joined: Both sides may add it, each with parts of its own, such as a table.
        value: A number or the like that no two additions of a body may share.
        binds: The names that it makes known where it stands, with what each of them means.
        shape: Its text without what a formatter changes.
    """

    key: Key
    lead: str
    text: str
    trail: str = ""
    body: Body | None = None
    ordered: bool = False
    joined: bool = False
    value: str | None = None
    binds: tuple[tuple[str, str], ...] = ()
    shape: Callable[[], str] | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """The parts of a source or of an entity, with the text before and behind them.

    Attributes:
        separator: Stands between the items; empty where they are whole lines, or bring it in their lead.
        closed: The separator stands behind the last item, too.
        strict: An ordered item must keep its place among all others, not only among ordered ones.
    """

    head: str
    items: tuple[Entity, ...]
    tail: str
    separator: str = ""
    closed: bool = False
    strict: bool = False


def written(body: Body) -> str:
    """The text of a body."""
    parts = [body.head]
    last = len(body.items) - 1
    for index, item in enumerate(body.items):
        separator = body.separator if index < last or body.closed else ""
        parts += [item.lead, item.text, separator, item.trail]
    return "".join([*parts, body.tail])


def numbered(items: Iterable[Entity]) -> dict[Key, Entity]:
    """The items by their keys, in order; a second one of a key gets a number."""
    result: dict[Key, Entity] = {}
    counts: Counter[Key] = Counter()
    for item in items:
        counts[item.key] += 1
        kind, name = item.key
        number = counts[item.key]
        result[(kind, name) if number == 1 else (kind, f"{name} #{number}")] = item
    return result


def key_paths(body: Body) -> Iterator[tuple[Key, ...]]:
    """The key of every entity at any depth, behind those of the entities that hold it."""
    for key, item in numbered(body.items).items():
        yield (key,)
        if item.body is not None:
            yield from ((key, *path) for path in key_paths(item.body))


def bound_names(body: Body, scope: tuple[Key, ...] = ()) -> dict[tuple[tuple[Key, ...], str], str]:
    """What every name of a source means, by the scope that it is known in and the name."""
    names: dict[tuple[tuple[Key, ...], str], str] = {}
    for item in body.items:
        names |= {(scope, name): meaning for name, meaning in item.binds}
        if item.body is not None:
            names |= bound_names(item.body, (*scope, item.key))
    return names


def number_of(name: str, value: str) -> str | None:
    """The `value` of a constant that may be one of a series of numbers, by the first word of its name."""
    word, mark, _rest = name.partition("_")
    is_number = value.isdecimal() and value not in ("0", "1")
    return f"{word} {value}" if mark and name.isupper() and is_number else None


def grouped(items: Iterable[Entity]) -> list[Entity]:
    """The items, with neighbours of one name as one: overloads, a property and its setter."""
    result: list[Entity] = []
    for item in items:
        last = result[-1] if result else None
        if last is None or last.key != item.key or item.key[0] != NAME or last.body or item.body:
            result.append(item)
            continue
        text = f"{last.text}{item.lead}{item.text}"
        result[-1] = replace(last, text=text, shape=_together(last.shape, item.shape), binds=item.binds)
    return result


def _together(first: Callable[[], str] | None, second: Callable[[], str] | None) -> Callable[[], str] | None:
    return None if first is None or second is None else lambda: f"{first()}\n{second()}"


class Bounds:
    """Counts the parts of one source while it is read."""

    def __init__(self) -> None:
        self._parts = 0

    def take(self, depth: int = 0) -> None:
        """Count one part. Raises NotMergeable beyond the limits on parts and on their depth."""
        self._parts += 1
        if depth > limits.STRUCTURED_DEPTH_MAX:
            raise NotMergeable("the file is nested too deep")
        if self._parts > limits.STRUCTURED_PARTS_MAX:
            raise NotMergeable("the file has too many parts")
