"""A background task that is started again when it fails, and reports its failures."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress

import structlog

from repomesh.kernel import limits

log = structlog.get_logger("repomesh.jobs")


class SupervisedWorker(ABC):
    """Does one pass of work after another, until it is stopped.

    A pass that fails is logged, whatever the error, and tried again after a pause that grows with each
    failure. A task that ends by itself is started again in the same way.
    """

    name: str
    """The worker's name in the log and in /readyz, and its task's name."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._restart: asyncio.TimerHandle | None = None
        self._failures = 0

    @abstractmethod
    async def _pass(self) -> object:
        """Do the work that is due now."""

    @abstractmethod
    async def _wait_for_next_pass(self) -> None:
        """Wait until the next pass is due."""

    def start(self) -> None:
        """Start the task on the running loop."""
        self._restart = None
        self._task = asyncio.create_task(self._run(), name=self.name)
        self._task.add_done_callback(self._restart_ended_task)

    async def stop(self) -> None:
        """Cancel the task; unfinished work waits for the next start."""
        if self._restart is not None:
            self._restart.cancel()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def failure(self) -> str | None:
        """A message about the worker's failures; None after a successful pass or while the first runs."""
        if not self._failures:
            return None
        times = "once" if self._failures == 1 else f"{self._failures} times in a row"
        return f"the background worker '{self.name}' failed {times}"

    async def _run(self) -> None:
        current = asyncio.current_task()
        while True:
            try:
                await self._pass()
            except asyncio.CancelledError as error:
                if current is None or current.cancelling():
                    raise
                await asyncio.sleep(self._record_failure(error))
            except Exception as error:
                await asyncio.sleep(self._record_failure(error))
            else:
                self._failures = 0
                await self._wait_for_next_pass()

    def _record_failure(self, error: BaseException | None) -> float:
        """Log and count a failure; returns the pause before the next attempt, in seconds."""
        pause_s = limits.WORKER_RETRIES_S[min(self._failures, len(limits.WORKER_RETRIES_S) - 1)]
        self._failures += 1
        log.warning(
            "a background worker failed, and will be tried again",
            worker=self.name,
            reason=repr(error),
            failures=self._failures,
            after_s=pause_s,
        )
        return pause_s

    def _restart_ended_task(self, task: asyncio.Task[None]) -> None:
        """Start the task again, unless it was stopped."""
        if task is not self._task:
            return
        error = None if task.cancelled() else task.exception()
        self._restart = asyncio.get_running_loop().call_later(self._record_failure(error), self.start)
