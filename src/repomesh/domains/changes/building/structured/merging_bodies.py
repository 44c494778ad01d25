"""Merges two versions of a body with their base, entity by entity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import TypeVar

from repomesh.domains.changes.building.structured.differences import merged_lines
from repomesh.domains.changes.building.structured.entities import Body, Entity, Key, numbered, written
from repomesh.domains.changes.building.structured.ordering import check_order, merged_order
from repomesh.domains.changes.building.structured.outcome import NotMergeable
from repomesh.domains.changes.building.structured.renames import with_renames
from repomesh.domains.changes.building.structured.text_form import split_lines

Value = TypeVar("Value")


def merge_bodies(base: Body, ours: Body, theirs: Body) -> Body:
    """The body with what either side changed: the items in the order of ours, new ones of theirs behind.

    Raises NotMergeable where both changed one thing, one changed what the other removed, both added one name,
    or where the order of what they added is in doubt.
    """
    if not base.separator == ours.separator == theirs.separator:
        raise NotMergeable("the sides are written in another form")
    base_items, ours_items, theirs_items = with_renames(base.items, ours.items, theirs.items)
    versions = Versions(base_items, ours_items, theirs_items)
    _check_repeated((base_items, ours_items, theirs_items), versions)
    is_strict = ours.strict or theirs.strict
    check_order(versions.base, versions.ours, versions.theirs, is_strict=is_strict)
    _check_values(versions)
    items: list[Entity] = []
    previous: Key | None = None
    order = list(merged_order(versions.base, versions.ours, versions.theirs))
    removed = set(versions.base).difference(order)
    for key in [*order, *(key for key in versions.base if key in removed)]:
        merged = _merged_entity(key, *versions.of(key))
        if merged is not None:
            items.append(replace(merged, lead=versions.lead(key, previous)))
            previous = key
    return Body(
        _merged_text("what stands before the items", base.head, ours.head, theirs.head),
        tuple(items),
        _merged_text("what stands behind the items", base.tail, ours.tail, theirs.tail),
        ours.separator,
        _of_the_change(base.closed, ours.closed, theirs.closed),
        is_strict,
    )


class Versions:
    """The items of the base and of both sides, by their keys."""

    def __init__(self, base: Sequence[Entity], ours: Sequence[Entity], theirs: Sequence[Entity]) -> None:
        self.base, self.ours, self.theirs = numbered(base), numbered(ours), numbered(theirs)
        self._all = [
            (items, dict(zip(items, [None, *items], strict=False)))
            for items in (self.ours, self.theirs, self.base)
        ]
        self._leads = {
            item.lead: self.ours[key].lead for key, item in self.theirs.items() if key in self.ours
        }

    def of(self, key: Key) -> tuple[Entity | None, Entity | None, Entity | None]:
        """One entity in the three versions."""
        return self.base.get(key), self.ours.get(key), self.theirs.get(key)

    def lead(self, key: Key, previous: Key | None) -> str:
        """The white space before an item behind `previous`: as in a version where it stands there, too."""
        holding = [(items, before) for items, before in self._all if key in items]
        for items, before in holding:
            if before[key] == previous:
                return self._as_ours(items[key].lead, key)
        for items, before in holding:
            if (before[key] is None) == (previous is None):
                return self._as_ours(items[key].lead, key)
        for items, before in self._all:
            for other, item in islice(items.items(), 2):
                if (before[other] is None) == (previous is None):
                    return item.lead
        return holding[0][0][key].lead

    def _as_ours(self, lead: str, key: Key) -> str:
        """The lead of an item in a list; one that only theirs has is indented as its neighbours in ours."""
        if key in self.ours or not lead or lead.endswith("\n"):
            return lead
        return self._leads.get(lead, lead)


def _merged_entity(
    key: Key, base: Entity | None, ours: Entity | None, theirs: Entity | None
) -> Entity | None:
    """One entity of the merge; None where it is removed."""
    if _same(ours, theirs) or _same(theirs, base):
        return ours
    if _same(ours, base):
        return theirs
    name = " ".join(key)
    if ours is None or theirs is None:
        raise NotMergeable(f"one side removed {name}, the other changed it")
    if base is None and not (ours.joined and theirs.joined):
        raise NotMergeable(f"both sides added {name}, each its own")
    try:
        return _merged_parts(name, base, ours, theirs)
    except NotMergeable:
        if base is None or base.shape is None or ours.shape is None or theirs.shape is None:
            raise
        shape = base.shape()
        if ours.shape() == shape:
            return theirs
        if theirs.shape() == shape:
            return ours
        raise


def _merged_parts(name: str, base: Entity | None, ours: Entity, theirs: Entity) -> Entity:
    """What both sides changed, merged by its own parts, or by its lines where it has none."""
    trail = _merged_text(name, base.trail if base else "", ours.trail, theirs.trail)
    bodies = [None if entity is None else entity.body for entity in (base, ours, theirs)]
    if bodies[1] is not None and bodies[2] is not None and (base is None or bodies[0] is not None):
        body = merge_bodies(bodies[0] or _emptied(bodies[1], bodies[2]), bodies[1], bodies[2])
        return replace(ours, text=written(body), body=body, trail=trail)
    if base is None:
        raise NotMergeable(f"both sides added {name}, each its own")
    return replace(ours, text=_merged_text(name, base.text, ours.text, theirs.text), body=None, trail=trail)


def _emptied(ours: Body, theirs: Body) -> Body:
    """The base of what both sides added: what they have in common, without items."""
    head = ours.head if ours.head == theirs.head else ""
    tail = ours.tail if ours.tail == theirs.tail else ""
    return Body(head, (), tail, ours.separator, ours.closed and theirs.closed)


def _same(one: Entity | None, other: Entity | None) -> bool:
    if one is None or other is None:
        return one is other
    return (one.text, one.trail) == (other.text, other.trail)


def _merged_text(name: str, base: str, ours: str, theirs: str) -> str:
    if ours == theirs or theirs == base:
        return ours
    if ours == base:
        return theirs
    try:
        return "".join(merged_lines(split_lines(base), split_lines(ours), split_lines(theirs)))
    except NotMergeable as error:
        raise NotMergeable(f"{error} of {name}") from None


def _of_the_change(base: Value, ours: Value, theirs: Value) -> Value:
    return theirs if ours == base else ours


def _check_repeated(versions: Sequence[Sequence[Entity]], by_key: Versions) -> None:
    """Refuse what stands more than once, unless each version has as many, or one side left it alone."""
    if all(len(items) == len({item.key for item in items}) for items in versions):
        return
    texts: list[dict[Key, list[str]]] = [_texts(items) for items in versions]
    for key in {key for items in texts for key, found in items.items() if len(found) > 1}:
        base, ours, theirs = (items.get(key, []) for items in texts)
        if not len(base) == len(ours) == len(theirs) and base not in (ours, theirs):
            raise NotMergeable(f"{' '.join(key)} stands twice in one version")


def _texts(items: Iterable[Entity]) -> dict[Key, list[str]]:
    texts: dict[Key, list[str]] = {}
    for item in items:
        texts.setdefault(item.key, []).append(item.text)
    return texts


def _check_values(versions: Versions) -> None:
    """Refuse a value that each side gave to something else, such as the next free number."""
    mine, others = ({
        item.value: key
        for key, item in items.items()
        if item.value is not None and (key not in versions.base or versions.base[key].value != item.value)
    } for items in (versions.ours, versions.theirs))  # fmt: skip
    for value in mine.keys() & others.keys():
        if mine[value] != others[value]:
            raise NotMergeable(f"{mine[value][1]} and {others[value][1]} have the same value")
