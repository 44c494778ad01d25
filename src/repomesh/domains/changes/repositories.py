"""The repository of a workspace, its target branch, and what that branch says about the queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from sqlalchemy import bindparam, select

from repomesh.adapters.git.errors import EngineMissing, GitFailed, NoGitRepository
from repomesh.adapters.git.repository import Repository
from repomesh.domains.changes import configuration
from repomesh.domains.changes.building import owners
from repomesh.domains.changes.configuration import Configuration, ConfigurationInvalid
from repomesh.domains.changes.errors import TargetMissing
from repomesh.domains.workspaces.tables import workspaces
from repomesh.kernel.preparation import Preparation, ThreadUse
from repomesh.kernel.settings import Settings
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

Context = TypeVar("Context")
Result = TypeVar("Result")

FOLDER = "queue"
"""In the data folder: what git needs for its own, and the work trees of checks."""

TARGET_ERRORS = (EngineMissing, NoGitRepository, GitFailed, TargetMissing, ConfigurationInvalid)
"""What `on_repository` and `read_target` raise."""

PINS = "refs/repomesh/changes/"
"""Refs that keep commits of changes from being collected: `<id>/1` as submitted, `<id>/built` as rebuilt."""

_PATH = PreparedStatement(select(workspaces.c.path).where(workspaces.c.id == bindparam("ws")))
_USUAL_TARGETS = ("main", "master", "trunk", "develop")


@dataclass(frozen=True, slots=True)
class Target:
    """The branch that changes land on, where it is, and what its tip says about the queue."""

    branch: str
    tip: str
    tree: str
    configuration: Configuration
    codeowners: bytes | None

    @property
    def ref(self) -> str:
        """The branch's ref."""
        return f"refs/heads/{self.branch}"


def repository_path(tx: Transaction) -> str | None:
    """The folder of the workspace's repository; None where the workspace has none on this machine."""
    path: str | None = tx.execute(_PATH, {"ws": tx.workspace_id}).scalar_one_or_none()
    return path


def private_folder(settings: Settings, workspace_id: str) -> Path:
    """The folder for what the queue keeps about one workspace's repository."""
    return settings.data / FOLDER / workspace_id


@contextmanager
def opened(settings: Settings, workspace_id: str, path: str | None) -> Iterator[Repository]:
    """The repository of a workspace, open inside the context. Raises EngineMissing and NoGitRepository."""
    if path is None:
        raise NoGitRepository("the workspace has no repository: it was made without a folder")
    repository = Repository(Path(path), private_folder(settings, workspace_id))
    try:
        yield repository
    finally:
        repository.close()


async def on_repository(
    preparation: Preparation,
    read: Callable[[Transaction], Context],
    work: Callable[[Repository, Context], Result],
    use: ThreadUse = "git",
) -> Result:
    """Read what `work` needs, then return what it makes of that and the caller's repository, on a thread.

    `use` says for what the thread is: "minutes" for what may keep others waiting. Raises what both raise,
    EngineMissing and NoGitRepository.
    """
    workspace_id, path, known = await preparation.read(
        lambda tx: (tx.workspace_id, repository_path(tx), read(tx))
    )
    settings = preparation.store.settings

    def run() -> Result:
        with opened(settings, workspace_id, path) as repository:
            return work(repository, known)

    return await preparation.on_thread(run, use)


def pinned_changes(repository: Repository, count_max: int) -> dict[str, list[str]]:
    """The refs of submitted commits by the id of their change, of `count_max` refs at most."""
    refs_by_id: dict[str, list[str]] = {}
    for ref in islice(repository.refs_below(PINS), count_max):
        refs_by_id.setdefault(ref.removeprefix(PINS).partition("/")[0], []).append(ref)
    return refs_by_id


def default_target(repository: Repository) -> str:
    """The branch that changes land on where the repository does not say: its remote's, or a usual one."""
    for name in (repository.remote_default_branch(), *_USUAL_TARGETS):
        if name is not None and repository.branch_tip(name) is not None:
            return name
    return repository.default_branch() or _USUAL_TARGETS[0]


def configuration_at(repository: Repository, commit: str) -> Configuration:
    """What `repomesh.toml` says in a commit. Raises ConfigurationInvalid."""
    return configuration.parse(repository.file(repository.tree(commit), configuration.FILE.encode()))


def read_target(repository: Repository, branch: str | None = None) -> Target:
    """The target branch with its configuration.

    Which branch that is, the file on the default branch says; everything else, the file on the target. Raises
    TargetMissing and ConfigurationInvalid.
    """
    if branch is None:
        branch = default_target(repository)
        tip = repository.branch_tip(branch)
        if tip is not None:
            branch = configuration_at(repository, tip).queue.target or branch
    tip = repository.branch_tip(branch)
    if tip is None:
        raise TargetMissing(f"there is no branch '{branch}' with a commit")
    return target_at(repository, branch, tip)


def target_at(repository: Repository, branch: str, tip: str) -> Target:
    """The branch as if `tip` were its tip. Raises ConfigurationInvalid and RevisionNotFound."""
    tree = repository.tree(tip)
    read = configuration_at(repository, tip)
    codeowners = next(
        (content for place in owners.PLACES if (content := repository.file(tree, place)) is not None), None
    )
    return Target(branch, tip, tree, read, codeowners)
