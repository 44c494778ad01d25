"""Finds and opens the git repository around a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from repomesh.adapters.git.engine import require_engine
from repomesh.adapters.git.errors import CommitMalformed, NoGitRepository
from repomesh.adapters.git.modes import READ_WHOLE_TYPES
from repomesh.kernel import limits

if TYPE_CHECKING:
    import pygit2


class OpenedRepository:
    """A git repository that is open: where it lies. `private` is a folder for files of git of one's own.

    Raises EngineMissing, and NoGitRepository where `path` is not in a repository that can be worked on.
    """

    def __init__(self, path: Path, private: Path) -> None:
        require_engine()
        import pygit2

        self.private = private
        try:
            found = pygit2.discover_repository(str(path))
            opened = pygit2.Repository(found) if found is not None else None
        except (pygit2.GitError, KeyError, ValueError) as error:
            raise _not_opened(path, error) from None
        if opened is None:
            raise NoGitRepository(f"{path} is in no git repository")
        self._repository: pygit2.Repository = opened
        self.path = path
        self.git_dir = _common_dir(Path(self._repository.path))
        self.objects = self.git_dir / "objects"
        self._shallow_state = _state_of(self.git_dir / "shallow")

    @property
    def is_shallow(self) -> bool:
        """Whether the history was cut off when the repository was cloned."""
        return bool(self._repository.is_shallow)

    def _require_small(self, oid: Any) -> None:
        """Raise CommitMalformed for an object that is read whole, and is larger than any real commit.

        Raises KeyError where there is none.
        """
        type_, size = self._repository.odb.read_header(oid)
        if type_ in READ_WHOLE_TYPES and size > limits.COMMIT_BYTES_MAX:
            message = (
                f"{oid} has {size} bytes; a commit with its message has at most {limits.COMMIT_BYTES_MAX}"
            )
            raise CommitMalformed(message, hint="Commit the same files anew with a shorter message.")

    def is_current(self) -> bool:
        """Whether the history is as it was when this was opened: False once a shallow clone has got more."""
        return self._shallow_state == _state_of(self.git_dir / "shallow")


def _common_dir(git_dir: Path) -> Path:
    """The git folder that all work trees of a repository share."""
    try:
        return (git_dir / (git_dir / "commondir").read_text().strip()).resolve()
    except (OSError, UnicodeDecodeError):
        return git_dir


def _not_opened(path: Path, error: Exception) -> NoGitRepository:
    if "object format" in str(error):
        return NoGitRepository(
            f"the repository {path} has ids of SHA-256",
            hint="The merge queue works on repositories with ids of SHA-1: those that 'git init' makes.",
        )
    return NoGitRepository(f"the repository {path} can't be opened: {error}")


def _state_of(file: Path) -> tuple[int, int] | None:
    """By which a file that was replaced is known; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
