"""Impact: changing a file may break the files that use it.

Task A reaches task B when a file of B uses a file of A by an import that runs (LAZY or REQUIRED). Then one of
them must wait for the other one. Append-only files have no impact: what others add there breaks nobody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from repomesh.domains.requests.planning.references import LAZY, Reference


def impacting(references: Iterable[Reference], append_only: Collection[str]) -> list[Reference]:
    """Return the references whose target's change may break their source."""
    return [
        reference
        for reference in references
        if reference.strength >= LAZY and reference.target not in append_only
    ]


def between_owners(
    references: Iterable[Reference], owners: Mapping[str, str]
) -> dict[str, dict[str, Reference]]:
    """Return by owner, and by the other owner whose files it uses, the first reference between them."""
    found: defaultdict[str, dict[str, Reference]] = defaultdict(dict)
    for reference in references:
        user, used = owners.get(reference.source), owners.get(reference.target)
        if user is not None and used is not None and user != used:
            found[user].setdefault(used, reference)
    return dict(found)
