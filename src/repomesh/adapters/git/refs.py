"""The branches and other refs of a repository: read, moved by compare-and-swap, pinned."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from repomesh.adapters.git.commands import run_git
from repomesh.adapters.git.errors import GitFailed, RefMoved
from repomesh.adapters.git.libgit2_errors import as_git_failed
from repomesh.adapters.git.opened import OpenedRepository

if TYPE_CHECKING:
    import pygit2

NOTHING = "0" * 40
"""git's id for "no object": of a ref that does not exist."""

_BRANCHES = "refs/heads/"


class RepositoryRefs(OpenedRepository):
    """The refs of an open repository."""

    def branch_tip(self, branch: str) -> str | None:
        """The commit of a local branch; None where there is no such branch."""
        return self.ref(_BRANCHES + branch)

    def default_branch(self) -> str | None:
        """The branch that is checked out in the main work tree, also before its first commit; else None."""
        return self._branch_behind("HEAD", _BRANCHES)

    def remote_default_branch(self) -> str | None:
        """The default branch of the remote 'origin', as it was when that was cloned; None where unknown."""
        return self._branch_behind("refs/remotes/origin/HEAD", "refs/remotes/origin/")

    def ref(self, name: str) -> str | None:
        """The commit at which a ref stands; None where there is no such ref, or it stands at no commit.

        Raises GitFailed where that can't be read, and ObjectsMissing where the commit is not there.
        """
        with as_git_failed(f"the ref {name[:200]!r} can't be read"):
            try:
                target = self._repository.lookup_reference(name).resolve().target
            except (KeyError, ValueError):  # no such ref, or no possible name of one
                return None
            self._require_small(target)
            commit = as_commit(self._repository[target])
            return None if commit is None else str(commit.id)

    def move_ref(
        self, ref: str, old: str | None, new: str | None, reason: str = "", inherited_fds: Sequence[int] = ()
    ) -> None:
        """Move a ref from `old` to `new`, where None means that it does not exist: compare and swap.

        git inherits the locks in `inherited_fds`. Raises RefMoved when it is elsewhere, and GitFailed.
        """
        if old is not None and new is not None and self._swap(ref, old, new, reason):
            return
        arguments = ["update-ref", "--no-deref", "-m", reason or "repomesh"]
        command = [*arguments, ref, new] if new is not None else [*arguments, "-d", ref]
        try:
            run_git(
                self.git_dir, [*command, old if old is not None else NOTHING], inherited_fds=inherited_fds
            )
        except GitFailed:
            actual = self.ref(ref)
            if actual != old:
                raise RefMoved(ref, actual) from None
            raise

    def refs_below(self, prefix: str) -> list[str]:
        """The names of the refs that begin with `prefix`, in order; those that are not ASCII are left out."""
        raw = prefix.encode()
        with as_git_failed("the refs can't be read"):
            names = [name for name in self._repository.raw_listall_references() if name.startswith(raw)]
        return sorted(name.decode() for name in names if name.isascii())

    def pin(self, ref: str, commit: str) -> None:
        """Keep a commit from being collected as garbage, under a ref that no other commit has."""
        with as_git_failed(f"{ref} can't be written"):
            self._repository.create_reference_direct(ref, commit, True, message="repomesh")

    def unpin(self, ref: str) -> None:
        """Delete a ref that `pin` made; nothing happens where it is gone."""
        with as_git_failed(f"{ref} can't be deleted"), suppress(KeyError):
            self._repository.lookup_reference(ref).delete()

    def _swap(self, ref: str, old: str, new: str, reason: str) -> bool:
        """Move a ref by libgit2, under the ref's lock; False where that refuses, and git is to say why."""
        import pygit2

        try:
            found = self._repository.lookup_reference(ref)
            if found.type != pygit2.enums.ReferenceType.DIRECT or str(found.target) != old:
                return False
            found.set_target(new, reason or "repomesh")
        except (KeyError, ValueError, OSError, pygit2.GitError):  # such as another's lock
            return False
        return True

    def _branch_behind(self, symbolic_ref: str, prefix: str) -> str | None:
        """The branch to which a symbolic ref leads, without `prefix`; None where it leads elsewhere."""
        with as_git_failed(f"{symbolic_ref} can't be read"):
            try:
                target = self._repository.lookup_reference(symbolic_ref).raw_target
            except (KeyError, ValueError):
                return None
        text = target.decode("utf-8", "replace") if isinstance(target, bytes) else ""
        return text.removeprefix(prefix) if text.startswith(prefix) else None


def as_commit(found: pygit2.Object) -> pygit2.Commit | None:
    """A commit, also the one that a tag names; None for a file and a folder."""
    import pygit2

    while isinstance(found, pygit2.Tag):
        found = found.get_object()
    return found if isinstance(found, pygit2.Commit) else None
