"""The transaction that an operation works on: of one workspace, on either engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from sqlalchemy import (
    Connection,
    Delete,
    Executable,
    Result,
    Update,
    UpdateBase,
    bindparam,
    delete,
    insert,
    select,
    tuple_,
    update,
)

from repomesh.kernel import limits
from repomesh.kernel.compact_words import CompactWords
from repomesh.kernel.errors import AnswerErased, IdempotencyConflict, ReactionsTooDeep, Stale
from repomesh.kernel.identity import Caller, RequestContext
from repomesh.kernel.ids import IdSequence
from repomesh.kernel.ports import Contents
from repomesh.kernel.reactions import EmittedEvent, Reactions
from repomesh.kernel.settings import Settings
from repomesh.kernel.words import Word, distinct_words
from repomesh.store import damage, log
from repomesh.store.log import NewEvent
from repomesh.store.pending import PendingInserts
from repomesh.store.prepared import PreparedStatement
from repomesh.store.row_cache import RowCache
from repomesh.store.tables import counters, idempotency_records
from repomesh.store.types import reset_unreadable_note

T = TypeVar("T")

_MICROSECOND = timedelta(microseconds=1)
ERASED_ANSWER = b""
"""Replaces a recorded answer that quoted something which was deleted since."""

FORGOTTEN_MAX = 1_000  # records deleted at once; other commands wait meanwhile


IndexedWords = tuple[str, str, str, Sequence[str] | CompactWords]
"""(workspace, type, subject, words)."""


class TextIndex(Protocol):
    """Full text on one engine."""

    def add(self, tx: Transaction, rows: Sequence[IndexedWords]) -> None:
        """Index rows of (workspace, type, subject, words), with words such as `words_of` answers."""
        ...

    def remove(self, connection: Connection, workspace_id: str, type_: str, subject_id: str) -> None:
        """Delete the documents of a subject from the index."""
        ...

    def find(
        self,
        connection: Connection,
        workspace_id: str,
        types: Sequence[str],
        words: Sequence[Word],
        before: int | None,
        count: int,
    ) -> list[tuple[int, str, str]]:
        """(position, type, subject) of up to `count` documents that hold every word, newest first.

        Words are such as `words_of` answers. With `before`, only documents at smaller positions; nothing
        for no word.
        """
        ...

    def rebuild(self, connection: Connection, words: Mapping[int, tuple[str, Sequence[str]]]) -> None:
        """Set the words of documents of an older form; `words` are (type, words) by their id.

        They are found once the documents that remain to be rebuilt all stand below them.
        """
        ...

    def newest(self, connection: Connection) -> int:
        """The position of the newest document of all workspaces; 0 when there is none."""
        ...


_RECORDED_ANSWER = select(idempotency_records.c.fingerprint, idempotency_records.c.result)
_NEXT_FENCING_TOKEN = PreparedStatement(
    update(counters)
    .where(counters.c.workspace_id == bindparam("ws"))
    .values(last_fencing_token=counters.c.last_fencing_token + 1)
    .returning(counters.c.last_fencing_token)
)


class Transaction:
    """A running transaction. `now` is the store's time at its start, the same for all that it writes.

    Of two that write in one workspace, the one that commits later has the later time and the greater ids.
    """

    def __init__(
        self,
        connection: Connection,
        caller: Caller,
        context: RequestContext,
        now: datetime,
        settings: Settings,
        text_index: TextIndex,
        contents: Callable[[], Contents],
        reactions: Reactions,
        pending: PendingInserts | None = None,
        row_cache: RowCache | None = None,
    ) -> None:
        self._connection = connection
        self._row_cache = RowCache() if row_cache is None else row_cache
        self._pending = pending or PendingInserts(connection)
        self._owns_pending = pending is None
        self.caller = caller
        self.context = context
        self.now = now
        self.settings = settings
        self.workspace_id = caller.workspace_id
        self.text_index = text_index
        self._contents = contents
        self.indexing_load = 0  # words to index of its texts, in units of TEXT_INDEX_WORDS_EACH
        self.damaged: list[str] = []  # the keys of records that a list left out
        self.events: list[dict[str, Any]] = []
        # Events of earlier commands in the same commit, which get their numbers before this one's.
        self.events_before_in_batch = 0
        self.version_checked = False
        self._ids: IdSequence | None = None
        self._emitted_events: list[tuple[str, NewEvent]] = []
        self._reactions = reactions
        self._reacted_count = 0  # of the emitted events, those whose reactions have run
        self._causes: list[str] = []  # the ids of the events whose reactions run now
        self._depths: dict[str, int] = {}  # of the events that reactions emitted, by their id
        self._texts: list[IndexedWords] = []

    def execute(
        self,
        statement: Executable | PreparedStatement,
        parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> Result[Any]:
        """Run one statement; a list of parameters runs it for each."""
        if isinstance(statement, PreparedStatement):
            result: Result[Any] = self._run(statement, parameters)
            return result
        self._note_change(statement)
        return self.connection.execute(statement, parameters)

    def read_cached(self, statement: PreparedStatement, parameters: Mapping[str, Any]) -> list[Any]:
        """The few rows of a query, cached until one of its tables changes.

        They are cached only where this store's writer alone changes tables, else read each time.
        """
        cache_key = (statement, *parameters.values())
        rows = self._row_cache.get(cache_key)
        if rows is None:
            rows = self._run(statement, parameters).all()
            if rows:
                self._row_cache.keep(cache_key, rows, statement.tables)
        return rows

    def peek(self, statement: PreparedStatement, parameters: Mapping[str, Any]) -> Any:
        """Run a query that need not see the pending inserts of commands in the same commit.

        They are not written for it, so that they can still be made together.
        """
        return statement.run(self._connection, parameters)

    @property
    def contents(self) -> Contents:
        """The store of contents that are too large for rows. A transaction may read them, never write any."""
        return self._contents()

    @property
    def connection(self) -> Connection:
        """The connection, after all pending inserts were written to it."""
        self._pending.write()
        return self._connection

    def insert(self, statement: PreparedStatement, rows: Sequence[Mapping[str, Any]]) -> None:
        """Queue rows for an insert, together with those of other commands of the same commit.

        No row may violate a constraint, which would fail the whole commit.
        """
        if rows:
            self._row_cache.changed(statement.changes)
            self._pending.add(statement, rows)

    def _run(
        self, statement: PreparedStatement, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
    ) -> Any:
        if self._pending.concerns(statement):
            self._pending.write()
        self._row_cache.changed(statement.changes)
        return statement.run(self._connection, parameters or {})

    def change(
        self, statement: Update | Delete | PreparedStatement, parameters: Mapping[str, Any] | None = None
    ) -> int:
        """Run an update or delete; returns how many rows it affected."""
        if isinstance(statement, PreparedStatement):
            return int(self._run(statement, parameters).rowcount)
        self._note_change(statement)
        return self.connection.execute(statement, parameters).rowcount

    def _note_change(self, statement: Executable) -> None:
        if isinstance(statement, UpdateBase):
            self._row_cache.changed(statement.entity_description["table"].name)

    def new_id(self) -> str:
        """A new UUIDv7 of this transaction's time, greater than those made before it in the workspace."""
        if self._ids is None:
            self._ids = IdSequence(self.now)
        return self._ids.next_id()

    def emit(self, event: NewEvent) -> str:
        """Append an event to the log when the operation is done; returns its id.

        An event that a reaction emits names its cause. The reactions to this event run in `react`.
        """
        id_ = self.new_id()
        if self._causes:
            cause = self._causes[-1]
            event = replace(event, causation_id=cause)
            self._depths[id_] = self._depths.get(cause, 0) + 1
        self._emitted_events.append((id_, event))
        return id_

    def react(self) -> list[NewEvent]:
        """Run the reactions to all events that have had none; returns the events that reactions emitted.

        It runs at the end of each command, and between the steps of a batch. Each event has its reactions
        once, in the order of the events and, for one event, of the domains; events that a reaction emits
        follow behind. Raises ReactionsTooDeep for more than REACTION_DEPTH_MAX events that each caused the
        next, and whatever a reaction raises: the command fails with it.
        """
        before = len(self._emitted_events)
        while self._reacted_count < len(self._emitted_events):
            id_, event = self._emitted_events[self._reacted_count]
            self._reacted_count += 1
            reactions = self._reactions.for_event(event.type)
            if not reactions:
                continue
            if self._depths.get(id_, 0) >= limits.REACTION_DEPTH_MAX:
                raise self._chain_error(event)
            self._causes.append(id_)
            emitted = EmittedEvent(id_, event.type, event.subject, event.data)
            for reaction in reactions:
                reaction.function(self, emitted)
            self._causes.pop()
        return [event for _, event in self._emitted_events[before:]]

    def _chain_error(self, event: NewEvent | None) -> ReactionsTooDeep:
        events = dict(self._emitted_events)
        chain: list[str] = []
        while event is not None:
            chain.append(event.type)
            event = events.get(event.causation_id or "")
        return ReactionsTooDeep(
            f"more than {limits.REACTION_DEPTH_MAX} events caused each other, the last a {chain[0]}",
            chain=chain[::-1],
        )

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo all that is done inside, events and texts too, when it raises; the error is raised on."""
        connection = self.connection  # what waits is written, so that it is not undone
        emitted, texts = len(self._emitted_events), len(self._texts)
        connection.exec_driver_sql("SAVEPOINT part")
        try:
            yield
            self._pending.write()
        except Exception:  # whatever it is belongs to the caller
            self._pending.drop()
            self._row_cache.forget()
            connection.exec_driver_sql("ROLLBACK TO SAVEPOINT part")
            del self._emitted_events[emitted:], self._texts[texts:]
            raise
        finally:
            connection.exec_driver_sql("RELEASE SAVEPOINT part")

    def next_seq(self) -> int:
        """The number that the next emitted event will have."""
        _oldest, last = log.bounds(self._connection, self.workspace_id)
        return last + self.events_before_in_batch + len(self._emitted_events) + 1

    def index_text(self, type_: str, subject_id: str, text: str) -> None:
        """Make a subject findable by the words of `text` once the operation is done."""
        self.index_words(type_, subject_id, distinct_words(text))

    def index_words(self, type_: str, subject_id: str, words: Sequence[str] | CompactWords) -> None:
        """Make a subject findable by `words`, as extracted from a long text before the transaction."""
        self._texts.append((self.workspace_id, type_, subject_id, words))

    def next_fencing_token(self) -> int:
        """A number greater than every fencing token given out in this workspace before."""
        token: int = self.execute(_NEXT_FENCING_TOKEN, {"ws": self.workspace_id}).scalar_one()
        return token

    def check_version(self, version: int) -> None:
        """Raise Stale when the request's If-Match names another version than the row's."""
        self.version_checked = True
        expected = self.context.if_match
        if expected is not None and expected != version:
            raise Stale(f"the present version is {version}, not {expected}", version=version)

    def recorded_answer(self, operation: str, key: str, fingerprint: str) -> bytes | None:
        """The result recorded under an idempotency key.

        Raises IdempotencyConflict for another request, and AnswerErased.
        """
        row = self.execute(_RECORDED_ANSWER.where(*self._idempotency_key(operation, key))).one_or_none()
        if row is None:
            return None
        if row.fingerprint != fingerprint:
            raise IdempotencyConflict("this Idempotency-Key was used with another request")
        result = bytes(row.result)
        if result == ERASED_ANSWER:
            raise AnswerErased("this was done under this Idempotency-Key before, and its answer was erased")
        return result

    def record_answer(self, operation: str, key: str, fingerprint: str, result: str) -> None:
        """Record a result under an idempotency key, in the transaction of its effect."""
        self.execute(
            insert(idempotency_records),
            {
                "workspace_id": self.workspace_id,
                "principal": self._idempotency_principal(),
                "operation": operation,
                "key": key,
                "fingerprint": fingerprint,
                "result": result.encode(),
                "at": self.now,
            },
        )

    def run(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` and its reactions, index the texts, and prepare the rows of the events.

        The engine numbers and appends the events before it commits. Raises what `work` raises, and
        DamagedRecord in place of what came of a value that can't be read. An exception that no future can
        carry to an event loop, such as StopIteration or KeyboardInterrupt, is raised as a RuntimeError: the
        caller would otherwise wait for ever, or its loop would end.
        """
        reset_unreadable_note()
        try:
            result = work(self)
            self._finish()
        except BaseException as error:
            if isinstance(error, Exception) and (damaged := damage.explain(error)) is not None:
                raise damaged from error
            if isinstance(error, Exception) and not isinstance(error, StopIteration):
                raise
            raise RuntimeError(f"{error!r} was raised inside a transaction") from error
        return result

    def _finish(self) -> None:
        self.react()
        if self._texts:
            self.indexing_load = sum(
                1 + len(words) // limits.TEXT_INDEX_WORDS_EACH for *_, words in self._texts
            )
            self.text_index.add(self, self._texts)
        if self._owns_pending:
            self._pending.write()
        if self._emitted_events:
            self.events = log.event_rows(self.caller, self.context, self.now, self._emitted_events)

    def _idempotency_principal(self) -> str:
        return f"{self.caller.principal}/{self.caller.agent_id or ''}"

    def _idempotency_key(self, operation: str, key: str) -> tuple[Any, ...]:
        table = idempotency_records.c
        return (
            table.workspace_id == self.workspace_id,
            table.principal == self._idempotency_principal(),
            table.operation == operation,
            table.key == key,
        )


def forget_idempotency_records(tx: Transaction, before: datetime) -> int:
    """Delete up to FORGOTTEN_MAX of the workspace's records older than `before`; returns how many."""
    table = idempotency_records.c
    key = tuple_(table.principal, table.operation, table.key)
    is_old = table.workspace_id == tx.workspace_id, table.at < before
    old_keys = select(table.principal, table.operation, table.key).where(*is_old).limit(FORGOTTEN_MAX)
    return tx.change(
        delete(idempotency_records).where(table.workspace_id == tx.workspace_id, key.in_(old_keys))
    )


def open_counters(tx: Transaction, workspace_id: str) -> None:
    """Give a new workspace its counters; its log begins at 1."""
    tx.execute(
        insert(counters),
        {
            "workspace_id": workspace_id,
            "last_seq": 0,
            "oldest_seq": 1,
            "last_fencing_token": 0,
            "last_at": tx.now - _MICROSECOND,  # the workspace's first events bear the time of its making
        },
    )
