"""What both engines share: the shape of a store, and what it tells the floors above."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, Engine

from repomesh.kernel.clock import Clock
from repomesh.kernel.errors import Unavailable
from repomesh.kernel.identity import Caller, RequestContext
from repomesh.kernel.settings import Settings
from repomesh.kernel.telemetry import Metrics
from repomesh.store.known import Known
from repomesh.store.pending import Pending
from repomesh.store.transaction import TextIndex, Transaction, Word

T = TypeVar("T")
log = structlog.get_logger("repomesh.store")

OnCommit = Callable[[str, int], None]
"""Called with (workspace_id, last seq) after a commit that appended events, on the committing thread."""


class OutcomeUnknown(Unavailable):
    """The connection to the database was lost during the commit: it is not known whether it took effect."""

    code = "outcome_unknown"
    hint = (
        "Send it again with the same Idempotency-Key, if it had one: it is then done once. "
        "Otherwise look whether it was done."
    )


class Store(ABC):
    """Runs work in transactions. `write` answers only when the effects are durable.

    Work is a plain function of a `Transaction`; it may run again after a deadlock, so it must have no
    effect outside the transaction.
    """

    text_index: TextIndex
    shared = False
    """Whether other processes may change the same database meanwhile."""

    def __init__(self, settings: Settings, metrics: Metrics, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.metrics = metrics
        self._on_commit: list[OnCommit] = []
        self._closed = False
        self._in_threads: dict[Executor, int] = {}

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

    def _transaction(
        self,
        connection: Connection,
        caller: Caller,
        context: RequestContext,
        pending: Pending | None = None,
        known: Known | None = None,
    ) -> Transaction:
        now = self.clock()
        return Transaction(connection, caller, context, now, self.settings, self.text_index, pending, known)

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the server is stopping")

    async def _in_thread(
        self, pool: Executor, waiting_max: int, function: Callable[..., T], *arguments: Any
    ) -> T:
        """Answer `function` from a thread of `pool`, where no more than `waiting_max` may run and wait."""
        self._check_open()
        waiting = self._in_threads.get(pool, 0)
        if waiting >= waiting_max:
            raise Unavailable(f"{waiting_max} requests already wait for the database")
        try:
            answer = asyncio.get_running_loop().run_in_executor(pool, function, *arguments)
        except RuntimeError:  # the pool was shut down between the check and here
            raise Unavailable("the server is stopping") from None
        self._in_threads[pool] = waiting + 1
        try:
            return await answer
        finally:
            self._in_threads[pool] -= 1

    def _announce(self, positions: dict[str, int]) -> None:
        for workspace_id, seq in positions.items():
            for listener in self._on_commit:
                try:
                    listener(workspace_id, seq)
                except Exception as error:  # a wake-up is a hint, and what is durable must not fail for one
                    log.debug("nobody was woken", workspace_id=workspace_id, reason=repr(error))


def perform(work: Callable[[Transaction], T], tx: Transaction) -> T:
    """Run `work` and write what it collected.

    What no future can carry to an event loop, such as a StopIteration or a KeyboardInterrupt, is raised
    as a RuntimeError: the caller would otherwise wait for ever, or its loop would end.
    """
    try:
        result = work(tx)
        tx.finish()
    except BaseException as error:
        if isinstance(error, Exception) and not isinstance(error, StopIteration):
            raise
        raise RuntimeError(f"{error!r} was raised inside a transaction") from error
    return result


_BETWEEN_WORDS = re.compile(r"[\W_]+")
# The same for ASCII, three times as fast: every character in lower case, or a space between words.
_ASCII_WORDS = "".join(chr(code).lower() if chr(code).isalnum() else " " for code in range(128))
_ACCENTS = dict.fromkeys(range(0x0300, 0x0370))
_WORD_CHARS_MAX = 100  # longer ones are found by their beginning; engines take 2,000 bytes
_QUERY_WORDS_MAX = 32


def words_of(text: str) -> list[str]:
    """The words of a text in the form in which both engines index and find them.

    Split and folded here, since the engines' own tokenizers disagree: one takes `src/app.py` for one word.
    """
    if text.isascii():
        words = text.translate(_ASCII_WORDS).split()
        if max(map(len, words), default=0) <= _WORD_CHARS_MAX:
            return words
        return [word[:_WORD_CHARS_MAX] for word in words]
    bare = unicodedata.normalize("NFD", text).translate(_ACCENTS)
    folded = unicodedata.normalize("NFC", bare).casefold()
    return [word[:_WORD_CHARS_MAX] for word in _BETWEEN_WORDS.split(folded) if word]


def search_words(text: str) -> list[str]:
    """The words that a search for `text` asks for."""
    return words_of(text)[:_QUERY_WORDS_MAX]


def alternatives(word: Word) -> tuple[str, ...]:
    """The words of which one is enough."""
    return (word,) if isinstance(word, str) else word


_TYPES_NARROWED_MAX = 2  # a search among more of them meets the others seldom


def type_word(type_: str) -> str:
    """The word that stands for a document's type among its words; no honest text holds it."""
    return f"zqd{type_}"


def narrowing_types(types: Sequence[str]) -> Sequence[str]:
    """The types that a search asks the index for; none where it is as cheap to pass over the others."""
    return types if len(types) <= _TYPES_NARROWED_MAX else ()


Work = Callable[[Transaction], Any]
