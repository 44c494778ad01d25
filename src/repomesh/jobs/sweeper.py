"""The sweeper: runs the recovery commands, each in the workspaces in which it is due."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime

import structlog
from pydantic import BaseModel

from repomesh.adapters.bus.port import Bus
from repomesh.domains.meetings.models import DueMeetings
from repomesh.jobs.due_work import DueWork, Visit
from repomesh.jobs.periodic import Periodic
from repomesh.jobs.uptime import UptimeClock
from repomesh.kernel import limits
from repomesh.kernel.dispatch import Dispatcher
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.identity import Caller, RequestContext, system_caller
from repomesh.kernel.operation import PartialResult, Registry
from repomesh.store.base import Store

log = structlog.get_logger("repomesh.sweeper")

SWEEPS = (
    "workspace.close",
    "token.expire",
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
    "queue.detect_stalls",
)
"""Commands that are run in the workspaces in which they are due (`Operation.due`), there in this order."""

ONE_BY_ONE = {"meeting.settle": "meeting.due"}
"""Commands that run once for each meeting that a query returns, so that a failing one delays no other."""

CONSULTING_SWEEPS = ("meeting.propose",)
"""Commands that ask a language model, which may take a while: a sweeper of its own runs them."""

PLANNING_SWEEPS = ("request.split",)
"""Commands that read a whole repository, which takes seconds: a sweeper of its own runs them, too."""


class Sweeper(Periodic):
    """Runs its commands in the workspaces in which they are due, as soon as they are.

    A pass begins when the next known visit is due, at most `every_s` seconds after the last pass, and at once
    after `wake`. Several servers on one database may look at the same time: a command itself checks what is
    due, under the lock of its workspace, so that nothing is done twice; and each server takes workspaces at
    random, a few after each look, so that they share them.
    """

    name = "sweeper"

    def __init__(
        self,
        registry: Registry,
        dispatch: Dispatcher,
        store: Store,
        bus: Bus,
        every_s: float,
        sweeps: Sequence[str] = SWEEPS,
        uptime: UptimeClock | None = None,
    ) -> None:
        super().__init__(every_s)
        self._registry = registry
        self._dispatch = dispatch
        self._store = store
        self._sweeps = sweeps
        self._uptime = uptime
        self._due = DueWork([registry[name] for name in sweeps], store, every_s)
        self._next_at: datetime | None = None
        self._pending: set[Visit] = set()
        bus.subscribe(lambda _workspace_id, _seq: self._due.note_change())

    def wake(self) -> None:
        """Begin the next pass now."""
        self._due.note_change()
        super().wake()

    async def run_once(self) -> None:
        """Run one pass with every due query, also those with an interval of their own."""
        self._due.forget()
        await self._sweep()

    async def _pass(self) -> None:
        self._wake.clear()
        await self._sweep()

    def _pause_s(self) -> float:
        if self._next_at is None:
            return self._every_s
        remaining_s = (self._next_at - self._store.now()).total_seconds()
        return min(max(remaining_s, limits.SWEEP_PAUSE_S_MIN), self._every_s)

    async def _sweep(self) -> None:
        """Run all due visits; nothing while the database is damaged and only read.

        A command does a bounded piece in one transaction, so that others can write between two of them.
        Visits with more work come again in a later round.
        """
        if self._store.damage:
            return
        finished: set[Visit] = set()
        for _ in range(limits.SWEEP_ROUNDS_MAX):
            if self._uptime is not None:
                await self._uptime.tick()
            visits = await self._due.look()
            self._next_at = visits.next_at
            self._pending |= visits.from_throttled
            due = (visits.from_every_look | self._pending) - finished
            if not due:
                self._pending.clear()
                return
            workspace_ids = list({workspace_id for workspace_id, _ in due})
            random.shuffle(workspace_ids)
            chosen_ids = workspace_ids[: limits.SWEEP_AT_ONCE]
            finished_sets = await asyncio.gather(
                *(self._visit(workspace_id, due) for workspace_id in chosen_ids)
            )
            finished |= set().union(*finished_sets)
            self._pending -= finished

    async def _visit(self, workspace_id: str, due: set[Visit]) -> set[Visit]:
        """Run the commands that are due in a workspace, one after the other; returns the finished visits."""
        names = [name for name in self._sweeps if (workspace_id, name) in due]
        return {(workspace_id, name) for name in names if await self._run_piece(workspace_id, name)}

    async def _run_piece(self, workspace_id: str, name: str) -> bool:
        """Run one command, for one bounded piece of its work; returns whether nothing more is due."""
        caller = system_caller(workspace_id)
        if name not in ONE_BY_ONE:
            result = await self._run_one(name, caller)
            if isinstance(result, PartialResult) and not result.complete:
                self._pending.add((workspace_id, name))
                return False
            return True
        due_meetings = await self._run_one(ONE_BY_ONE[name], caller)
        for meeting_id in due_meetings.meeting_ids if isinstance(due_meetings, DueMeetings) else ():
            await self._run_one(name, caller, meeting_id=meeting_id)
        return True

    async def _run_one(self, name: str, caller: Caller, **fields: str) -> BaseModel | None:
        """Run one operation; returns its result, None when it failed."""
        operation = self._registry[name]
        try:
            request = operation.request(**fields)
            return (await self._dispatch(operation, caller, request, RequestContext())).result
        except RepomeshError as error:  # what fails in one workspace must not keep the others waiting
            log.warning("sweep failed, will be tried again", operation=name, code=error.code, **fields)
            return None
