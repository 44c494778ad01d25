"""The sweeper: runs the recovery commands of every workspace, again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog

from repomesh.domains.workspaces.operations import workspace_ids
from repomesh.kernel.dispatch import Dispatcher
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.identity import RequestContext, system_caller
from repomesh.kernel.operation import Registry
from repomesh.store.base import Store

log = structlog.get_logger("repomesh.sweeper")

SWEEPS = ("workspace.close", "agent.sweep", "lease.reclaim", "task.reclaim", "message.expire")
"""The internal commands of each pass, in this order: who is gone is known before what they held is freed."""


class Sweeper:
    """One pass over all workspaces every `every_s` seconds, and at once when told to."""

    def __init__(
        self,
        registry: Registry,
        dispatch: Dispatcher,
        store: Store,
        every_s: float,
        sweeps: Sequence[str] = SWEEPS,
    ) -> None:
        self._registry = registry
        self._dispatch = dispatch
        self._store = store
        self._every_s = every_s
        self._sweeps = sweeps
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin sweeping on the running loop."""
        self._task = asyncio.create_task(self._run(), name="sweeper")

    def wake(self) -> None:
        """Sweep now: something happened that frees what somebody held."""
        self._wake.set()

    async def stop(self) -> None:
        """Stop after the command that runs."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def sweep(self) -> None:
        """One pass over all workspaces."""
        for workspace_id in await self._store.read(system_caller(""), workspace_ids):
            caller = system_caller(workspace_id)
            for name in self._sweeps:
                operation = self._registry[name]
                await self._dispatch(operation, caller, operation.request(), RequestContext())

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self.sweep()
            except RepomeshError as error:
                log.warning("sweep failed, will be tried again", code=error.code, reason=error.message)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):  # wait_for may swallow stop()'s cancellation
                    await self._wake.wait()
