"""Limits the memory for signed bodies, whose signatures can't be checked before they are complete."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from repomesh.kernel import limits
from repomesh.kernel.errors import Unavailable


class TooMuchUnverified(Unavailable):
    """Signed webhooks are in progress whose signatures can't be checked before their bodies are complete."""

    code = "too_much_unverified"
    hint = "Retry in a moment; a delivery with an API key in 'Authorization' is not held up."


class UnverifiedBodies:
    """Counts the bytes of signed bodies in memory whose signatures are not checked yet."""

    def __init__(self) -> None:
        self.held_bytes = 0

    @contextmanager
    def share(self) -> Iterator[UnverifiedShare]:
        """Give one body a share inside the block, and release it at the end."""
        share = UnverifiedShare(self)
        try:
            yield share
        finally:
            self.held_bytes -= share.held_bytes


class UnverifiedShare:
    """The bytes of one body."""

    def __init__(self, total: UnverifiedBodies) -> None:
        self.held_bytes = 0
        self._total = total

    def count(self, size: int) -> None:
        """Count `size` more bytes; raises TooMuchUnverified when all bodies exceed the limit."""
        if self._total.held_bytes + size > limits.UNVERIFIED_BODY_BYTES_MAX:
            raise TooMuchUnverified(
                f"unverified webhooks hold {self._total.held_bytes} bytes,"
                f" the limit is {limits.UNVERIFIED_BODY_BYTES_MAX}"
            )
        self._total.held_bytes += size
        self.held_bytes += size
