"""Finds which owners' paths and patterns overlap, without comparing each with every other one."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from repomesh.domains.leases import paths
from repomesh.kernel import limits

_PAIR_STEPS = 8  # of the budget, for looking two patterns up


class OverlapsTooMany(ValueError):
    """Comparing the patterns would take more than PLAN_COMPARISON_STEPS_MAX steps."""


@dataclass(frozen=True, slots=True)
class OwnedPattern:
    """A normalised path or pattern, and the key of what owns it."""

    owner: str
    pattern: str


def find_overlaps(owned: Sequence[OwnedPattern]) -> Iterator[tuple[OwnedPattern, OwnedPattern]]:
    """Yield pairs of different owners whose patterns may hold the same path, as `may_conflict` says.

    Of many owners of one path only neighbours are paired. A path overlaps with those below it, too: git can't
    have a file and a folder of one name. Raises OverlapsTooMany.
    """
    literals: defaultdict[str, list[OwnedPattern]] = defaultdict(list)
    wild: list[OwnedPattern] = []
    for item in owned:
        if paths.is_literal(item.pattern):
            literals[item.pattern].append(item)
        else:
            wild.append(item)
    yield from _literal_overlaps(literals)
    yield from _wild_overlaps(wild, literals)


def _literal_overlaps(
    literals: dict[str, list[OwnedPattern]],
) -> Iterator[tuple[OwnedPattern, OwnedPattern]]:
    for path, items in literals.items():
        for before, after in pairwise(items):
            if before.owner != after.owner:
                yield before, after
        for folder in paths.ancestors(path)[1:-1]:
            for above in literals.get(folder, ())[:1]:
                if above.owner != items[0].owner:
                    yield above, items[0]


def _wild_overlaps(
    wild: Sequence[OwnedPattern], literals: dict[str, list[OwnedPattern]]
) -> Iterator[tuple[OwnedPattern, OwnedPattern]]:
    """Yield the overlaps of patterns with wildcards: with what lies below or above their literal prefix."""
    everything = [(f"{path}/", item) for path, items in literals.items() for item in items]
    everything += [(_prefix_key(item.pattern), item) for item in wild]
    everything.sort(key=lambda entry: (entry[0], entry[1].owner, entry[1].pattern))
    keys = [key for key, _item in everything]
    by_key: defaultdict[str, list[OwnedPattern]] = defaultdict(list)
    for key, item in everything:
        by_key[key].append(item)
    budget = paths.ComparisonBudget(limits.PLAN_COMPARISON_STEPS_MAX)
    for item in wild:
        key = _prefix_key(item.pattern)
        above = [folder + "/" if folder else "" for folder in paths.ancestors(key.rstrip("/"))[:-1]]
        candidates = [other for folder in above for other in by_key.get(folder, ())]
        start = bisect_left(keys, key)
        while start < len(keys) and keys[start].startswith(key) and not budget.exhausted:
            candidates.append(everything[start][1])
            start += 1
            budget.taken += 1
        yield from _compare(item, candidates, budget)


def _compare(
    item: OwnedPattern, candidates: Sequence[OwnedPattern], budget: paths.ComparisonBudget
) -> Iterator[tuple[OwnedPattern, OwnedPattern]]:
    for other in candidates:
        if other.owner == item.owner:
            continue
        budget.taken += _PAIR_STEPS
        if budget.exhausted:
            raise OverlapsTooMany("the patterns are too many to compare; write fewer, or more exact ones")
        if paths.may_conflict(item.pattern, other.pattern, budget):
            yield item, other


def _prefix_key(pattern: str) -> str:
    prefix = paths.literal_prefix(pattern)
    return f"{prefix}/" if prefix else ""
