"""A bell: one coroutine waits for it, anybody on the loop rings it."""

from __future__ import annotations

import asyncio


class Bell:
    """Remembers that it rang until somebody has waited for it.

    Made for waiting hundreds of thousands of times: one future each time, and a timer that is set again only
    when it fires too early.
    """

    __slots__ = ("_deadline", "_rung", "_timer", "_waiter")

    def __init__(self) -> None:
        self._rung = False
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0

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
            self._wake_at(loop, loop.time() + timeout_s)
            try:
                await waiter
            except asyncio.CancelledError:
                self._stop_timer()  # nobody waits again
                raise
            finally:
                self._waiter = None
        rung, self._rung = self._rung, False
        return rung

    def _wake_at(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        if self._timer is not None and deadline < self._deadline:
            self._stop_timer()
        self._deadline = deadline
        if self._timer is None:
            self._timer = loop.call_at(deadline, self._fire, loop)

    def _fire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if loop.time() < self._deadline:
            self._timer = loop.call_at(self._deadline, self._fire, loop)
        else:
            self._waiter.set_result(None)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
