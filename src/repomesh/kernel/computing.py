"""Queues for answers that take seconds: one at a time on a thread of their own, or a few at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import ParamSpec, TypeVar

from repomesh.kernel.errors import Unavailable
from repomesh.kernel.limits import COMPUTE_QUEUE_MAX

P = ParamSpec("P")
T = TypeVar("T")


class ComputeQueue:
    """Lets a few tasks run at once; a bounded number of others waits, in order of arrival."""

    def __init__(self, at_once: int, waiting_max: int) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._waiting = 0
        self._waiting_max = waiting_max

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and keep it inside the context; raises Unavailable when too many wait."""
        if self._waiting >= self._waiting_max:
            raise Unavailable(f"{self._waiting} searches already wait for their turn")
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._free.release()


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
