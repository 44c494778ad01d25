"""The bus inside one process."""

from __future__ import annotations

import asyncio
import threading

from repomesh.bus.port import Listener


class LocalBus:
    """Hands hints from the committing threads to the event loop, many commits in one call."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._pending: dict[str, int] = {}
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def publish(self, workspace_id: str, seq: int) -> None:
        """Remember the highest number and wake the loop once, however many commits come before it runs."""
        loop = self._loop
        if loop is None:
            return
        with self._lock:
            idle = not self._pending
            self._pending[workspace_id] = max(seq, self._pending.get(workspace_id, 0))
        if idle:
            loop.call_soon_threadsafe(self._deliver)

    def subscribe(self, listener: Listener) -> None:
        """Have `listener` called for every hint."""
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
                listener(workspace_id, seq)
