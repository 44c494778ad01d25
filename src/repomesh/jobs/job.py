"""The one pattern of background jobs: take → effect → settle.

`take` claims due work in a short transaction and reads what its effect needs. `effect` speaks with the world
outside and holds no transaction. `settle` records in a short transaction what came of it: success, the next
attempt or a dead letter (`kernel.job_policy`). Each claim has an id or a version of its own, by which
`settle` sees that another process took the work since. So an effect may happen twice, and is recorded once.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Generic, TypeVar

import structlog

from repomesh.jobs.supervised import SupervisedWorker
from repomesh.kernel import limits
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.job_policy import JobPolicy
from repomesh.kernel.wakeup import Wakeup

Due = TypeVar("Due")
Taken = TypeVar("Taken")
Outcome = TypeVar("Outcome")
log = structlog.get_logger("repomesh.jobs")


class Job(SupervisedWorker, Generic[Due, Taken, Outcome]):
    """Does the work of one kind that is due in all workspaces, `policy.concurrency` pieces at once.

    A piece has a key, and at most one task of this process works on it. What fails keeps no other piece
    waiting: it is logged and taken up again after a pause.
    """

    def __init__(self, policy: JobPolicy, every_s: float) -> None:
        super().__init__()
        self._policy = policy
        self._every_s = every_s
        self._wakeup = Wakeup()
        self._working: dict[str, asyncio.Task[bool]] = {}
        self._once_more: set[str] = set()

    @abstractmethod
    async def due(self) -> Sequence[Due]:
        """What could be taken now, the most urgent first."""

    @abstractmethod
    def key(self, due: Due) -> str:
        """What is worked on: only one task of this process does so at a time."""

    @abstractmethod
    async def take(self, due: Due) -> Taken | None:
        """Lease some work and read what it needs; None when there is nothing, or another took it."""

    @abstractmethod
    async def effect(self, taken: Taken) -> Outcome:
        """Do it, outside of any transaction. Cancelled after `policy.limit_s`."""

    @abstractmethod
    async def settle(self, taken: Taken, outcome: Outcome | BaseException) -> bool:
        """Record what came of it, and give the lease back; answers whether there may be more to take.

        It is called once for each `take`: with what `effect` raised when it did so, which is a TimeoutError
        after the time limit and a CancelledError when the server stops.
        """

    def wake(self) -> None:
        """Look now."""
        self._wakeup.set()

    async def run_once(self) -> None:
        """Look, and wait for what was begun."""
        await self._pass()
        await asyncio.gather(*self._working.values(), return_exceptions=True)

    async def stop(self) -> None:
        """Cut the effects under way, and settle what came of them."""
        await super().stop()
        working = tuple(self._working.values())
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)

    async def _rest(self) -> None:
        await self._wakeup.wait(self._every_s)

    async def _pass(self) -> None:
        """Begin what is due, as far as there is room."""
        for due in await self.due():
            if len(self._working) >= self._policy.concurrency:
                return  # each that ends has the next look begin
            key = self.key(due)
            if key in self._working:
                self._once_more.add(key)
                continue
            task = asyncio.create_task(self._safely(due), name=f"{self.name} {key}")
            self._working[key] = task
            task.add_done_callback(partial(self._done, key))

    def _done(self, key: str, task: asyncio.Task[bool]) -> None:
        was_full = len(self._working) >= self._policy.concurrency
        del self._working[key]
        more = not task.cancelled() and task.result()
        if more or was_full or key in self._once_more:
            self._once_more.discard(key)
            self._wakeup.set()

    async def _safely(self, due: Due) -> bool:
        """Work on one piece for some rounds; answers whether there may be more."""
        try:
            for _ in range(limits.JOB_ROUNDS):
                if not await self._round(due):
                    return False
        except RepomeshError as error:
            log.warning(
                "a job waits", job=self.name, key=self.key(due), code=error.code, reason=error.message
            )
            await asyncio.sleep(limits.LOG_POLL_S)
        except Exception:  # whatever it was with this one, the others go on
            log.exception("a job failed, and will be tried again", job=self.name, key=self.key(due))
            await asyncio.sleep(limits.LOG_POLL_S)
        return True

    async def _round(self, due: Due) -> bool:
        taken = await self.take(due)
        if taken is None:
            return False
        try:
            async with asyncio.timeout(self._policy.limit_s):
                outcome = await self.effect(taken)
        except BaseException as error:  # cut or failed: what was taken is given back, or counts as an attempt
            await self.settle(taken, error)
            raise
        return await self.settle(taken, outcome)
