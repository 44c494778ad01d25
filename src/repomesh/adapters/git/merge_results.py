"""Results of merges, and what git writes about them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from repomesh.adapters.git.errors import GitFailed

_STAGES = {1: "base", 2: "ours", 3: "theirs"}


@dataclass(frozen=True, slots=True)
class BlobRef:
    """A file in a tree: its mode ('100644', '120000' …) and the id of its content."""

    mode: str
    oid: str


@dataclass(frozen=True, slots=True)
class ConflictedFile:
    """A file that both sides changed so that git can't merge it. A side is None where it has no such file."""

    path: bytes
    base: BlobRef | None
    ours: BlobRef | None
    theirs: BlobRef | None


@dataclass(frozen=True, slots=True)
class Merged:
    """A clean merge: the id of its tree."""

    tree: str


@dataclass(frozen=True, slots=True)
class Conflicted:
    """A merge with conflicts. `tree` holds everything that merged, and the conflicted files with markers."""

    tree: str
    files: tuple[ConflictedFile, ...]


MergeResult = Merged | Conflicted


def parse_answer(answer: bytes) -> MergeResult:
    """The result in an answer of `git merge-tree --stdin -z --no-messages`.

    Only conflicted entries make a conflict: raises GitFailed for an answer that reports failure without them.
    """
    status, tree, *entries = answer.removesuffix(b"\0\0").split(b"\0")
    if status == b"1" and not any(entries):
        return Merged(tree.decode())
    sides: defaultdict[bytes, dict[str, BlobRef]] = defaultdict(dict)
    for entry in filter(None, entries):
        head, _, path = entry.partition(b"\t")
        try:
            mode, oid, stage = head.decode().split(" ")
            sides[path][_STAGES[int(stage)]] = BlobRef(mode, oid)
        except (ValueError, KeyError):
            raise GitFailed(f"git merge-tree answered something unknown: {entry[:80]!r}") from None
    if status != b"0" or not sides:
        raise GitFailed(f"git merge-tree answered something unknown: {answer[:80]!r}")
    files = tuple(
        ConflictedFile(path, by_side.get("base"), by_side.get("ours"), by_side.get("theirs"))
        for path, by_side in sides.items()
    )
    return Conflicted(tree.decode(), files)
