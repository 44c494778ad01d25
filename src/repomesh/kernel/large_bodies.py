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
    """The large bodies that this server keeps or receives leave no room for one more."""

    code = "too_many_large_bodies"
    hint = "Wait for the seconds in Retry-After, then send it again: the bodies before it are done by then."


class LargeBodies:
    """Counts the bytes of large bodies that this process holds, and lets one of them be worked on at once."""

    def __init__(self) -> None:
        self.held_bytes = 0
        self._turn = asyncio.Lock()

    @contextmanager
    def share(self) -> Iterator[LargeBodyShare]:
        """Yield the share of one body; its bytes are released at the end."""
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
        turn_lock = _ReleaseOnce(self._turn)
        timer = asyncio.get_running_loop().call_later(limits.LARGE_BODY_TURN_S, turn_lock.release)
        try:
            yield
        finally:
            timer.cancel()
            try:
                if size > limits.MEMORY_RETURNED_BYTES_MIN:
                    await asyncio.to_thread(return_memory)
            finally:
                turn_lock.release()


class _ReleaseOnce:
    """Releases an acquired lock at most once."""

    def __init__(self, lock: asyncio.Lock) -> None:
        self._lock: asyncio.Lock | None = lock

    def release(self) -> None:
        """Release it, unless that was done."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()


class LargeBodyShare:
    """The bytes that one body counts for in LargeBodies; none while it is small."""

    def __init__(self, bodies: LargeBodies) -> None:
        self.held_bytes = 0
        self._size = 0
        self._bodies = bodies

    def count(self, size: int) -> None:
        """Add `size` bytes; raises TooManyLargeBodies when all bodies together would be too large."""
        self._size += size
        if self._size <= limits.LARGE_BODY_BYTES_MIN:
            return
        added_bytes = self._size - self.held_bytes
        if self._bodies.held_bytes + added_bytes > limits.LARGE_BODIES_BYTES_MAX:
            raise TooManyLargeBodies(
                f"large bodies hold {self._bodies.held_bytes} bytes, "
                f"the limit is {limits.LARGE_BODIES_BYTES_MAX}"
            )
        self._bodies.held_bytes += added_bytes
        self.held_bytes = self._size
