"""Orders groups that depend on each other, and breaks cycles between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from heapq import heapify, heappop, heappush


def find_cycles(needs: Mapping[str, AbstractSet[str]]) -> list[list[str]]:
    """Return the groups of two or more nodes that need each other, sorted (Tarjan 1972, without recursion).

    Args:
        needs: By node the nodes that it needs. Nodes that are no keys need nothing.
    """
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    found: list[list[str]] = []
    for start in sorted(needs):
        if start in index:
            continue
        work: list[tuple[str, Iterator[str]]] = [(start, iter(sorted(needs[start])))]
        index[start] = low[start] = len(index)
        stack.append(start)
        on_stack.add(start)
        while work:
            node, following = work[-1]
            other = next(following, None)
            if other is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    found.append(_pop_component(node, stack, on_stack))
            elif other not in index:
                index[other] = low[other] = len(index)
                stack.append(other)
                on_stack.add(other)
                work.append((other, iter(sorted(needs.get(other, ())))))
            elif other in on_stack:
                low[node] = min(low[node], index[other])
    return sorted(component for component in found if len(component) > 1)


def _pop_component(node: str, stack: list[str], on_stack: set[str]) -> list[str]:
    component = []
    while True:
        other = stack.pop()
        on_stack.discard(other)
        component.append(other)
        if other == node:
            return sorted(component)


def break_cycles(needs: Mapping[str, AbstractSet[str]]) -> tuple[dict[str, set[str]], list[list[str]]]:
    """Return the needs without cycles, and the cycles that were broken.

    In a cycle the node that most others of it need comes first, and so on. A need of a later node is turned
    round, so that nodes that reach each other still land one after another.
    """
    kept = {node: set(others) for node, others in needs.items()}
    cycles = find_cycles(needs)
    for cycle in cycles:
        members = set(cycle)
        users = {node: sum(node in needs.get(other, ()) for other in cycle) for node in cycle}
        order = {
            node: place for place, node in enumerate(sorted(cycle, key=lambda node: (-users[node], node)))
        }
        for node in cycle:
            for other in needs.get(node, set()) & members:
                if order[other] > order[node]:
                    kept[node].discard(other)
                    kept.setdefault(other, set()).add(node)
    return kept, cycles


def topological(needs: Mapping[str, AbstractSet[str]]) -> list[str]:
    """Return all nodes, each behind those that it needs; by name where the order is free.

    Raises ValueError for needs with a cycle.
    """
    nodes = set(needs).union(*needs.values()) if needs else set()
    waiting = {node: len(set(needs.get(node, ())) - {node}) for node in nodes}
    users: dict[str, list[str]] = {node: [] for node in nodes}
    for node, others in needs.items():
        for other in set(others) - {node}:
            users[other].append(node)
    ready = [node for node in nodes if not waiting[node]]
    heapify(ready)
    ordered = []
    while ready:
        node = heappop(ready)
        ordered.append(node)
        for user in users[node]:
            waiting[user] -= 1
            if not waiting[user]:
                heappush(ready, user)
    if len(ordered) < len(nodes):
        raise ValueError("the nodes need each other in a cycle")
    return ordered


def without_implied(needs: Mapping[str, AbstractSet[str]], ordered: Sequence[str]) -> dict[str, set[str]]:
    """Return the needs without those that follow from others; `ordered` is their topological order."""
    bits = {node: 1 << place for place, node in enumerate(ordered)}
    reach: dict[str, int] = {}
    reduced: dict[str, set[str]] = {}
    for node in ordered:
        reach[node] = 0
        reduced[node] = set()
        for other in sorted(needs.get(node, ()), key=lambda each: -bits[each]):
            if not reach[node] & bits[other]:
                reduced[node].add(other)
                reach[node] |= reach[other] | bits[other]
    return reduced
