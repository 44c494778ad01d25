"""A bound on the large bodies that a process holds, and on how many are worked on at once.

A body of 10 MB becomes several times as much while it is parsed, checked and taken apart into words. Several
at once would take most of the interpreter's time and a gigabyte.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from repomesh.kernel import limits
from repomesh.kernel.errors import Unavailable
from repomesh.kernel.process_memory import return_memory


class TooManyLargeBodies(Unavailable):
    """The large bodies that this server holds or receives leave no room for one more."""

    code = "too_many_large_bodies"
    hint = "Wait for the seconds in Retry-After, then send it again: the bodies before it are done by then."


class LargeBodies:
    """The bytes of large bodies that this process holds, and the turn to work on one of them."""

    def __init__(self) -> None:
        self.held_bytes = 0
        self._turn = asyncio.Lock()

    @contextmanager
    def share(self) -> Iterator[LargeBodyShare]:
        """One body's share, given back at the end."""
        share = LargeBodyShare(self)
        try:
            yield share
        finally:
            self.held_bytes -= share.held_bytes

    @asynccontextmanager
    async def turn(self, size: int) -> AsyncIterator[None]:
        """Work on a body of `size` bytes; large ones one after another, in the order in which they came.

        Work that takes longer than LARGE_BODY_TURN_S, such as a wait, no longer holds up the next.
        """
        if size <= limits.LARGE_BODY_BYTES_MIN:
            yield
            return
        await self._turn.acquire()
        over = _Once(self._turn)
        timer = asyncio.get_running_loop().call_later(limits.LARGE_BODY_TURN_S, over.release)
        try:
            yield
        finally:
            timer.cancel()
            try:
                if size > limits.MEMORY_RETURNED_BYTES_MIN:
                    await asyncio.to_thread(return_memory)
            finally:
                over.release()


class _Once:
    """A lock that is held, and released once."""

    def __init__(self, lock: asyncio.Lock) -> None:
        self._lock: asyncio.Lock | None = lock

    def release(self) -> None:
        """Release it, unless that was done."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()


class LargeBodyShare:
    """What one body takes of the room for large ones; nothing while it is small."""

    def __init__(self, of: LargeBodies) -> None:
        self.held_bytes = 0
        self._size = 0
        self._of = of

    def count(self, size: int) -> None:
        """Note `size` bytes more; raises TooManyLargeBodies when all together would hold too much."""
        self._size += size
        if self._size <= limits.LARGE_BODY_BYTES_MIN:
            return
        more = self._size - self.held_bytes
        if self._of.held_bytes + more > limits.LARGE_BODIES_BYTES_MAX:
            raise TooManyLargeBodies(
                f"large bodies hold {self._of.held_bytes} bytes, the limit is {limits.LARGE_BODIES_BYTES_MAX}"
            )
        self._of.held_bytes += more
        self.held_bytes = self._size
