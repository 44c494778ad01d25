"""Queues for answers that take seconds: one at a time on a thread of their own, or a few at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Generic, ParamSpec, TypeVar

from repomesh.kernel.errors import RepomeshError, TooManyCalls, Unavailable
from repomesh.kernel.limits import COMPUTE_QUEUE_MAX

P = ParamSpec("P")
T = TypeVar("T")
CallerKey = TypeVar("CallerKey", bound=Hashable)


class CallerTurns:
    """Lets each caller run a few tasks at once; its further ones wait, and nobody else's wait for them.

    `what` names the tasks in the refusal of one that comes when `waiting_max` of its caller wait.
    """

    def __init__(self, each: int, waiting_max: int, what: str) -> None:
        self._each = each
        self._waiting_max = waiting_max
        self._what = what
        self._callers: dict[Hashable, _CallerQueue] = {}

    @asynccontextmanager
    async def turn(self, caller: Hashable) -> AsyncIterator[None]:
        """Wait for a turn of `caller`, and keep it inside the context.

        Raises TooManyCalls when too many tasks of this caller wait.
        """
        queue = self._callers.get(caller)
        if queue is None:
            queue = self._callers[caller] = _CallerQueue(self._each)
        waiting = queue.tasks - self._each
        if waiting >= self._waiting_max:
            message = f"{waiting} of your {self._what} already wait for their turn"
            raise TooManyCalls(message, retry_after_s=1.0)
        queue.tasks += 1
        try:
            async with queue.free:
                yield
        finally:
            queue.tasks -= 1
            if not queue.tasks:
                del self._callers[caller]


class _CallerQueue:
    """The tasks of one caller: `each` run or are next, the others wait."""

    def __init__(self, each: int) -> None:
        self.free = asyncio.Semaphore(each)
        self.tasks = 0


class ComputeQueue:
    """Lets a few tasks run at once, of each caller one; others wait, each caller in turn."""

    def __init__(self, at_once: int, waiting_max: int, what: str) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._callers = CallerTurns(1, waiting_max, what)

    @asynccontextmanager
    async def turn(self, caller: Hashable) -> AsyncIterator[None]:
        """Wait for a turn of `caller`, and keep it inside the context.

        Raises TooManyCalls when too many tasks of this caller wait.
        """
        async with self._callers.turn(caller), self._free:  # each caller has one place among those that wait
            yield


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


class PlacesPerCaller(Generic[CallerKey]):
    """Counts what each caller has open at once, up to a limit: its connections, its calls, its waits."""

    def __init__(self, places_max: int, refuse: Callable[[int], RepomeshError]) -> None:
        self._places_max = places_max
        self._refuse = refuse
        self._taken: Counter[CallerKey] = Counter()

    @contextmanager
    def place(self, caller: CallerKey) -> Iterator[None]:
        """Keep a place of a caller inside the block; raises what `refuse` makes of the limit."""
        if self._taken[caller] >= self._places_max:
            raise self._refuse(self._places_max)
        self._taken[caller] += 1
        try:
            yield
        finally:
            self._taken[caller] -= 1
            if not self._taken[caller]:
                del self._taken[caller]
