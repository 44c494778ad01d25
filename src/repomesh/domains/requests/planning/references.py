"""References between files: which file uses which other one, and how strongly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from repomesh.kernel import limits

NAMED, TYPE_ONLY, LAZY, REQUIRED = 1, 2, 3, 4
"""Strengths of a reference: a name in a text; an import for type checkers only; an import when a function is
called; an import when the file is loaded. Other languages have only REQUIRED, and LAZY for a declaration such
as Rust's `mod x;`."""


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """File `source` uses file `target`, with one of the strengths above."""

    source: str
    target: str
    strength: int


class ReferenceGraph:
    """References among files, at most one for each ordered pair: the strongest."""

    def __init__(self) -> None:
        self._strengths: dict[tuple[str, str], int] = {}
        self._targets: defaultdict[str, set[str]] = defaultdict(set)

    def add(self, source: str, target: str, strength: int) -> bool:
        """Add a reference; one of a file to itself counts as none.

        Returns False, and adds nothing, beyond PLAN_REFERENCES_MAX.
        """
        key = (source, target)
        if source == target:
            return True
        if key not in self._strengths and len(self._strengths) >= limits.PLAN_REFERENCES_MAX:
            return False
        self._strengths[key] = max(strength, self._strengths.get(key, 0))
        self._targets[source].add(target)
        return True

    def targets(self, source: str) -> frozenset[str]:
        """Return the files that a file uses directly."""
        return frozenset(self._targets.get(source, ()))

    def references(self) -> Iterator[Reference]:
        """Yield all references, sorted."""
        for (source, target), strength in sorted(self._strengths.items()):
            yield Reference(source, target, strength)

    def among(self, paths: Iterable[str]) -> list[Reference]:
        """Return the references whose both ends are among some paths, sorted."""
        kept = frozenset(paths)
        found = [
            Reference(source, target, self._strengths[source, target])
            for source in kept & self._targets.keys()
            for target in self._targets[source] & kept
        ]
        return sorted(found)
