"""The port of the bus: it announces to every process that the log of a workspace has grown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

CommitListener = Callable[[str, int], None]
"""Called on the event loop with (workspace_id, seq): the log holds at least `seq` now."""


class Bus(Protocol):
    """Carries hints that may be lost. A lost hint costs latency only, since tails also poll the log."""

    def publish(self, workspace_id: str, seq: int) -> None:
        """Announce that the log of a workspace has grown to `seq`. May be called from any thread."""
        ...

    def subscribe(self, listener: CommitListener) -> None:
        """Register a callback for every hint, of this process and of others."""
        ...

    async def start(self) -> None:
        """Begin to carry hints on the running event loop."""
        ...

    async def stop(self) -> None:
        """Stop carrying hints."""
        ...
