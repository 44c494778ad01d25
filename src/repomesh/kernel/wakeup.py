"""A wake-up: one coroutine waits for it, and anything on its event loop sets it."""

from __future__ import annotations

import asyncio


class Wakeup:
    """Stays set until a coroutine has waited for it.

    Made for waiting hundreds of thousands of times: one future each time, and a timer that is set again only
    when it fires too early.
    """

    __slots__ = ("_deadline", "_is_set", "_timer", "_waiter")

    def __init__(self) -> None:
        self._is_set = False
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0

    def set(self) -> None:
        """Wake the coroutine that waits, or let the next wait return at once."""
        self._is_set = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def clear(self) -> None:
        """Forget that it was set."""
        self._is_set = False

    async def wait(self, timeout_s: float) -> bool:
        """Whether it was set since the last call, or is within `timeout_s`. For one coroutine at a time."""
        if not self._is_set and timeout_s > 0:
            loop = asyncio.get_running_loop()
            waiter = self._waiter = loop.create_future()
            self._wake_at(loop, loop.time() + timeout_s)
            try:
                await waiter
            except asyncio.CancelledError:
                self._stop_timer()  # no coroutine waits again
                raise
            finally:
                self._waiter = None
        was_set, self._is_set = self._is_set, False
        return was_set

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
