"""Which lists are sets: two additions to them at one place may stand in any order."""

from __future__ import annotations

from collections.abc import Sequence

_NAMES = frozenset({
    "__all__", "allowed_hosts", "authors", "categories", "classifiers", "contributors",
    "default_extensions", "dependencies", "dev_dependencies", "exclude", "excludes", "extend_exclude",
    "extend_ignore", "extend_select", "extensions", "extras", "features", "files", "ignore", "ignores",
    "include", "includes", "installed_apps", "keywords", "labels", "maintainers", "members", "packages",
    "permissions", "platforms", "recommendations", "requirements", "requires", "reviewers", "scopes",
    "select", "tags", "topics", "unwanted_recommendations", "workspaces",
})  # fmt: skip
_GROUPS = frozenset({"optional_dependencies", "dependency_groups", "extras_require"})


def is_ordered(path: Sequence[str], item: str) -> bool:
    """Whether an item must keep its place in the list at a path of names: unless the list is a known set.

    A pattern that takes back what others say, such as `!keep.log`, must keep it there, too.
    """
    names = [_spelled(name) for name in path[-2:]]
    is_set = bool(names) and (names[-1] in _NAMES or names[0] in _GROUPS)
    return not is_set or item.lstrip("\"'").startswith("!")


def _spelled(name: str) -> str:
    """A name in small letters with underscores, as `devDependencies` and `dev-dependencies` are above."""
    if not name.isupper():
        name = "".join(f"_{letter}" if letter.isupper() else letter for letter in name)
    return name.lower().replace("-", "_").lstrip("_") if not name.startswith("__") else name
