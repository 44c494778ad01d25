"""Queues for answers that take seconds: one at a time on a thread of their own, or a few at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import ParamSpec, TypeVar

from repomesh.kernel.errors import Unavailable
from repomesh.kernel.limits import COMPUTE_QUEUE_MAX

P = ParamSpec("P")
T = TypeVar("T")


class ComputeQueue:
    """Lets a few tasks run at once, of each caller one; others wait, each caller in turn."""

    def __init__(self, at_once: int, waiting_max: int) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._waiting_max = waiting_max
        self._callers: dict[Hashable, _CallerQueue] = {}

    @asynccontextmanager
    async def turn(self, caller: Hashable) -> AsyncIterator[None]:
        """Wait for a turn of `caller`, and keep it inside the context.

        Raises Unavailable when too many tasks of this caller wait.
        """
        queue = self._callers.setdefault(caller, _CallerQueue())
        if queue.tasks > self._waiting_max:
            raise Unavailable(f"{queue.tasks - 1} of your searches already wait for their turn")
        queue.tasks += 1
        try:
            async with queue.lock, self._free:  # so that each caller has one place among those that wait
                yield
        finally:
            queue.tasks -= 1
            if not queue.tasks:
                del self._callers[caller]


class _CallerQueue:
    """The tasks of one caller: one runs or is next, the others wait."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.tasks = 0


class Computing:
    """Runs slow computations on one thread, so that they never take more than one core."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "compute")
        self._waiting = 0

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `function` returns; raises Unavailable when too many wait for their turn."""
        if self._waiting >= COMPUTE_QUEUE_MAX:
            raise Unavailable(f"{self._waiting} answers that take long are being computed")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, partial(function, *args, **kwargs))
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Cancel the functions that wait; one that runs is not interrupted."""
        self._thread.shutdown(wait=False, cancel_futures=True)
