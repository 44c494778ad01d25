"""Protocols that the layers below implement for the kernel and the domains."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from repomesh.kernel.identity import Caller, RequestContext
from repomesh.kernel.settings import Settings

T = TypeVar("T")


class ServerWasDown(Exception):
    """The server was away, and the deadlines of leases and agents were not extended for it yet."""


class AbsenceClock(Protocol):
    """Detects absences of the server: it was stopped, or its machine asleep."""

    def check(self, tx: Any) -> None:
        """Raise ServerWasDown when the server was away before this transaction began."""
        ...

    async def extend_deadlines(self) -> None:
        """Extend the deadlines of leases and agents for the absence."""
        ...


class Contents(Protocol):
    """Keeps large contents, each once, under the SHA-256 of its bytes in 64 hexadecimal digits.

    A content is kept before the transaction that names it, and swept when no row names it any more. Every
    method blocks; none but `read` may be called inside a transaction.
    """

    def keep(self, sha256: str, content: bytes) -> None:
        """Make a content durable under its digest; one that is there whole is only marked as used now.

        Raises Unavailable when it can't be written.
        """
        ...

    def read(self, tx: Any, sha256: str) -> bytes:
        """Read a content in a transaction. Raises DamagedRecord when it is gone or was changed."""
        ...

    def old(self, age_s: float, count_max: int, after: str = "") -> list[str]:
        """List up to `count_max` digests behind `after`, in order, that nothing kept within `age_s`."""
        ...

    def remove(self, sha256: str, age_s: float) -> bool:
        """Remove a content unless it was kept within `age_s` seconds; answers whether it was removed.

        Raises Unavailable when it can't be removed.
        """
        ...

    def drop_unfinished(self, age_s: float) -> None:
        """Remove what a writer that died more than `age_s` seconds ago left half written."""
        ...


class StorePort(Protocol):
    """Runs functions in transactions, and returns when their effects are durable."""

    settings: Settings

    @property
    def contents(self) -> Contents:
        """The store of contents that are too large for the rows which name them."""
        ...

    async def write(self, caller: Caller, context: RequestContext, work: Callable[[Any], T]) -> T:
        """Return what `work` returns in a writing transaction of the caller's workspace, once committed."""
        ...

    async def read(self, caller: Caller, work: Callable[[Any], T]) -> T:
        """Return what `work` returns on a consistent, read-only view."""
        ...


class EventWait(Protocol):
    """The handle by which one listener waits for events."""

    async def wait(self, timeout_s: float) -> bool:
        """Return True as soon as something happened since the last call, False when time is up."""
        ...


class EventSignals(Protocol):
    """Wakes listeners when there are new events that they may see."""

    def listen(self, caller: Caller, types: frozenset[str]) -> AbstractAsyncContextManager[EventWait]:
        """Listen for events of `types` that `caller` may see, from the moment of entering."""
        ...


@dataclass(frozen=True, slots=True)
class ModelPrompt:
    """A task for a language model, and the material for it."""

    task: str
    material: str


@dataclass(frozen=True, slots=True)
class Completion:
    """The text that a model wrote, or in `refusal` the reason why there is none."""

    text: str = ""
    model: str = ""
    refusal: str = ""


NO_COMPLETIONS: Final = "no model is configured: set REPOMESH_COMPLETIONS_URL and REPOMESH_COMPLETIONS_MODEL"
"""The refusal of a server without a model."""


class Completions(Protocol):
    """Asks a language model for a text."""

    async def complete(self, question: ModelPrompt) -> Completion:
        """Ask the model; never raises for what the model does."""
        ...

    async def close(self) -> None:
        """Cancel the requests under way."""
        ...


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts to make vectors of; `about` holds keys of the requester, by which it matches the vectors."""

    texts: tuple[str, ...]
    about: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class EmbeddingResult:
    """A vector of length 1 for each text, as 32-bit floats, or in `refusal` the reason why there is none."""

    vectors: tuple[bytes, ...] = ()
    model: str = ""
    refusal: str = ""


class Embedder(Protocol):
    """Makes vectors of texts."""

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResult:
        """Make a vector for each text; never raises for what the model does."""
        ...
