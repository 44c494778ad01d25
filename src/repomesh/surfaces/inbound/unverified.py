"""A bound on what is held of signed bodies, whose signatures can't be checked before they are complete."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from repomesh.kernel import limits
from repomesh.kernel.errors import Unavailable


class TooMuchUnverified(Unavailable):
    """Signed webhooks are under way whose signatures can't be checked before their bodies are complete."""

    code = "too_much_unverified"
    hint = "Retry in a moment; a delivery with an API key in 'Authorization' is not held up."


class Unverified:
    """The bytes of signed bodies that this process holds before it can check their signatures."""

    def __init__(self) -> None:
        self.held_bytes = 0

    @contextmanager
    def share(self) -> Iterator[UnverifiedShare]:
        """One body's share, given back at the end."""
        share = UnverifiedShare(self)
        try:
            yield share
        finally:
            self.held_bytes -= share.held_bytes


class UnverifiedShare:
    """What one body takes of it."""

    def __init__(self, of: Unverified) -> None:
        self.held_bytes = 0
        self._of = of

    def count(self, size: int) -> None:
        """Take `size` bytes more; raises TooMuchUnverified when that is more than all together may hold."""
        if self._of.held_bytes + size > limits.UNVERIFIED_BODY_BYTES_MAX:
            raise TooMuchUnverified(
                f"unverified webhooks hold {self._of.held_bytes} bytes,"
                f" the limit is {limits.UNVERIFIED_BODY_BYTES_MAX}"
            )
        self._of.held_bytes += size
        self.held_bytes += size
