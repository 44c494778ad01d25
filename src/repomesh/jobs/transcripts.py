"""Transcripts: looking through what a CLI wrote down for the boundaries of deliveries.

A CLI that names its transcript lets us know what its model was really given. The file is another program's
and may lie anywhere, so it is looked at with care: a regular file only, no more than its tail, in a thread.
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
class _Undecided:
    """Deliveries of a workspace to look for, by the path of their transcript.

    `arrived` is when the hook came behind which to look; None for a look that nobody asked for.
    """

    workspace_id: str
    by_path: dict[str | None, list[UndecidedDelivery]]
    arrived: datetime | None


Shown = list[UndecidedDelivery]
"""Deliveries that are known to be before the model."""


class Transcripts(Job[str, _Undecided, Shown]):
    """Confirms deliveries: behind each later hook of their session, and in passes for those that had none."""

    name = "transcripts"

    def __init__(self, registry: Registry, dispatch: Dispatcher, store: Store, every_s: float) -> None:
        super().__init__(_POLICY, every_s)
        self._undecided = registry["delivery.undecided"]
        self._confirm = registry["delivery.confirm"]
        self._dispatch = dispatch
        self._due = DueWork([self._undecided], store, every_s)
        self._lookups = FileLookups("repomesh-transcripts", TRANSCRIPT_LOOKUP_S)
        self._looks: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """Stop, and finish the looks under way."""
        await super().stop()
        await self.settled()

    def after_hook(self, workspace_id: str, cli: str, session_id: str, arrived: datetime) -> None:
        """A hook of a session came in: find out, behind its answer, which earlier deliveries arrived."""
        request = ListUndecided(cli=cli, session_id=session_id)
        task = asyncio.create_task(self._look_behind(workspace_id, request, arrived))
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)

    async def settled(self) -> None:
        """Wait for the looks that hooks asked for."""
        while self._looks:
            await asyncio.gather(*self._looks, return_exceptions=True)

    async def due(self) -> list[str]:
        """The workspaces with deliveries whose transcript may show them by now."""
        return sorted(workspace_id for workspace_id, _ in (await self._due.look()).found_again)

    def key(self, due: str) -> str:
        """A workspace."""
        return due

    async def take(self, due: str) -> _Undecided | None:
        """List undecided deliveries. It leases nothing: who looks a second time confirms nothing more."""
        return await self._listed(due, ListUndecided(), None)

    async def effect(self, taken: _Undecided) -> Shown:
        """Look for the boundaries of deliveries in their transcripts."""
        shown: Shown = []
        for path, some in list(taken.by_path.items())[:TRANSCRIPTS_PER_PASS]:
            sought = [one.boundary for one in some]
            try:
                found = await self._lookups.run(partial(boundaries_in, path, sought))
            except LookupFailed as error:  # the next pass looks again
                log.warning("transcript not looked at", path=path, reason=error.message)
                continue
            arrived = taken.arrived
            if found is None and arrived is not None:  # there is no transcript to look at
                found = {one.boundary for one in some if one.sent_at is not None and one.sent_at < arrived}
            shown += [one for one in some if one.boundary in (found or ())]
        return shown

    async def settle(self, taken: _Undecided, outcome: Shown | BaseException) -> bool:
        """Confirm what was found; the rest is looked for by the next pass."""
        if not isinstance(outcome, BaseException):
            await self._confirmed(system_caller(taken.workspace_id), outcome)
        return False

    async def _look_behind(self, workspace_id: str, request: ListUndecided, arrived: datetime) -> None:
        try:
            listed = await self._listed(workspace_id, request, arrived)
            if listed is not None:
                await self.settle(listed, await self.effect(listed))
        except RepomeshError as error:  # nobody waits for it; the next pass tries again
            log.warning("deliveries not confirmed", code=error.code, reason=error.message)
        except Exception:  # nobody would hear of it otherwise
            log.exception("deliveries not confirmed", workspace_id=workspace_id)

    async def _listed(
        self, workspace_id: str, request: ListUndecided, arrived: datetime | None
    ) -> _Undecided | None:
        system = system_caller(workspace_id)
        answer = await self._dispatch(self._undecided, system, request, RequestContext())
        by_path: dict[str | None, list[UndecidedDelivery]] = {}
        for one in answer.result.items:  # type: ignore[attr-defined]
            by_path.setdefault(one.transcript_path, []).append(one)
        return _Undecided(workspace_id, by_path, arrived) if by_path else None

    async def _confirmed(self, system: Caller, some: Iterable[UndecidedDelivery]) -> None:
        by_agent: dict[tuple[str, str], list[str]] = {}
        for one in some:
            by_agent.setdefault((one.agent_id, one.agent_name), []).append(one.boundary)
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
