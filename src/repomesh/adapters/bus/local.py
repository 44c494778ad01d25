"""The bus inside one process."""

from __future__ import annotations

import asyncio
import threading

import structlog

from repomesh.adapters.bus.port import CommitListener

log = structlog.get_logger("repomesh.bus")


class LocalBus:
    """Passes hints from the committing threads to the event loop, many commits in one call."""

    def __init__(self) -> None:
        self._listeners: list[CommitListener] = []
        self._pending: dict[str, int] = {}
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def publish(self, workspace_id: str, seq: int) -> None:
        """Remember the highest number and wake the loop once, however many commits come before it runs."""
        loop = self._loop
        if loop is None:
            return
        with self._lock:
            was_idle = not self._pending
            self._pending[workspace_id] = max(seq, self._pending.get(workspace_id, 0))
        if was_idle:
            loop.call_soon_threadsafe(self._deliver)

    def subscribe(self, listener: CommitListener) -> None:
        """Register a callback for every hint."""
        self._listeners.append(listener)

    async def start(self) -> None:
        """Deliver on the running loop from now on."""
        with self._lock:
            self._pending.clear()  # of a loop before this one, which will never deliver it
        self._loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        """Deliver nothing any more."""
        self._loop = None

    def _deliver(self) -> None:
        with self._lock:
            pending, self._pending = self._pending, {}
        for workspace_id, seq in pending.items():
            for listener in self._listeners:
                try:
                    listener(workspace_id, seq)
                except Exception:  # a hint is lost, which costs latency; the other listeners get theirs
                    log.exception("a listener failed", workspace_id=workspace_id)
