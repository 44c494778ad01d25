"""Groups of files that stay within the limits of a task: a disjoint-set forest with sizes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise

from repomesh.domains.requests.planning.models import TaskLimits, TaskSize


def fits(size: TaskSize, task_limits: TaskLimits) -> bool:
    """Whether a task of this size is within the limits."""
    return (
        size.files <= task_limits.files_max
        and size.lines <= task_limits.lines_max
        and size.tokens <= task_limits.tokens_max
    )


class Clusters:
    """Groups of items, at first one for each item. The smallest item represents a group."""

    def __init__(self, sizes: Mapping[str, TaskSize], task_limits: TaskLimits) -> None:
        self._parents = {item: item for item in sizes}
        self._sizes = dict(sizes)
        self._limits = task_limits

    def find(self, item: str) -> str:
        """Return the representative of an item's group."""
        root = item
        while self._parents[root] != root:
            root = self._parents[root]
        while self._parents[item] != root:
            self._parents[item], item = root, self._parents[item]
        return root

    def size(self, item: str) -> TaskSize:
        """Return the size of an item's group."""
        return self._sizes[self.find(item)]

    def join(self, a: str, b: str, *, forced: bool = False) -> bool:
        """Join two groups if the result is within the limits, or in any case; return whether they are one."""
        first, second = sorted((self.find(a), self.find(b)))
        if first == second:
            return True
        size_a, size_b = self._sizes[first], self._sizes[second]
        joined = TaskSize.model_construct(
            files=size_a.files + size_b.files,
            lines=size_a.lines + size_b.lines,
            tokens=size_a.tokens + size_b.tokens,
        )
        if not forced and not fits(joined, self._limits):
            return False
        self._parents[second] = first
        self._sizes[first] = joined
        return True

    def groups(self) -> dict[str, list[str]]:
        """Return the groups as sorted lists, by their representatives, in order."""
        members: defaultdict[str, list[str]] = defaultdict(list)
        for item in sorted(self._parents):
            members[self.find(item)].append(item)
        return dict(sorted(members.items()))

    def join_all(self, items: Iterable[str]) -> None:
        """Join items one after another, in order, as far as the limits allow."""
        ordered = sorted(items)
        for before, after in pairwise(ordered):
            self.join(before, after)
