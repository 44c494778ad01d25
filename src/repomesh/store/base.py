"""The base of both engines' stores, and the errors that they raise."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from datetime import datetime
from typing import Any, TypeVar

import structlog
from sqlalchemy import Engine

from repomesh.kernel.clock import Clock
from repomesh.kernel.compact_words import CompactWords
from repomesh.kernel.errors import Unavailable
from repomesh.kernel.identity import Caller, RequestContext
from repomesh.kernel.ports import Contents
from repomesh.kernel.reactions import NO_REACTIONS, Reactions
from repomesh.kernel.settings import Settings
from repomesh.kernel.telemetry import Metrics
from repomesh.kernel.words import Word, words_to_find
from repomesh.store.transaction import TextIndex, Transaction

T = TypeVar("T")
log = structlog.get_logger("repomesh.store")

OnCommit = Callable[[str, int], None]
"""Called with (workspace_id, last seq) after a commit that appended events, on the committing thread."""


class OutcomeUnknown(Unavailable):
    """The connection to the database was lost during the commit: it is not known whether it took effect."""

    code = "outcome_unknown"
    hint = (
        "Send it again with the same Idempotency-Key if it had one: it is then done once. "
        "Otherwise read the current state first."
    )


class DatabaseDamaged(Unavailable):
    """The database has damaged pages: it is read-only until you restore a backup or accept the damage."""

    code = "database_damaged"
    hint = (
        "Reads go on. Put back a backup: 'repomesh down', then 'repomesh restore FILE'; "
        "or write to it as it is: 'repomesh up --accept-damage'."
    )


class Store(ABC):
    """Runs work in transactions. `write` returns only when the effects are durable.

    Time is the store's: of two transactions that write in one workspace the one that commits later has the
    later `now`, however the clock was changed in between (decision 0028).

    Work is a plain function of a `Transaction`; it may run again after a deadlock, so it must have no
    effect outside the transaction.
    """

    text_index: TextIndex
    contents: Contents
    """The store of contents that are too large for rows; set by the application before operations run."""
    shared = False
    """Whether other processes may change the same database meanwhile."""
    damage: tuple[str, ...] = ()
    """The damages of the database; with any it is only read."""
    reactions: Reactions = NO_REACTIONS
    """The reactions to events; the server sets them before it writes."""

    def __init__(self, settings: Settings, metrics: Metrics, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.metrics = metrics
        self._on_commit: list[OnCommit] = []
        self._closed = False
        self._in_threads: dict[Executor, int] = {}

    def on_commit(self, listener: OnCommit) -> None:
        """Register a callback that runs after each commit that appended events."""
        self._on_commit.append(listener)

    @abstractmethod
    def now(self) -> datetime:
        """The store's present time. It needs no access to the database."""

    @abstractmethod
    async def write(self, caller: Caller, context: RequestContext, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a writing transaction of the caller's workspace; return its result once committed."""

    @abstractmethod
    async def read(self, caller: Caller, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a consistent, read-only view, and return its result."""

    @abstractmethod
    def write_now(self, caller: Caller, work: Callable[[Transaction], T]) -> T:
        """`write` for callers without an event loop: start-up, the command line, tests."""

    @abstractmethod
    def read_now(self, caller: Caller, work: Callable[[Transaction], T]) -> T:
        """`read` for callers without an event loop."""

    @abstractmethod
    def write_without_workspace(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction that belongs to no workspace; return its result once committed.

        For rows of no workspace, such as contents; it blocks, and emits no events. On a shared database it
        holds no workspace's lock and may run beside every other transaction, so that a row inserted twice at
        once raises IntegrityError.
        """

    @abstractmethod
    def migration_engine(self) -> Engine:
        """An engine for migrations, on which foreign keys are not enforced where that would cascade."""

    @abstractmethod
    def describe(self) -> dict[str, str]:
        """A description for people: engine, version, place and durability settings."""

    @abstractmethod
    def close(self) -> None:
        """Finish what is queued and close all connections. Closing twice is allowed."""

    def _contents(self) -> Contents:
        """The contents; a method, since they are set after the store was made."""
        return self.contents

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the server is stopping")

    def require_undamaged(self) -> None:
        """Raise DatabaseDamaged when the database is damaged, and so only read."""
        if self.damage:
            raise DatabaseDamaged(f"the database is damaged and only read: {self.damage[0]}")

    async def _in_thread(
        self, pool: Executor, waiting_max: int, function: Callable[..., T], *arguments: Any
    ) -> T:
        """Run `function` on a thread of `pool`; raises Unavailable when `waiting_max` run or wait there."""
        self._check_open()
        running_count = self._in_threads.get(pool, 0)
        if running_count >= waiting_max:
            raise Unavailable(f"{waiting_max} requests already wait for the database")
        try:
            future = asyncio.get_running_loop().run_in_executor(pool, function, *arguments)
        except RuntimeError:  # the pool was shut down between the check and here
            raise Unavailable("the server is stopping") from None
        self._in_threads[pool] = running_count + 1
        try:
            return await future
        finally:
            self._in_threads[pool] -= 1

    def _announce(self, positions: dict[str, int]) -> None:
        for workspace_id, seq in positions.items():
            for listener in self._on_commit:
                try:
                    listener(workspace_id, seq)
                except Exception as error:  # a wake-up is a hint: the commit must not fail because of one
                    log.debug("nobody was woken", workspace_id=workspace_id, reason=repr(error))


_QUERY_WORDS_MAX = 32


def search_words(text: str) -> list[Word]:
    """The words that a search for `text` looks for, at most _QUERY_WORDS_MAX."""
    return words_to_find(text)[:_QUERY_WORDS_MAX]


def alternatives(word: Word) -> tuple[str, ...]:
    """The words of which one has to be found."""
    return (word,) if isinstance(word, str) else word


_TYPES_NARROWED_MAX = 2  # a search among more of them meets the others seldom


def type_word(type_: str) -> str:
    """The word that marks a document's type among its words; ordinary texts do not hold it."""
    return f"zqd{type_}"


def joined_words(type_: str, words: Sequence[str] | CompactWords) -> str:
    """A document's different words and its type's word, joined by spaces."""
    if isinstance(words, CompactWords):
        return words.behind((type_word(type_),)).joined()
    return " ".join(dict.fromkeys((type_word(type_), *words)))


def narrowing_types(types: Sequence[str]) -> Sequence[str]:
    """The types by which a search narrows the index; none where skipping the other types is as cheap."""
    return types if len(types) <= _TYPES_NARROWED_MAX else ()


Work = Callable[[Transaction], Any]
