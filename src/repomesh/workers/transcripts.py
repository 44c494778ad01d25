"""Transcripts: looking through what a CLI wrote down for the boundaries of deliveries.

A CLI that names its transcript lets us know what its model was really given. The file is another program's
and may lie anywhere, so it is looked at with care: a regular file only, no more than its tail, in a thread.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

import structlog

from repomesh.domains.messaging.delivery.models import DeliveriesConfirmed, ListUndecided, UndecidedDelivery
from repomesh.domains.workspaces.operations import workspace_ids
from repomesh.kernel.clock import Clock
from repomesh.kernel.dispatch import Dispatcher
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.identity import Caller, RequestContext, system_caller
from repomesh.kernel.limits import TRANSCRIPT_TAIL_BYTES, TRANSCRIPTS_PER_PASS
from repomesh.kernel.operation import Registry
from repomesh.store.base import Store
from repomesh.workers.periodic import Periodic

log = structlog.get_logger("repomesh.transcripts")


class Transcripts(Periodic):
    """Confirms deliveries: behind each later hook of their session, and in passes for those that had none."""

    name = "transcripts"

    def __init__(
        self, registry: Registry, dispatch: Dispatcher, store: Store, every_s: float, clock: Clock
    ) -> None:
        super().__init__(every_s)
        self.clock = clock
        self._undecided = registry["delivery.undecided"]
        self._confirm = registry["delivery.confirm"]
        self._dispatch = dispatch
        self._store = store
        self._looks: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """Stop, and finish the looks under way."""
        await super().stop()
        await self.settled()

    def after_hook(self, workspace_id: str, cli: str, session_id: str, arrived: datetime) -> None:
        """A hook of a session came in: find out, behind its answer, which earlier deliveries arrived."""
        request = ListUndecided(cli=cli, session_id=session_id)
        task = asyncio.create_task(self._safely(workspace_id, request, arrived))
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)

    async def run_once(self) -> None:
        """One pass over all workspaces, for those deliveries whose transcript may show them by now."""
        for workspace_id in await self._store.read(system_caller(""), workspace_ids):
            await self._safely(workspace_id, ListUndecided(), None)

    async def settled(self) -> None:
        """Wait for the looks that hooks asked for."""
        while self._looks:
            await asyncio.gather(*self._looks, return_exceptions=True)

    async def _safely(self, workspace_id: str, request: ListUndecided, arrived: datetime | None) -> None:
        try:
            await self._look_at(workspace_id, request, arrived)
        except RepomeshError as error:  # nobody waits for it; the next pass tries again
            log.warning("deliveries not confirmed", code=error.code, reason=error.message)

    async def _look_at(self, workspace_id: str, request: ListUndecided, arrived: datetime | None) -> None:
        system = system_caller(workspace_id)
        answer = await self._dispatch(self._undecided, system, request, RequestContext())
        by_path: dict[str | None, list[UndecidedDelivery]] = {}
        for one in answer.result.items:  # type: ignore[attr-defined]
            by_path.setdefault(one.transcript_path, []).append(one)
        for path, some in list(by_path.items())[:TRANSCRIPTS_PER_PASS]:
            found = await asyncio.to_thread(boundaries_in, path, [one.boundary for one in some])
            if found is None and arrived is not None:  # there is no transcript to look at
                found = {one.boundary for one in some if one.sent_at is not None and one.sent_at < arrived}
            await self._confirmed(system, [one for one in some if one.boundary in (found or ())])

    async def _confirmed(self, system: Caller, some: Iterable[UndecidedDelivery]) -> None:
        by_agent: dict[tuple[str, str], list[str]] = {}
        for one in some:
            by_agent.setdefault((one.agent_id, one.agent_name), []).append(one.boundary)
        for (agent_id, name), boundaries in by_agent.items():
            agent = replace(system, agent_id=agent_id, agent_name=name)
            request = DeliveriesConfirmed(boundaries=tuple(boundaries))
            await self._dispatch(self._confirm, agent, request, RequestContext())


def boundaries_in(path: str | None, boundaries: Iterable[str]) -> set[str] | None:
    """Which boundaries stand in the tail of a transcript; None when there is none that can be read."""
    if not path:
        return None
    try:
        # Without O_NONBLOCK opening a pipe would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        tail = os.pread(descriptor, TRANSCRIPT_TAIL_BYTES, max(0, status.st_size - TRANSCRIPT_TAIL_BYTES))
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return {boundary for boundary in boundaries if boundary.encode() in tail}
