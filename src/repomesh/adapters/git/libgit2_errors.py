"""Errors of libgit2, as the queue's own: a full disk or a missing object is no fault of a change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from repomesh.adapters.git.errors import GitFailed, ObjectsMissing


@contextmanager
def as_git_failed(problem: str) -> Iterator[None]:
    """Raise errors of libgit2 in the block as GitFailed, and as ObjectsMissing where it finds no object."""
    import pygit2

    try:
        yield
    except KeyError as error:  # so pygit2 says that there is no such object
        raise ObjectsMissing(f"{problem}: there is no object {error}") from None
    except (OSError, ValueError, pygit2.GitError) as error:
        raise GitFailed(f"{problem}: {error}") from None
