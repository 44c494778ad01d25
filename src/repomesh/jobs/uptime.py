"""Uptime: notices that the server was away, and gives everybody grace before anything else is done."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import structlog

from repomesh.domains.overview.absence import give_grace
from repomesh.domains.workspaces import absence
from repomesh.domains.workspaces.operations import workspace_ids
from repomesh.kernel import limits
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.identity import RequestContext, system_caller
from repomesh.kernel.ports import ServerAway
from repomesh.store.base import Store

log = structlog.get_logger("repomesh.uptime")
_SERVER = system_caller("")


class UptimeClock:
    """Whether the server was there all the time, by the store's clock.

    Every pass of the sweeper and every transaction of a caller shows that it is. One that comes later than
    it should is held up until everybody was given grace. Now and then the time is written down, so that the
    next start, or another node, knows.
    """

    def __init__(self, store: Store) -> None:
        settings = store.settings
        usual_s = min(limits.ABSENCE_S, settings.agent_inactive_after_s / 3)
        self._store = store
        self._gap = timedelta(seconds=max(usual_s, 2 * settings.sweep_every_s))
        self._mark_every = min(timedelta(seconds=limits.PRESENCE_NOTED_EVERY_S), self._gap / 2)
        self._seen: datetime | None = None
        self._marked: datetime | None = None
        self._returning = asyncio.Lock()

    def check(self, tx: Any) -> None:
        """Note that a transaction runs; raises ServerAway when there was a gap before it.

        A damaged database is only read, so nobody can be given grace in it, and nobody loses anything.
        """
        if self._store.damage:
            return
        if self._is_gap(tx.now):
            raise ServerAway
        self._note(tx.now)

    async def tick(self) -> None:
        """Note that the server is there, and write it down when that is due."""
        now = self._store.now()
        if self._is_gap(now):
            await self.extend_deadlines()
        self._note(now)
        if self._marked is None or now - self._marked >= self._mark_every:
            await self._mark()

    async def extend_deadlines(self) -> None:
        """Give everybody grace for the time that the server was away, unless that is done."""
        async with self._returning:
            seen = self._seen
            if not self._is_gap(self._store.now()):
                return
            written = await self._store.read(_SERVER, absence.last_present)
            known = [moment for moment in (written, seen) if moment is not None]
            # Whoever starts on a store of its own was away before, and be it for a moment.
            least = timedelta() if seen is None and not self._store.shared else self._gap
            if known and self._store.now() - max(known) > least:
                await self._give_grace(max(known))
            await self._mark()

    async def stop(self) -> None:
        """Write down until when the server was there, for the next start."""
        if self._seen is None:
            return
        try:
            await self._mark()
        except RepomeshError as error:  # the last mark is not old
            log.info("the end is not written down", code=error.code)

    def _is_gap(self, now: datetime) -> bool:
        return self._seen is None or now - self._seen > self._gap

    def _note(self, now: datetime) -> None:
        if self._seen is None or now > self._seen:
            self._seen = now

    async def _give_grace(self, left_at: datetime) -> None:
        for workspace_id in await self._store.read(_SERVER, workspace_ids):
            caller = system_caller(workspace_id)
            away = await self._store.write(caller, RequestContext(), lambda tx: give_grace(tx, left_at))
            if away is not None:
                log.info(
                    "the server was away, so everybody has a full limit of grace",
                    workspace_id=workspace_id,
                    seconds=round(away.length.total_seconds(), 1),
                )

    async def _mark(self) -> None:
        now = await self._store.write(_SERVER, RequestContext(), absence.mark_present)
        self._marked = now
        self._note(now)
