"""Finds what one side renamed, so that the other side's edit of it goes where it is now."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from repomesh.domains.changes.building.structured.entities import NAME, Entity, Key
from repomesh.domains.changes.building.structured.outcome import NotMergeable

_LAST_WORD = re.compile(r"\w+$")
_TEXT_MIN = 20  # characters besides the name: shorter texts are the same by chance

Items = tuple[Entity, ...]


def with_renames(base: Items, ours: Items, theirs: Items) -> tuple[Items, Items, Items]:
    """The items, where what one side only renamed has its new name in all three versions.

    Raises NotMergeable where both renamed one thing, or one renamed what the other has no more.
    """
    keys = [{item.key for item in items} for items in (base, ours, theirs)]
    if keys[0] <= keys[1] and keys[0] <= keys[2]:
        return base, ours, theirs
    _check_replaced(base, ours, theirs)
    by_ours, by_theirs = _renames(base, ours), _renames(base, theirs)
    for side, other, other_keys in ((by_ours, by_theirs, keys[2]), (by_theirs, by_ours, keys[1])):
        for old, new in side.items():
            if other.get(old, new) != new or (old not in other_keys and old not in other):
                raise NotMergeable(f"one side renamed {old[1]}, the other renamed or removed it")
            if new in other_keys and old not in other:
                raise NotMergeable(f"one side renamed {old[1]} to {new[1]}, which the other added")
    return (
        _renamed(base, by_ours | by_theirs),
        _renamed(ours, by_theirs),
        _renamed(theirs, by_ours),
    )


def _check_replaced(base: Items, ours: Items, theirs: Items) -> None:
    """Refuse where both sides removed one thing and each added another: they may be two names of it."""
    names = [{item.key for item in items if item.key[0] == NAME} for items in (base, ours, theirs)]
    removed = names[0] - names[1] - names[2]
    mine, others = names[1] - names[0] - names[2], names[2] - names[0] - names[1]
    if removed and mine and others:
        raise NotMergeable(f"both sides removed {min(removed)[1]}, and each added something else")


def _renames(base: Items, side: Items) -> dict[Key, Key]:
    """The old and the new key of what has the same text in both, but for its name."""
    before = {item.key for item in base}
    after = {item.key for item in side}
    gone = _by_text(item for item in base if item.key not in after)
    new = _by_text(item for item in side if item.key not in before)
    return {
        old: new_keys[0]
        for text, (old, *others) in gone.items()
        if not others and len(new_keys := new.get(text, [])) == 1
    }


def _by_text(items: Iterable[Entity]) -> dict[str, list[Key]]:
    found: dict[str, list[Key]] = {}
    for item in items:
        word = _LAST_WORD.search(item.key[1])
        if item.key[0] == NAME and word:
            text = re.sub(rf"\b{re.escape(word.group())}\b", "\0", item.text)
            if len(text) >= _TEXT_MIN:
                found.setdefault(text, []).append(item.key)
    return found


def _renamed(items: Items, names: dict[Key, Key]) -> Items:
    return tuple(_with_name(item, item.key, names[item.key]) if item.key in names else item for item in items)


def _with_name(item: Entity, old: Key, new: Key) -> Entity:
    words = [_LAST_WORD.search(key[1]) for key in (old, new)]
    assert words[0] is not None
    assert words[1] is not None
    pattern, word = re.compile(rf"\b{re.escape(words[0].group())}\b"), words[1].group()
    return replace(_substituted(item, pattern, word), key=new)


def _substituted(item: Entity, pattern: re.Pattern[str], word: str) -> Entity:
    body = item.body
    if body is not None:
        items = tuple(_substituted(part, pattern, word) for part in body.items)
        head, tail = pattern.sub(word, body.head), pattern.sub(word, body.tail)
        body = replace(body, head=head, items=items, tail=tail)
    kind, name = item.key
    text = pattern.sub(word, item.text)
    return replace(item, key=(kind, pattern.sub(word, name)), text=text, body=body, shape=None)
