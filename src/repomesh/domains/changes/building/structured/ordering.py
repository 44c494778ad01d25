"""In which order merged items stand, and when that is in doubt."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import pairwise

from repomesh.domains.changes.building.structured.entities import Entity, Key
from repomesh.domains.changes.building.structured.outcome import NotMergeable

Items = Mapping[Key, Entity]
_SORTED = frozenset(
    {"import", "import from", "imported name", "use", "key", "item", "requirement", "pattern"}
)
"""The kinds of what people and linters sort."""


def merged_order(base: Items, ours: Items, theirs: Items) -> Iterator[Key]:
    """The keys of ours in their order, new ones of theirs behind their predecessor and what ours put there.

    Where theirs moved what was there, it is the order of theirs. Raises NotMergeable where both moved it.
    """
    if _is_moved(base, theirs):
        if _is_moved(base, ours) and not _agree(ours, theirs):
            raise NotMergeable("both sides moved what was there")
        if not _is_moved(base, ours):
            ours, theirs = theirs, ours
    following: dict[Key | None, list[Key]] = {}
    anchor: Key | None = None
    for key in theirs:
        if key in ours:
            anchor = key
        elif key not in base:
            following.setdefault(anchor, []).append(key)
    run: list[Key] = []
    pending = following.pop(None, [])
    previous: Key | None = None
    for key in ours:
        if key in base or key in theirs:
            yield from _added(run, pending, (previous, key))
            yield key
            run, pending, previous = [], following.pop(key, []), key
        else:
            run.append(key)
    yield from _added(run, pending, (previous, None))


def _added(ours: list[Key], theirs: list[Key], between: tuple[Key | None, Key | None]) -> list[Key]:
    """What both sides added between two items: sorted where all of it is, else that of ours first."""
    together = [*ours, *theirs]
    if (
        not ours
        or not theirs
        or {kind for kind, _name in together} - _SORTED
        or len({key[0] for key in together}) > 1
    ):
        return together
    first, last = ([key] if key is not None and key[0] == together[0][0] else [] for key in between)
    if all(_is_sorted([*first, *run, *last]) for run in (ours, theirs)):
        return sorted(together, key=_sorted_by)
    return together


def _sorted_by(key: Key) -> str:
    return key[1].lower()


def _is_sorted(keys: list[Key]) -> bool:
    return all(_sorted_by(one) <= _sorted_by(other) for one, other in pairwise(keys))


def check_order(base: Items, ours: Items, theirs: Items, *, is_strict: bool) -> None:
    """Refuse changes of both sides at one place whose order counts. Raises NotMergeable."""
    mine, others = _Changes(base, ours, theirs), _Changes(base, theirs, ours)
    if (mine.has_moved and (others.ordered or others.has_moved)) or (others.has_moved and mine.ordered):
        raise NotMergeable("both sides changed statements whose order counts")
    doubtful = mine.ordered & others.ordered
    if is_strict:
        doubtful |= (mine.ordered & others.added) | (mine.added & others.ordered)
    if doubtful:
        raise NotMergeable("both sides changed statements whose order counts at the same place")


class _Changes:
    """The places of the base at which a side added something, and those where the order counts.

    A place is the number of the item of the base behind which it is. What stands where something was removed
    is at all places that it touched.
    """

    def __init__(self, base: Items, side: Items, other: Items) -> None:
        positions = {key: index for index, key in enumerate(base)}
        self.added: set[int] = set()
        self.ordered: set[int] = set()
        kept = [key for key in side if key in positions]
        self.has_moved = _is_moved({key: base[key] for key in base if base[key].ordered}, side)
        ends = [positions[key] for key in kept] if not _is_moved(base, side) else []
        upcoming = iter([*ends, len(base)])
        places, is_ordered = range(-1, next(upcoming)), None
        for key, item in side.items():
            if key in positions:
                if ends:
                    places, is_ordered = range(positions[key], next(upcoming)), None
            elif key not in other and is_ordered is not True and item.ordered is not is_ordered:
                is_ordered = item.ordered
                self.added.update(places)
                self.ordered.update(places if is_ordered else ())
        for key in base:
            if base[key].ordered and key not in side and key in other:
                self.ordered.update((positions[key] - 1, positions[key]))


def _is_moved(base: Collection[Key], side: Collection[Key]) -> bool:
    return _common(base, side) != _common(side, base)


def _agree(ours: Collection[Key], theirs: Collection[Key]) -> bool:
    return _common(ours, theirs) == _common(theirs, ours)


def _common(keys: Iterable[Key], others: Collection[Key]) -> list[Key]:
    return [key for key in keys if key in others]
