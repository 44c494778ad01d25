"""Transcripts: searches the transcripts of CLIs for the boundaries of deliveries, to confirm them.

A transcript shows what the model was really given. The file is another program's and may lie anywhere, so it
is read with care: a regular file only, no more than its tail, in a thread.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import structlog

from repomesh.domains.messaging.delivery.models import DeliveriesConfirmed, ListUndecided, UndecidedDelivery
from repomesh.jobs.due_work import DueWork
from repomesh.jobs.job import Job
from repomesh.jobs.lookups import FileLookups, LookupFailed
from repomesh.kernel.dispatch import Dispatcher
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.identity import Caller, RequestContext, system_caller
from repomesh.kernel.job_policy import JobPolicy
from repomesh.kernel.limits import (
    TRANSCRIPT_LOOKUP_S,
    TRANSCRIPT_TAIL_BYTES,
    TRANSCRIPTS_AT_ONCE,
    TRANSCRIPTS_PER_PASS,
)
from repomesh.kernel.operation import Registry
from repomesh.store.base import Store

log = structlog.get_logger("repomesh.transcripts")
_POLICY = JobPolicy(concurrency=TRANSCRIPTS_AT_ONCE, limit_s=(TRANSCRIPTS_PER_PASS + 1) * TRANSCRIPT_LOOKUP_S)


@dataclass(frozen=True, slots=True)
class _UndecidedDeliveries:
    """Deliveries of a workspace to look for, by the path of their transcript.

    `arrived` is when the hook came in after which to look; None for a look of a regular pass.
    """

    workspace_id: str
    by_path: dict[str | None, list[UndecidedDelivery]]
    arrived: datetime | None


Shown = list[UndecidedDelivery]
"""Deliveries that are known to have reached the model."""


class Transcripts(Job[str, _UndecidedDeliveries, Shown]):
    """Confirms deliveries: after each later hook of their session, and in regular passes."""

    name = "transcripts"

    def __init__(self, registry: Registry, dispatch: Dispatcher, store: Store, every_s: float) -> None:
        super().__init__(_POLICY, every_s)
        self._undecided = registry["delivery.undecided"]
        self._confirm = registry["delivery.confirm"]
        self._dispatch = dispatch
        self._due = DueWork([self._undecided], store, every_s)
        self._lookups = FileLookups("repomesh-transcripts", TRANSCRIPT_LOOKUP_S)
        self._hook_tasks: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """Stop, and finish the confirmations under way."""
        await super().stop()
        await self.settled()

    def after_hook(self, workspace_id: str, cli: str, session_id: str, arrived: datetime) -> None:
        """Start confirming, in the background, the deliveries before a hook of a session."""
        request = ListUndecided(cli=cli, session_id=session_id)
        task = asyncio.create_task(self._confirm_after_hook(workspace_id, request, arrived))
        self._hook_tasks.add(task)
        task.add_done_callback(self._hook_tasks.discard)

    async def settled(self) -> None:
        """Wait for the confirmations that `after_hook` started."""
        while self._hook_tasks:
            await asyncio.gather(*self._hook_tasks, return_exceptions=True)

    async def due(self) -> list[str]:
        """The ids of workspaces with deliveries that are not decided yet."""
        return sorted(workspace_id for workspace_id, _ in (await self._due.look()).from_every_look)

    def key(self, due: str) -> str:
        """The workspace's id."""
        return due

    async def take(self, due: str) -> _UndecidedDeliveries | None:
        """List undecided deliveries. It claims nothing: a second confirmation changes nothing."""
        return await self._list_undecided(due, ListUndecided(), None)

    async def effect(self, undecided: _UndecidedDeliveries) -> Shown:
        """Look for the boundaries of deliveries in their transcripts."""
        confirmed: Shown = []
        for path, deliveries in list(undecided.by_path.items())[:TRANSCRIPTS_PER_PASS]:
            boundaries = [delivery.boundary for delivery in deliveries]
            try:
                found_boundaries = await self._lookups.run(partial(boundaries_in, path, boundaries))
            except LookupFailed as error:  # the next pass looks again
                log.warning("transcript not looked at", path=path, reason=error.message)
                continue
            arrived = undecided.arrived
            if found_boundaries is None and arrived is not None:  # there is no transcript to look at
                found_boundaries = {
                    delivery.boundary
                    for delivery in deliveries
                    if delivery.sent_at is not None and delivery.sent_at < arrived
                }
            confirmed += [
                delivery for delivery in deliveries if delivery.boundary in (found_boundaries or ())
            ]
        return confirmed

    async def settle(self, undecided: _UndecidedDeliveries, outcome: Shown | BaseException) -> bool:
        """Confirm the deliveries that were found; the next pass looks for the others."""
        if not isinstance(outcome, BaseException):
            await self._confirm_deliveries(system_caller(undecided.workspace_id), outcome)
        return False

    async def _confirm_after_hook(self, workspace_id: str, request: ListUndecided, arrived: datetime) -> None:
        try:
            undecided = await self._list_undecided(workspace_id, request, arrived)
            if undecided is not None:
                await self.settle(undecided, await self.effect(undecided))
        except RepomeshError as error:  # the next pass tries again
            log.warning("deliveries not confirmed", code=error.code, reason=error.message)
        except Exception:  # nobody awaits the task, so the error would be lost
            log.exception("deliveries not confirmed", workspace_id=workspace_id)

    async def _list_undecided(
        self, workspace_id: str, request: ListUndecided, arrived: datetime | None
    ) -> _UndecidedDeliveries | None:
        system = system_caller(workspace_id)
        answer = await self._dispatch(self._undecided, system, request, RequestContext())
        by_path: dict[str | None, list[UndecidedDelivery]] = {}
        for delivery in answer.result.items:  # type: ignore[attr-defined]
            by_path.setdefault(delivery.transcript_path, []).append(delivery)
        return _UndecidedDeliveries(workspace_id, by_path, arrived) if by_path else None

    async def _confirm_deliveries(self, system: Caller, deliveries: Iterable[UndecidedDelivery]) -> None:
        by_agent: dict[tuple[str, str], list[str]] = {}
        for delivery in deliveries:
            by_agent.setdefault((delivery.agent_id, delivery.agent_name), []).append(delivery.boundary)
        for (agent_id, name), boundaries in by_agent.items():
            agent = replace(system, agent_id=agent_id, agent_name=name)
            request = DeliveriesConfirmed(boundaries=tuple(boundaries))
            try:
                await self._dispatch(self._confirm, agent, request, RequestContext())
            except RepomeshError as error:  # dispatch raises nothing else; the other agents' are confirmed
                log.warning("deliveries not confirmed", agent_id=agent_id, code=error.code)


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
