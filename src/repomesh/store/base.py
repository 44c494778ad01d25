"""What both engines share: the shape of a store, and what it tells the floors above."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from repomesh.kernel.clock import Clock
from repomesh.kernel.identity import Caller, RequestContext
from repomesh.kernel.settings import Settings
from repomesh.kernel.telemetry import Metrics
from repomesh.store.transaction import TextIndex, Transaction

T = TypeVar("T")

OnCommit = Callable[[str, int], None]
"""Called with (workspace_id, last seq) after a commit that appended events, on the committing thread."""


class Store(ABC):
    """Runs work in transactions. `write` answers only when the effects are durable.

    Work is a plain function of a `Transaction`; it may run again after a deadlock, so it must have no
    effect outside the transaction.
    """

    text_index: TextIndex

    def __init__(self, settings: Settings, metrics: Metrics, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.metrics = metrics
        self._on_commit: list[OnCommit] = []

    def on_commit(self, listener: OnCommit) -> None:
        """Have `listener` called after each commit that appended events."""
        self._on_commit.append(listener)

    @abstractmethod
    async def write(self, caller: Caller, context: RequestContext, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a writing transaction of the caller's workspace; answer after the commit."""

    @abstractmethod
    async def read(self, caller: Caller, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a consistent, read-only view."""

    @abstractmethod
    def write_now(self, caller: Caller, work: Callable[[Transaction], T]) -> T:
        """`write` for callers without an event loop: start-up, the command line, tests."""

    @abstractmethod
    def read_now(self, caller: Caller, work: Callable[[Transaction], T]) -> T:
        """`read` for callers without an event loop."""

    @abstractmethod
    def migration_engine(self) -> Engine:
        """An engine for migrations, on which foreign keys are not enforced where that would cascade."""

    @abstractmethod
    def describe(self) -> dict[str, str]:
        """What a person wants to know of it: engine, version, place, durability."""

    @abstractmethod
    def close(self) -> None:
        """Finish what is queued and let go of everything. Closing twice is allowed."""

    def _transaction(self, connection: Connection, caller: Caller, context: RequestContext) -> Transaction:
        return Transaction(connection, caller, context, self.clock(), self.settings, self.text_index)

    def _announce(self, positions: dict[str, int]) -> None:
        for workspace_id, seq in positions.items():
            for listener in self._on_commit:
                # A wake-up is a hint: a listener that is closing must not fail a commit that is durable.
                with suppress(RuntimeError):
                    listener(workspace_id, seq)


def search_words(text: str) -> list[str]:
    """The words of a search text, as both engines' tokenizers would split them."""
    words: list[str] = []
    word: list[str] = []
    for character in text + " ":
        if character.isalnum():
            word.append(character)
        elif word:
            words.append("".join(word))
            word = []
    return words[:32]


Work = Callable[[Transaction], Any]
