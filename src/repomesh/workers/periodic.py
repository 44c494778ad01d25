"""What most workers are: one pass after the other, until they are stopped."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress

import structlog

log = structlog.get_logger("repomesh.workers")


class Periodic(ABC):
    """A pass every `every_s` seconds, and at once when told to.

    A pass that fails is told in the log, whatever it was: the store may fail in ways of its own, and the next
    pass may not.
    """

    name: str
    """In the log, and of the task."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    async def run_once(self) -> object:
        """One pass over all workspaces."""

    def start(self) -> None:
        """Begin on the running loop."""
        self._task = asyncio.create_task(self._run(), name=self.name)

    def wake(self) -> None:
        """Begin the next pass now."""
        self._wake.set()

    async def stop(self) -> None:
        """Stop where it is: what was not done waits for the next start."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self.run_once()
            except Exception as error:
                log.warning("a pass failed, and will be tried again", worker=self.name, reason=repr(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):  # wait_for may swallow stop()'s cancellation
                    await self._wake.wait()
