"""The one asynchronous step before an operation's transaction, and what it may use.

`prepare` of an operation takes its request and a `Preparation`, and returns the request that the function
gets: with a file staged, words found, a model's answer or a computed result in it. What it does may be done
twice, since the transaction behind it may fail.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from repomesh.kernel import limits
from repomesh.kernel.computing import CallerTurns, Computing
from repomesh.kernel.ports import Completions, Embedder, StorePort

T = TypeVar("T")


ThreadUse = Literal["short", "git", "minutes"]
"""What threads are for: computations of a request, questions to a repository, or what takes minutes, such as
building a branch again. Nothing waits for what takes much longer."""

_COUNTS: dict[ThreadUse, int] = {
    "short": limits.PREPARE_THREADS,
    "git": limits.PREPARE_GIT_THREADS,
    "minutes": limits.PREPARE_MINUTES_THREADS,
}


class PrepareThreads:
    """Threads for work of one use, which start when they are needed, and each caller's turn on them."""

    def __init__(self, use: ThreadUse) -> None:
        self.turns = CallerTurns(1, limits.READS_WAITING_MAX, "calls")
        self._use = use
        self._threads = self._start()

    async def run(self, actor_id: str, work: Callable[[], T]) -> T:
        """Return what `work` returns, when it is the caller's turn. Raises TooManyCalls."""
        async with self.turns.turn(actor_id):
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Cancel the work that waits; new threads serve what still comes while the server stops."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._threads = self._start()

    def _start(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(_COUNTS[self._use], f"prepare-{self._use}")


def prepare_threads() -> dict[ThreadUse, PrepareThreads]:
    """The threads of each use."""
    return {use: PrepareThreads(use) for use in _COUNTS}


@dataclass(frozen=True, slots=True)
class Preparation:
    """What `prepare` may use, all of it outside the transaction of the operation.

    `read` runs a function of a transaction on a read-only view of the caller's workspace and returns its
    result; `completions` and `embedder` ask models, and never raise for what a model does; `computing` runs
    what takes seconds on one thread and raises Unavailable when too many wait for it; `store` has the
    settings; `actor_id` is the caller's; `threads` run what may take long of one request, few at once so that
    the event loop keeps its share of the interpreter (see `on_thread`). `in_batch` is True
    for a command of a batch: all of its work is done here, however small, so that the batch holds the writer
    no longer than it must.
    """

    read: Callable[[Callable[[Any], Any]], Awaitable[Any]]
    store: StorePort
    completions: Completions
    embedder: Embedder
    computing: Computing
    actor_id: str
    threads: Mapping[ThreadUse, PrepareThreads]
    in_batch: bool = False

    async def on_thread(self, work: Callable[[], T], use: ThreadUse = "short") -> T:
        """Return what `work` returns on one of the threads for such work.

        Each caller has one piece of each use at a time. Raises TooManyCalls when too many of them wait.
        """
        return await self.threads[use].run(self.actor_id, work)


Prepare = Callable[[Any, Preparation], Awaitable[BaseModel]]
"""Of (request, preparation): the request that the operation's function gets."""


def on_worker_thread(
    work: Callable[[Any, StorePort], object], when: Callable[[Any], bool] | None = None
) -> Prepare:
    """A `prepare` that runs `work` of (request, store) on a thread and leaves the request as it is.

    With `when`, only for a request for which that returns True, and for each request of a batch; `work` must
    then be something that the function does itself where it was not done before.
    """

    async def prepare(request: BaseModel, preparation: Preparation) -> BaseModel:
        if when is None or preparation.in_batch or when(request):
            await preparation.on_thread(partial(work, request, preparation.store))
        return request

    return prepare
