"""The repositories of the workspaces on this machine, kept open between rounds, with their check trees."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeVar

from repomesh.adapters.git.check_trees import CheckTree, remove_left, root_for
from repomesh.adapters.git.repository import Repository
from repomesh.domains.changes.configuration import ConfigurationInvalid
from repomesh.domains.changes.errors import TargetMissing
from repomesh.domains.changes.queue.claims import ReadyLane
from repomesh.domains.changes.repositories import FOLDER, private_folder, read_target
from repomesh.jobs.merge_queue.cancelling import finish_even_if_cancelled
from repomesh.kernel import limits
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LaneContext:
    """The repository of a lane and what its branch says about the queue.

    `error` is why there is no repository, `pause` why the queue of the branch must pause.
    """

    repository: Repository | None = None
    batch_max: int = 0
    attempts_max: int = 3
    pause: str | None = None
    error: str | None = None


class OpenRepositories:
    """One open repository a workspace. git blocks, so `on_thread` runs what asks it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(limits.QUEUE_LANES_AT_ONCE, "merge-queue")
        self._repositories: dict[str, Repository] = {}
        self._check_trees: dict[tuple[str, str], list[CheckTree]] = {}  # by workspace and target branch

    async def on_thread(self, work: Callable[[], T]) -> T:
        """Run blocking work, of as many lanes at once as there may be.

        A thread can't be interrupted: a cancellation is raised once it has ended, so that nobody uses
        meanwhile what it works on, such as a check tree.
        """
        future = self._threads.submit(work)
        return await finish_even_if_cancelled(asyncio.wrap_future(future), when_cancelled=future.cancel)

    def read_context(self, due: ReadyLane) -> LaneContext:
        """Open the repository of a lane, and read its branch's settings of the queue. Blocks."""
        try:
            repository = self._open(due)
        except RepomeshError as error:  # there is none on this machine, or no git
            return LaneContext(batch_max=limits.QUEUE_BATCH_MAX, error=error.message)
        try:
            queue = read_target(repository, due.target).configuration.queue
        except (ConfigurationInvalid, TargetMissing) as error:
            return LaneContext(repository, pause=error.message)
        except RepomeshError:  # git fails: it says so again when it builds
            return LaneContext(repository, limits.QUEUE_BATCH_MAX)
        return LaneContext(repository, queue.batch_max, queue.attempts_max)

    def check_trees(
        self, workspace_id: str, target: str, repository: Repository, count: int
    ) -> list[CheckTree]:
        """As many work trees for the checks of a lane; they are used again in its next round."""
        trees = self._check_trees.setdefault((workspace_id, target), [])
        private = private_folder(self._settings, workspace_id)
        while len(trees) < count:
            trees.append(CheckTree(repository, root_for(private)))
        return trees[:count]

    async def close(self) -> None:
        """Wait for the threads, remove the check trees, and end git's resident processes."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        for tree in chain.from_iterable(self._check_trees.values()):
            await asyncio.to_thread(tree.remove)
        self._check_trees.clear()
        await asyncio.to_thread(remove_left, self._settings.data / FOLDER)
        for repository in self._repositories.values():
            repository.close()
        self._repositories.clear()

    def _open(self, due: ReadyLane) -> Repository:
        repository = self._repositories.get(due.workspace_id)
        if repository is not None and not repository.is_current():
            repository.close()  # a lane that merges with it just now tries again
            repository = None
        if repository is None:
            private = private_folder(self._settings, due.workspace_id)
            repository = Repository(Path(due.path), private)
            self._repositories[due.workspace_id] = repository
        return repository
