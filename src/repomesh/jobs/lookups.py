"""Looks at files that callers name: in a few threads of their own, each look-up with a time limit.

A path may lead to a mount that does not answer, and a thread that waits in the kernel can't be stopped. So
these threads are daemons, which never keep the process from ending, and more are started while some are
stuck, up to a bound; a caller whose look-up takes too long gets LookupFailed. No other work runs in them.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from repomesh.kernel.errors import Unavailable
from repomesh.kernel.limits import LOOKUP_S, LOOKUP_THREADS_MAX, LOOKUPS_WAITING_MAX

T = TypeVar("T")


class LookupFailed(Unavailable):
    """A file could not be looked at in time."""

    code = "lookup_failed"
    hint = "A disk or network mount does not answer. 'mount' lists the mounts of the named paths."


class FileLookups:
    """A pool for look-ups on the file system. `limit_s` is the time of one, waiting for a thread included."""

    def __init__(self, name: str, limit_s: float = LOOKUP_S) -> None:
        self._name = name
        self._limit_s = limit_s
        self._changed = threading.Condition()
        self._queue: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._threads = self._idle = 0

    async def run(self, look: Callable[[], T]) -> T:
        """Return what `look` returns. Raises LookupFailed when that takes too long, or too many wait."""
        future: Future[T] = Future()
        with self._changed:
            self._queue = deque(entry for entry in self._queue if not entry[0].cancelled())
            if len(self._queue) >= LOOKUPS_WAITING_MAX:
                raise LookupFailed(f"more than {LOOKUPS_WAITING_MAX} look-ups wait for a disk")
            self._queue.append((future, look))
            if self._idle < len(self._queue) and self._threads < LOOKUP_THREADS_MAX:
                self._threads += 1
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
            self._changed.notify()
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._limit_s)
        except TimeoutError:
            raise LookupFailed(f"a look at a file took longer than {self._limit_s:g} s") from None

    def _work(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                while not self._queue:
                    self._changed.wait()
                future, look = self._queue.popleft()
                self._idle -= 1
            if not future.set_running_or_notify_cancel():
                continue  # the caller has given up
            try:
                future.set_result(look())
            except BaseException as error:  # whatever it is, it belongs to the caller
                future.set_exception(error)
