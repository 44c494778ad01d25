"""Errors of libgit2, as the queue's own: a full disk or a missing object is no fault of a change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from repomesh.adapters.git.errors import CommitMalformed, GitFailed, ObjectsMissing

_MALFORMED = "failed to parse signature"


@contextmanager
def as_git_failed(problem: str) -> Iterator[None]:
    """Raise errors of libgit2 in the block as GitFailed.

    As ObjectsMissing where it finds no object, and as CommitMalformed where it can't read who made a commit.
    """
    import pygit2

    try:
        yield
    except KeyError as error:  # so pygit2 says that there is no such object
        raise ObjectsMissing(f"{problem}: there is no object {error}") from None
    except (OSError, ValueError, pygit2.GitError) as error:
        if is_malformed(error):
            raise CommitMalformed(f"{problem}: {error}") from None
        raise GitFailed(f"{problem}: {error}") from None


def is_malformed(error: Exception) -> bool:
    """Whether an error of libgit2 says that a commit's author or committer can't be read."""
    return _MALFORMED in str(error)
