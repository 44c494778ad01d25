"""A bell: one coroutine waits for it, anybody on the loop rings it."""

from __future__ import annotations

import asyncio


class Bell:
    """Remembers that it rang until somebody has waited for it.

    Made for waiting hundreds of thousands of times: no task and no lock, one future and one timer.
    """

    __slots__ = ("_rung", "_waiter")

    def __init__(self) -> None:
        self._rung = False
        self._waiter: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """Wake who waits, or let the next wait return at once."""
        self._rung = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def hush(self) -> None:
        """Forget that it rang."""
        self._rung = False

    async def wait(self, timeout_s: float) -> bool:
        """Whether it rang since the last call, or does within `timeout_s`. For one waiter at a time."""
        if not self._rung and timeout_s > 0:
            loop = asyncio.get_running_loop()
            waiter = self._waiter = loop.create_future()
            timer = loop.call_later(timeout_s, _give_up, waiter)
            try:
                await waiter
            finally:
                timer.cancel()
                self._waiter = None
        rung, self._rung = self._rung, False
        return rung


def _give_up(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
