"""SQLite: one writer thread with group commit, and a pool of reading threads."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, Engine, Select, create_engine, event, insert, literal_column, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from repomesh.kernel import limits
from repomesh.kernel.clock import Clock
from repomesh.kernel.errors import Unavailable
from repomesh.kernel.identity import Caller, RequestContext
from repomesh.kernel.settings import Settings
from repomesh.kernel.telemetry import Metrics, tracer
from repomesh.store.base import Store, Work, search_words
from repomesh.store.tables import documents
from repomesh.store.transaction import Transaction

T = TypeVar("T")
log = structlog.get_logger("repomesh.store")

_WRITER_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-65536",
    "PRAGMA wal_autocheckpoint=1000",
)
# Only the writer checkpoints: two connections doing so at once can corrupt older SQLite (the WAL-reset
# fault, fixed in 3.51.3).
_READER_PRAGMAS = (
    "PRAGMA query_only=ON",
    "PRAGMA wal_autocheckpoint=0",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-16384",
)


_ADD_DOCUMENT = insert(documents).returning(documents.c.id)


class SqliteText:
    """Full text in an FTS5 table whose rowid is the document's id."""

    def add(self, connection: Connection, rows: Sequence[tuple[str, str, str, str]]) -> None:
        """Index rows of (workspace, type, subject, text)."""
        for workspace_id, type_, subject_id, body in rows:
            document = {"workspace_id": workspace_id, "type": type_, "subject_id": subject_id}
            id_ = connection.execute(_ADD_DOCUMENT, document).scalar_one()
            connection.exec_driver_sql("INSERT INTO document_text (rowid, body) VALUES (?, ?)", (id_, body))

    def remove(self, connection: Connection, workspace_id: str, type_: str, subject_id: str) -> None:
        """Forget what was indexed for a subject."""
        table = documents.c
        of_subject = table.workspace_id == workspace_id, table.type == type_, table.subject_id == subject_id
        for id_ in connection.execute(select(table.id).where(*of_subject)).scalars().all():
            connection.exec_driver_sql("DELETE FROM document_text WHERE rowid = ?", (id_,))
        connection.execute(documents.delete().where(*of_subject))

    def matches(self, workspace_id: str, type_: str, words: str) -> Select[Any]:
        """(position, subject_id), newest first, of what holds every word; nothing for no word."""
        phrase = " ".join(f'"{word}"' for word in search_words(words)) or '""'
        return (
            select(documents.c.id.label("position"), documents.c.subject_id)
            .select_from(documents)
            .join(text("document_text"), literal_column("document_text.rowid") == documents.c.id)
            .where(text("document_text MATCH :phrase").bindparams(phrase=phrase))
            .where(documents.c.workspace_id == workspace_id, documents.c.type == type_)
            .order_by(literal_column("document_text.rowid").desc())
        )


@dataclass(slots=True)
class _Piece:
    """One command waiting for the writer."""

    caller: Caller
    context: RequestContext
    work: Work
    done: Callable[[Any, BaseException | None], None]


@dataclass(slots=True)
class _Outcome:
    piece: _Piece
    result: Any
    error: BaseException | None
    last_seq: int | None


class _BatchLost(Exception):
    """The database rolled the whole transaction back, and with it every piece of the batch."""


class SqliteStore(Store):
    """A store in one file. Every write goes through one thread, which commits whatever is queued at once."""

    def __init__(self, path: Path, settings: Settings, metrics: Metrics, clock: Clock) -> None:
        super().__init__(settings, metrics, clock)
        self.path = path
        self.text_index = SqliteText()
        self._engine = _engine(path, _WRITER_PRAGMAS)
        self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._driver: sqlite3.Connection = self._connection.connection.driver_connection  # type: ignore[assignment]
        self._queue: queue.SimpleQueue[_Piece | None] = queue.SimpleQueue()
        self._closed = False
        self._readers = threading.local()
        self._reader_engines: list[Engine] = []
        self._pool = ThreadPoolExecutor(limits.READ_THREADS, "repomesh-read")
        self._writer = threading.Thread(target=self._write_batches, name="repomesh-write", daemon=True)
        self._writer.start()

    # -- writing -----------------------------------------------------------------------------------

    async def write(self, caller: Caller, context: RequestContext, work: Callable[[Transaction], T]) -> T:
        """Queue `work` for the writer; answer after the group commit that carried it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def resolve(result: T, error: BaseException | None) -> None:
            if future.cancelled():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        def done(result: T, error: BaseException | None) -> None:
            loop.call_soon_threadsafe(resolve, result, error)

        with tracer.start_as_current_span("store.write"):
            self._submit(_Piece(caller, context, work, done))
            return await future

    def write_now(self, caller: Caller, work: Callable[[Transaction], T]) -> T:
        """Queue `work` and wait for its commit."""
        future: Future[T] = Future()

        def done(result: T, error: BaseException | None) -> None:
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        self._submit(_Piece(caller, RequestContext(), work, done))
        return future.result()

    def _submit(self, piece: _Piece) -> None:
        if self._closed:
            raise Unavailable("the server is stopping")
        if self._queue.qsize() >= limits.WRITE_QUEUE_MAX:
            raise Unavailable(f"{limits.WRITE_QUEUE_MAX} commands already wait for the database")
        self._queue.put(piece)

    def _write_batches(self) -> None:
        while True:
            batch = self._take()
            if batch:
                self._commit(batch)
            if self._closed and self._queue.empty():
                return

    def _take(self) -> list[_Piece]:
        """Wait for work, then take whatever else is queued: no timer, the commit itself is the pace."""
        batch: list[_Piece] = []
        piece = self._queue.get()
        while piece is not None:
            batch.append(piece)
            if len(batch) >= limits.WRITE_BATCH_MAX:
                break
            try:
                piece = self._queue.get_nowait()
            except queue.Empty:
                break
        return batch

    def _commit(self, batch: list[_Piece]) -> None:
        """Run each piece in its savepoint, commit once, then answer them all."""
        try:
            self._driver.execute("BEGIN IMMEDIATE")
            outcomes = [self._run(piece) for piece in batch]
            self._driver.execute("COMMIT")
        except (_BatchLost, sqlite3.Error) as lost:
            self._lose(batch, lost.__cause__ or lost)
            return
        self.metrics.commits.inc()
        self.metrics.commit_pieces.inc(len(batch))
        for outcome in outcomes:
            _answer(outcome.piece, outcome.result, outcome.error)
        self._announce({o.piece.caller.workspace_id: o.last_seq for o in outcomes if o.last_seq is not None})

    def _run(self, piece: _Piece) -> _Outcome:
        self._driver.execute("SAVEPOINT piece")
        try:
            tx = self._transaction(self._connection, piece.caller, piece.context)
            result = piece.work(tx)
            tx.finish()
        except BaseException as error:  # whatever it is belongs to the caller of this piece alone
            if not self._driver.in_transaction:
                raise _BatchLost from error
            self._driver.execute("ROLLBACK TO piece")
            self._driver.execute("RELEASE piece")
            return _Outcome(piece, None, _explain(error), None)
        self._driver.execute("RELEASE piece")
        return _Outcome(piece, result, None, tx.last_seq)

    def _lose(self, batch: list[_Piece], cause: BaseException) -> None:
        """Roll back what may still be open, and tell every caller of the batch."""
        if self._driver.in_transaction:
            self._driver.rollback()
        log.error("batch lost", pieces=len(batch), reason=str(cause))
        for piece in batch:
            _answer(piece, None, Unavailable(f"the database could not write: {cause}"))

    # -- reading -----------------------------------------------------------------------------------

    async def read(self, caller: Caller, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a reading thread."""
        if self._closed:
            raise Unavailable("the server is stopping")
        with tracer.start_as_current_span("store.read"):
            return await asyncio.get_running_loop().run_in_executor(self._pool, self.read_now, caller, work)

    def read_now(self, caller: Caller, work: Callable[[Transaction], T]) -> T:
        """Run `work` on this thread's own reading connection, on one snapshot."""
        connection: Connection | None = getattr(self._readers, "connection", None)
        if connection is None:
            engine = _engine(self.path, _READER_PRAGMAS)
            connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            self._readers.connection = connection
            self._reader_engines.append(engine)
        driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
        driver.execute("BEGIN")
        try:
            return work(self._transaction(connection, caller, RequestContext()))
        except DBAPIError as error:
            raise _explain(error) from error
        finally:
            driver.execute("ROLLBACK")

    # -- care --------------------------------------------------------------------------------------

    def migration_engine(self) -> Engine:
        """An engine with foreign keys off: a batch migration drops the old table, which would cascade."""
        return _engine(self.path, ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL"))

    def describe(self) -> dict[str, str]:
        """The engine, its version, the file, and the durability read back from the write connection."""

        def pragma(name: str) -> str:
            return str(self._driver.execute(f"PRAGMA {name}").fetchone()[0])

        return {
            "engine": "sqlite",
            "version": sqlite3.sqlite_version,
            "place": str(self.path),
            "journal_mode": pragma("journal_mode"),
            "synchronous": pragma("synchronous"),
        }

    def backup(self, target: Path) -> None:
        """Copy the database to `target` while it is in use, complete up to one moment."""
        backup(self.path, target)

    def close(self) -> None:
        """Let the writer finish its queue, then close every connection."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._writer.join()
        self._pool.shutdown()
        self._connection.close()
        for engine in (self._engine, *self._reader_engines):
            engine.dispose()


def _answer(piece: _Piece, result: Any, error: BaseException | None) -> None:
    try:
        piece.done(result, error)
    except RuntimeError:
        # The caller's event loop is gone; the effect is durable and nobody waits for the answer.
        log.debug("answer without a listener")


def _explain(error: BaseException) -> BaseException:
    """Failures of the machine are told as unavailability; everything else is passed on as it is."""
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, sqlite3.OperationalError | sqlite3.DatabaseError) and not isinstance(
        original, sqlite3.IntegrityError | sqlite3.ProgrammingError
    ):
        code = getattr(original, "sqlite_errorname", "")
        if code.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_BUSY", "SQLITE_CORRUPT", "SQLITE_NOMEM")):
            return Unavailable(f"the database could not do it: {original}")
    return error


def _engine(path: Path, pragmas: Sequence[str]) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=StaticPool,
        connect_args={"check_same_thread": False, "timeout": 5.0, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in pragmas:
            connection.execute(pragma)

    return engine


def backup(source: Path, target: Path) -> None:
    """Copy the database at `source` to a new file `target` with SQLite's online backup."""
    with sqlite3.connect(source) as origin, sqlite3.connect(target) as copy:
        origin.backup(copy)
        copy.execute("PRAGMA journal_mode=WAL")
    copy.close()
    origin.close()
