"""The sweeper: runs the recovery commands of every workspace, again and again."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from repomesh.domains.workspaces.operations import workspace_ids
from repomesh.kernel.dispatch import Dispatcher
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.identity import Caller, RequestContext, system_caller
from repomesh.kernel.operation import Registry
from repomesh.store.base import Store
from repomesh.workers.periodic import Periodic

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


class Sweeper(Periodic):
    """Runs its commands in all workspaces, and at once when something freed what others wait for."""

    name = "sweeper"

    def __init__(
        self,
        registry: Registry,
        dispatch: Dispatcher,
        store: Store,
        every_s: float,
        sweeps: Sequence[str] = SWEEPS,
    ) -> None:
        super().__init__(every_s)
        self._registry = registry
        self._dispatch = dispatch
        self._store = store
        self._sweeps = sweeps

    async def run_once(self) -> None:
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
