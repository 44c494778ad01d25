"""What the merge queue needs to work: pygit2, and a git that merges without a work tree."""

from __future__ import annotations

import re
from functools import cache

from repomesh.adapters.git.commands import run_git
from repomesh.adapters.git.errors import EngineMissing, GitFailed

_VERSION_MIN = (2, 38)


def require_engine() -> None:
    """Raise EngineMissing unless pygit2 and a git that can merge without a work tree are installed."""
    try:
        import pygit2
    except ImportError:
        raise EngineMissing("the merge queue needs pygit2, which is not installed") from None
    # A workspace's path was chosen by the server's own user; nothing that the repository configures is run.
    pygit2.option(pygit2.enums.Option.SET_OWNER_VALIDATION, False)
    version = git_version()
    if version is None or version < _VERSION_MIN:
        shown = "no git" if version is None else f"git {'.'.join(map(str, version))}"
        raise EngineMissing(
            f"the merge queue needs git {_VERSION_MIN[0]}.{_VERSION_MIN[1]}; there is {shown}"
        )


@cache
def git_version() -> tuple[int, ...] | None:
    """The version of the git on PATH; None where there is none."""
    try:
        text = run_git(None, ["version"]).stdout.decode("ascii", "replace")
    except GitFailed:
        return None
    numbers = re.search(r"(\d+)\.(\d+)", text)
    return None if numbers is None else (int(numbers[1]), int(numbers[2]))
