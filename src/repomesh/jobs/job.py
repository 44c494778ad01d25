"""The one pattern of background jobs: take → effect → settle.

`take` claims due work in a short transaction and reads what its effect needs. `effect` talks to outside
systems and holds no transaction. `settle` records the outcome in a short transaction: success, the next
attempt or a dead letter (`kernel.job_policy`). Each claim has an id or a version of its own, by which
`settle` detects that another process took the work since. So an effect may happen twice, and is recorded
once.
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

Work = TypeVar("Work")
Taken = TypeVar("Taken")
Outcome = TypeVar("Outcome")
log = structlog.get_logger("repomesh.jobs")


class Job(SupervisedWorker, Generic[Work, Taken, Outcome]):
    """Does the work of one kind that is due in all workspaces, `policy.concurrency` pieces at once.

    A piece has a key, and at most one task of this process works on it. A piece that fails does not delay
    the others: the error is logged, and the piece is tried again after a pause.
    """

    def __init__(self, policy: JobPolicy, every_s: float, rest_s: float = 0.0) -> None:
        """Look every `every_s` seconds and when woken, but not within `rest_s` after a look in vain."""
        super().__init__()
        self._policy = policy
        self._every_s = every_s
        self._rest_s = rest_s
        self._looked_in_vain = False
        self._wakeup = Wakeup()
        self._working: dict[str, asyncio.Task[bool]] = {}
        self._repeat_keys: set[str] = set()

    @abstractmethod
    async def due(self) -> Sequence[Work]:
        """The work that could be taken now, the most urgent first."""

    @abstractmethod
    def key(self, due: Work) -> str:
        """The key of a piece of work: one task of this process at a time works on it."""

    @abstractmethod
    async def take(self, due: Work) -> Taken | None:
        """Claim some work and read what it needs; None when there is none, or another process took it."""

    @abstractmethod
    async def effect(self, taken: Taken) -> Outcome:
        """Do the work, outside of any transaction. Cancelled after `policy.limit_s`."""

    @abstractmethod
    async def settle(self, taken: Taken, outcome: Outcome | BaseException) -> bool:
        """Record the outcome, and release the claim; returns whether there may be more to take.

        It is called once for each `take`, with the result of `effect` or the exception that it raised: a
        TimeoutError after the time limit, a CancelledError when the server stops.
        """

    def wake(self) -> None:
        """Begin the next look now."""
        self._wakeup.set()

    async def run_once(self) -> None:
        """Look once, and wait until all work under way is done."""
        await self._pass()
        await asyncio.gather(*self._working.values(), return_exceptions=True)

    async def stop(self) -> None:
        """Cancel the effects under way, and settle them."""
        await super().stop()
        working = tuple(self._working.values())
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)

    async def _wait_for_next_pass(self) -> None:
        if self._looked_in_vain:
            await asyncio.sleep(self._rest_s)
        await self._wakeup.wait(self._every_s)

    async def _pass(self) -> None:
        """Start tasks for the due work, up to `policy.concurrency` at once."""
        all_due = await self.due()
        self._looked_in_vain = not all_due
        for due in all_due:
            if len(self._working) >= self._policy.concurrency:
                return  # the end of each task wakes the next look
            key = self.key(due)
            if key in self._working:
                self._repeat_keys.add(key)
                continue
            task = asyncio.create_task(self._work_on(due), name=f"{self.name} {key}")
            self._working[key] = task
            task.add_done_callback(partial(self._on_task_done, key))

    def _on_task_done(self, key: str, task: asyncio.Task[bool]) -> None:
        was_full = len(self._working) >= self._policy.concurrency
        del self._working[key]
        has_more = not task.cancelled() and task.result()
        if has_more or was_full or key in self._repeat_keys:
            self._repeat_keys.discard(key)
            self._wakeup.set()

    async def _work_on(self, due: Work) -> bool:
        """Work on one piece for up to JOB_ROUNDS rounds; returns whether there may be more."""
        try:
            for _ in range(limits.JOB_ROUNDS):
                if not await self._run_round(due):
                    return False
        except RepomeshError as error:
            log.warning(
                "a job waits", job=self.name, key=self.key(due), code=error.code, reason=error.message
            )
            await asyncio.sleep(limits.LOG_POLL_S)
        except Exception:  # an error of one piece must not stop the others
            log.exception("a job failed, and will be tried again", job=self.name, key=self.key(due))
            await asyncio.sleep(limits.LOG_POLL_S)
        return True

    async def _run_round(self, due: Work) -> bool:
        work = await self.take(due)
        if work is None:
            return False
        try:
            async with asyncio.timeout(self._policy.limit_s):
                outcome = await self.effect(work)
        except BaseException as error:  # cancelled or failed: the claim is released, or counts as an attempt
            await self.settle(work, error)
            raise
        return await self.settle(work, outcome)
