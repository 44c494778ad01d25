"""The owners of files, as the target branch's CODEOWNERS says."""

from __future__ import annotations

from collections.abc import Iterable

PLACES = (b".github/CODEOWNERS", b"CODEOWNERS", b"docs/CODEOWNERS", b".gitlab/CODEOWNERS")
"""Where the file may be; the first that is there counts."""


def owner_groups(content: bytes | None, paths: Iterable[str]) -> list[list[str]]:
    """The distinct groups of owners of some files: of each group one must approve. None without a file."""
    if content is None:
        return []
    from codeowners import CodeOwners

    owners = CodeOwners(content.decode("utf-8", "replace"))
    groups = {tuple(name for _type, name in owners.of(path)) for path in paths}
    return sorted(list(group) for group in groups if group)
