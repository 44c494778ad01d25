"""The one asynchronous step before an operation's transaction, and what it may use.

`prepare` of an operation takes its request and a `Preparation`, and returns the request that the function
gets: with a file staged, words found, a model's answer or a computed result in it. What it does may be done
twice, since the transaction behind it may fail.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from repomesh.kernel.computing import Computing
from repomesh.kernel.ports import Completions, Embedder, StorePort


@dataclass(frozen=True, slots=True)
class Preparation:
    """What `prepare` may use, all of it outside the transaction of the operation.

    `read` runs a function of a transaction on a read-only view of the caller's workspace and returns its
    result; `completions` and `embedder` ask models, and never raise for what a model does; `computing` runs
    what takes seconds on one thread and raises Unavailable when too many wait for it; `store` has the
    settings; `threads` run what may take long of one request, few at once so that the event loop keeps its
    share of the interpreter. `in_batch` is True for a command of a batch: all of its work is done here,
    however small, so that the batch holds the writer no longer than it must.
    """

    read: Callable[[Callable[[Any], Any]], Awaitable[Any]]
    store: StorePort
    completions: Completions
    embedder: Embedder
    computing: Computing
    threads: ThreadPoolExecutor
    in_batch: bool = False


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
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(preparation.threads, work, request, preparation.store)
        return request

    return prepare
