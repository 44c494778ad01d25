"""Turns for work that many connections ask for at once.

An event loop runs all that is ready in each of its rounds. If a flood over hundreds of connections were
served in one round, every other client would wait for all of it.
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
        self._queue: deque[Callable[[], bool]] = deque()
        self._runs_left = at_once
        self._is_running = False
        self._next_turn: asyncio.Handle | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def schedule(self, work: Callable[[], bool]) -> None:
        """Run `work` now when this turn has room and the queue is empty, or else in a later turn, in order.

        `work` returns False when there was nothing to do, as for a connection that is closed; then it does
        not count. It may call `schedule` for its own next piece, which goes to the end of the queue.
        """
        self._queue.append(work)
        if not self._is_running:
            self._run_queue()

    def _run_queue(self) -> None:
        self._is_running = True
        try:
            while self._queue and self._runs_left:
                if self._queue.popleft()():
                    self._runs_left -= 1
        finally:
            self._is_running = False
        if self._next_turn is None and self._runs_left < self._at_once:
            self._next_turn = asyncio.get_running_loop().call_later(self._pause_s, self._begin_turn)

    def _begin_turn(self) -> None:
        self._next_turn = None
        self._runs_left = self._at_once
        self._run_queue()
