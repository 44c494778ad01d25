"""What dispatch needs from the floors below it, as protocols that they fulfil."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from repomesh.kernel.identity import Caller, RequestContext
from repomesh.kernel.settings import Settings

T = TypeVar("T")


class Store(Protocol):
    """Runs work in transactions and answers when its effects are durable."""

    settings: Settings

    async def write(self, caller: Caller, context: RequestContext, work: Callable[[Any], T]) -> T:
        """Run `work` in a writing transaction of the caller's workspace; answer after the commit."""
        ...

    async def read(self, caller: Caller, work: Callable[[Any], T]) -> T:
        """Run `work` on a consistent, read-only view."""
        ...


class Signal(Protocol):
    """One listener's alarm."""

    async def wait(self, timeout_s: float) -> bool:
        """Return True as soon as something happened since the last call, False when time is up."""
        ...


class Signals(Protocol):
    """Tells listeners of new events that they may see."""

    def listen(self, caller: Caller, types: frozenset[str]) -> AbstractAsyncContextManager[Signal]:
        """Listen for events of `types` that `caller` may see, from the moment of entering."""
        ...
