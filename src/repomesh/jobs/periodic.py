"""The base of most workers: one pass after the other, at intervals, until they are stopped."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from contextlib import suppress

from repomesh.jobs.supervised import SupervisedWorker


class Periodic(SupervisedWorker):
    """Runs a pass every `every_s` seconds, and at once after `wake`."""

    def __init__(self, every_s: float) -> None:
        super().__init__()
        self._every_s = every_s
        self._wake = asyncio.Event()

    @abstractmethod
    async def run_once(self) -> object:
        """One pass over all workspaces."""

    def wake(self) -> None:
        """Begin the next pass now."""
        self._wake.set()

    async def _pass(self) -> object:
        self._wake.clear()
        return await self.run_once()

    def _pause_s(self) -> float:
        """Seconds to wait before the next pass, unless `wake` is called."""
        return self._every_s

    async def _wait_for_next_pass(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pause_s()):  # wait_for may swallow stop()'s cancellation
                await self._wake.wait()
