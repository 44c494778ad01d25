"""What can go wrong in git. A merge conflict is a result (`merge_results.Conflicted`), not an error."""

from __future__ import annotations

from repomesh.kernel.errors import InvalidRequest, Unavailable


class EngineMissing(Unavailable):
    """The merge queue's libraries are not installed, or git is too old."""

    code = "merge_engine_missing"
    hint = "Install 'repomesh[queue]' and git 2.38 or newer; 'repomesh doctor' checks both."


class GitFailed(Unavailable):
    """git, the disk or another process is in the way: nothing is wrong with the change. It is tried again."""

    code = "git_failed"
    hint = "It is tried again. 'repomesh doctor' checks git and the repository."


class WorkTreeBusy(GitFailed):
    """The work tree of the target branch can't follow for now. `hint` is what somebody must do there."""

    hint = "Finish or abort in the work tree what 'git status' says has begun; the queue tries it again."


class ObjectsMissing(GitFailed):
    """The repository lacks objects: it is a shallow or partial clone, or damaged."""

    hint = (
        "Fetch all of a clone that is shallow ('git fetch --unshallow') or partial ('git fetch --refetch "
        "--no-filter'); else look for damage with 'git fsck'. The queue tries it again."
    )


class NoGitRepository(InvalidRequest):
    """The workspace has no git repository on this machine that the merge queue can work on."""

    code = "no_git_repository"
    hint = "Start the server inside a git repository with 'repomesh up'."


class RevisionNotFound(InvalidRequest):
    """The repository has no such commit or branch."""

    code = "revision_not_found"
    hint = "Name a branch or a commit that 'git log -1 NAME' shows in the server's repository."


class CommitMalformed(InvalidRequest):
    """A commit has no author or committer that can be read, as of a damaged import."""

    code = "commit_malformed"
    hint = "'git fsck' names such commits: commit the same files anew, and submit that branch."


class LinesTooMany(Exception):
    """The files that differ between two trees have more lines than are compared."""


class RefMoved(Exception):
    """A ref is not where it was to be moved from. `actual` is where it is; None when it is gone."""

    def __init__(self, ref: str, actual: str | None) -> None:
        super().__init__(f"{ref} is at {actual}")
        self.ref = ref
        self.actual = actual
