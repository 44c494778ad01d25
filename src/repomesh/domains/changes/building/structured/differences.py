"""Three-way merges of lines, in bounded work."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from repomesh.domains.changes.building.structured.outcome import NotMergeable
from repomesh.kernel import limits

Change = tuple[int, int, tuple[str, ...]]
"""Lines of the base, from and to (not included), and what a side has in their place."""

Join = Callable[[Sequence[str], Sequence[str]], Sequence[str]]
"""Makes one of what each side inserted at the same place."""


def merged_lines(
    base: Sequence[str], ours: Sequence[str], theirs: Sequence[str], join: Join | None = None
) -> list[str]:
    """The lines of a three-way merge; what both inserted at one place is joined where `join` is given.

    Raises NotMergeable where both changed the same or adjacent lines, or the lines differ in too many places.
    """
    mine, others = changes(base, ours), changes(base, theirs)
    result: list[str] = []
    position = 0
    while mine or others:
        change = _next(mine, others, join)
        result += [*base[position : change[0]], *change[2]]
        position = change[1]
    return [*result, *base[position:]]


def _next(mine: list[Change], others: list[Change], join: Join | None) -> Change:
    """Take the next change of either side, or the one that both made. Raises NotMergeable where they meet."""
    if not mine or not others:
        return (mine or others).pop(0)
    first, second = mine[0], others[0]
    if first == second:
        del mine[0], others[0]
        return first
    if first[0] <= second[1] and second[0] <= first[1]:
        if join is None or not first[0] == first[1] == second[0] == second[1]:
            raise NotMergeable("both sides changed the same lines")
        del mine[0], others[0]
        return first[0], first[1], tuple(join(first[2], second[2]))
    return (mine if first[0] < second[0] else others).pop(0)


def changes(base: Sequence[str], side: Sequence[str]) -> list[Change]:
    """What a side changed in the base, in order. Raises NotMergeable beyond `limits.DIFF_STEPS_MAX`."""
    start, shorter = 0, min(len(base), len(side))
    while start < shorter and base[start] == side[start]:
        start += 1
    end = 0
    while end < shorter - start and base[-1 - end] == side[-1 - end]:
        end += 1
    before = range(start, len(base) - end)
    after = range(start, len(side) - end)
    shared = {base[index] for index in before} & {side[index] for index in after}
    numbers = {line: number for number, line in enumerate(shared)}
    before_shared = [index for index in before if base[index] in shared]
    after_shared = [index for index in after if side[index] in shared]
    pairs = _common(
        [numbers[base[index]] for index in before_shared], [numbers[side[index]] for index in after_shared]
    )
    found: list[Change] = []
    x, y = start, start
    kept = [(before_shared[left], after_shared[right]) for left, right in pairs]
    for left, right in [*kept, (before.stop, after.stop)]:
        if (x, y) != (left, right):
            found.append((x, left, tuple(side[y:right])))
        x, y = left + 1, right + 1
    return found


def _common(before: Sequence[int], after: Sequence[int]) -> list[tuple[int, int]]:
    """The indices of a longest common subsequence (E. W. Myers, An O(ND) Difference Algorithm, 1986)."""
    trace: list[list[int]] = []  # for each number of edits, how far each diagonal -edits, -edits+2, … reaches
    steps = 0
    for edits in range(len(before) + len(after) + 1):
        reached: list[int] = []
        for index in range(edits + 1):
            x = begin = _begin(trace, edits, index)
            y = x - (2 * index - edits)
            while x < len(before) and y < len(after) and before[x] == after[y]:
                x, y = x + 1, y + 1
            reached.append(x)
            if x >= len(before) and y >= len(after):
                return _walked_back([*trace, reached], index)
            steps += 1 + x - begin
        trace.append(reached)
        if steps > limits.DIFF_STEPS_MAX:
            raise NotMergeable("the sides differ in too many lines")
    return []


def _begin(trace: Sequence[Sequence[int]], edits: int, index: int) -> int:
    """Where a diagonal begins after its last edit: an added line, or a removed one."""
    if edits == 0:
        return 0
    before = trace[edits - 1]
    if index == 0 or (index < edits and before[index - 1] < before[index]):
        return before[index]
    return before[index - 1] + 1


def _walked_back(trace: Sequence[Sequence[int]], index: int) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    for edits in range(len(trace) - 1, -1, -1):
        diagonal = 2 * index - edits
        begin = _begin(trace, edits, index)
        pairs += [(x, x - diagonal) for x in range(trace[edits][index] - 1, begin - 1, -1)]
        if index and not (index < edits and trace[edits - 1][index - 1] < trace[edits - 1][index]):
            index -= 1
    return pairs[::-1]
