"""The sweeper: runs the recovery commands of every workspace, again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog

from repomesh.domains.workspaces.operations import workspace_ids
from repomesh.kernel.dispatch import Dispatcher
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.identity import Caller, RequestContext, system_caller
from repomesh.kernel.operation import Registry
from repomesh.store.base import Store

log = structlog.get_logger("repomesh.sweeper")

SWEEPS = (
    "workspace.close",
    "recovery.reconcile",
    "cli_session.sweep",
    "delivery.forget",
    "message.expire",
    "question.settle",
    "meeting.settle",
    "wait.forget",
    "idempotency.forget",
    "session.erase",
    "webhook.forget",
)
"""The commands of each pass, in this order."""

CONSULTING_SWEEPS = ("meeting.propose",)
"""Those that ask a language model, which may take a while: in passes of their own."""


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
                await self._run_one(name, caller)

    async def _run_one(self, name: str, caller: Caller) -> None:
        operation = self._registry[name]
        try:
            await self._dispatch(operation, caller, operation.request(), RequestContext())
        except RepomeshError as error:  # what fails in one workspace must not keep the others waiting
            log.warning("sweep failed, will be tried again", operation=name, code=error.code)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self.sweep()
            except Exception as error:  # the store may fail in ways of its own; recovery must go on
                log.warning("no sweep, will be tried again", reason=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):  # wait_for may swallow stop()'s cancellation
                    await self._wake.wait()
