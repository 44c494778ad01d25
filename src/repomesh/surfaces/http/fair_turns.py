"""Turns for work that many connections ask for at once.

An event loop does all that is ready in each of its rounds. A flood comes over hundreds of connections; if
each of them were served in the same round, every other client would wait for all of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class FairTurns:
    """Runs at most `at_once` pieces of work, then lets other clients be served for `pause_s` seconds."""

    def __init__(self, at_once: int, pause_s: float) -> None:
        self._at_once = at_once
        self._pause_s = pause_s
        self._waiting: deque[Callable[[], bool]] = deque()
        self._left = at_once
        self._is_running = False
        self._next_turn: asyncio.Handle | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def wait(self, work: Callable[[], bool]) -> None:
        """Run `work` now when this turn has room and nothing waits, or else in a later turn, in order.

        `work` returns False when there was nothing to do, as for a connection that is closed; then it does
        not count. It may call `wait` for its own next piece, which goes behind all that waits by then.
        """
        self._waiting.append(work)
        if not self._is_running:
            self._run_waiting()

    def _run_waiting(self) -> None:
        self._is_running = True
        try:
            while self._waiting and self._left:
                if self._waiting.popleft()():
                    self._left -= 1
        finally:
            self._is_running = False
        if self._next_turn is None and self._left < self._at_once:
            self._next_turn = asyncio.get_running_loop().call_later(self._pause_s, self._begin_turn)

    def _begin_turn(self) -> None:
        self._next_turn = None
        self._left = self._at_once
        self._run_waiting()
