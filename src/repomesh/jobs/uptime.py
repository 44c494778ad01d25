"""Uptime: detects that the server was away, and extends all deadlines before anything else is done."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import structlog

from repomesh.domains.overview.liveness.server_downtime import give_grace
from repomesh.domains.workspaces import server_downtime
from repomesh.domains.workspaces.operations import workspace_ids
from repomesh.kernel import limits
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.identity import RequestContext, system_caller
from repomesh.kernel.ports import ServerWasDown
from repomesh.store.base import Store

log = structlog.get_logger("repomesh.uptime")
_SERVER = system_caller("")


class UptimeClock:
    """Detects absences of the server, by the store's clock.

    Every pass of the sweeper and every transaction of a caller counts as a sign that it is there. After a gap
    they are delayed until the deadlines of leases and agents were extended. The time is recorded in the
    database at intervals, for the next start and for other nodes.
    """

    def __init__(self, store: Store) -> None:
        settings = store.settings
        usual_s = min(limits.ABSENCE_S, settings.agent_inactive_after_s / 3)
        self._store = store
        self._gap = timedelta(seconds=max(usual_s, 2 * settings.sweep_every_s))
        self._mark_every = min(timedelta(seconds=limits.PRESENCE_NOTED_EVERY_S), self._gap / 2)
        self._last_seen_at: datetime | None = None
        self._marked_at: datetime | None = None
        self._extension_lock = asyncio.Lock()

    def check(self, tx: Any) -> None:
        """Note that a transaction runs; raises ServerWasDown when there was a gap before it.

        A damaged database is only read: its deadlines can't be extended, and nothing expires in it.
        """
        if self._store.damage:
            return
        if self._is_gap(tx.now):
            raise ServerWasDown
        self._note(tx.now)

    async def tick(self) -> None:
        """Note that the server is there, and record it in the database when that is due."""
        now = self._store.now()
        if self._is_gap(now):
            await self.extend_deadlines()
        self._note(now)
        if self._marked_at is None or now - self._marked_at >= self._mark_every:
            await self._mark()

    async def extend_deadlines(self) -> None:
        """Extend the deadlines of leases and agents by the server's absence, unless that is done."""
        async with self._extension_lock:
            last_seen_at = self._last_seen_at
            if not self._is_gap(self._store.now()):
                return
            recorded_at = await self._store.read(_SERVER, server_downtime.last_present)
            known_moments = [moment for moment in (recorded_at, last_seen_at) if moment is not None]
            # A server that starts on a store of its own was away before, if only for a moment.
            gap_min = timedelta() if last_seen_at is None and not self._store.shared else self._gap
            if known_moments and self._store.now() - max(known_moments) > gap_min:
                await self._give_grace(max(known_moments))
            await self._mark()

    async def stop(self) -> None:
        """Record until when the server was there, for the next start."""
        if self._last_seen_at is None:
            return
        try:
            await self._mark()
        except RepomeshError as error:  # the last mark is not old
            log.info("time of shutdown not recorded", code=error.code)

    def _is_gap(self, now: datetime) -> bool:
        return self._last_seen_at is None or now - self._last_seen_at > self._gap

    def _note(self, now: datetime) -> None:
        if self._last_seen_at is None or now > self._last_seen_at:
            self._last_seen_at = now

    async def _give_grace(self, left_at: datetime) -> None:
        for workspace_id in await self._store.read(_SERVER, workspace_ids):
            caller = system_caller(workspace_id)
            away_period = await self._store.write(
                caller, RequestContext(), lambda tx: give_grace(tx, left_at)
            )
            if away_period is not None:
                log.info(
                    "the server was away, so everybody has a full limit of grace",
                    workspace_id=workspace_id,
                    seconds=round(away_period.length.total_seconds(), 1),
                )

    async def _mark(self) -> None:
        now = await self._store.write(_SERVER, RequestContext(), server_downtime.mark_present)
        self._marked_at = now
        self._note(now)
