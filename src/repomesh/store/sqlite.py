"""SQLite: one writer thread with group commit, and a pool of reading threads.

A batch runs without savepoints, which cost each command two statements and copies of the pages that it
changes. When one fails after it wrote, the batch is rolled back and run again with them; work may run again.

While more waits, a batch is answered when the next one begins to commit: its callers' event loop then works
beside the disk instead of taking turns with this thread at the interpreter.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import structlog
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

from repomesh.kernel import limits
from repomesh.kernel.clock import Clock, SteadyClock
from repomesh.kernel.errors import Unavailable
from repomesh.kernel.identity import Caller, RequestContext, system_caller
from repomesh.kernel.settings import Settings
from repomesh.kernel.telemetry import Metrics, tracer
from repomesh.store import log as event_log
from repomesh.store.base import DatabaseDamaged, Store, Work
from repomesh.store.pending import PendingInserts
from repomesh.store.prepared import DRIVER
from repomesh.store.row_cache import RowCache
from repomesh.store.sqlite_text import SqliteText, count_unindexed, index_waiting, waiting_load
from repomesh.store.sqlite_types import CHECKED_TYPES
from repomesh.store.transaction import Transaction
from repomesh.store.types import Timestamp, decode_text

T = TypeVar("T")
log = structlog.get_logger("repomesh.store")

_WRITER_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-65536",
    "PRAGMA wal_autocheckpoint=4000",  # 16 MB: pages written by many commits are then copied once
    "PRAGMA journal_size_limit=67108864",  # after a burst the WAL gives its room back
)
# Only the writer checkpoints: two connections doing so at once can corrupt older SQLite (the WAL-reset
# fault, fixed in 3.51.3).
_READER_PRAGMAS: tuple[str, ...] = (
    "PRAGMA query_only=ON",
    "PRAGMA wal_autocheckpoint=0",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-16384",
)

_HAS_LAST_AT = "SELECT 1 FROM pragma_table_info('counters') WHERE name = 'last_at'"
_NEWEST_TIME = """
    SELECT max(max(iif(typeof(last_at) = 'integer', last_at, 0)),
               max(iif(typeof(returned_at) = 'integer', returned_at, 0)))
    FROM counters
"""


@dataclass(slots=True)
class _QueuedCommand:
    """One command waiting for the writer. `loop` is the one that its future belongs to, if any."""

    caller: Caller
    context: RequestContext
    work: Work
    future: asyncio.Future[Any] | Future[Any]
    loop: asyncio.AbstractEventLoop | None = None


@dataclass(slots=True)
class _Outcome:
    command: _QueuedCommand
    result: Any
    error: BaseException | None
    indexing_load: int = 0


@dataclass(slots=True)
class _Committed:
    """A batch that is durable and not answered yet; `last` holds each workspace's last event number."""

    outcomes: list[_Outcome]
    last: dict[str, int]
    at: float


class _BatchLost(Exception):
    """The database rolled the whole transaction back, and with it every command of the batch."""


class _NeedsSavepoints(Exception):
    """A command failed after it wrote, and no savepoint stands before what it wrote."""


class SqliteStore(Store):
    """A store in one file. Every write goes through one thread, which commits whatever is queued at once.

    With `damage`, which says what is wrong with the file, it is only read.
    """

    def __init__(
        self, path: Path, settings: Settings, metrics: Metrics, clock: Clock, damage: Sequence[str] = ()
    ) -> None:
        super().__init__(settings, metrics, clock)
        self.path = path
        self.damage = tuple(damage)
        self._steady_clock = SteadyClock(clock)
        self._clock_restored = False
        self.text_index = SqliteText()
        if self.damage:
            self._engine = _engine(path, _READER_PRAGMAS, mode="ro")
        else:
            # It holds what agents say to each other; SQLite gives its WAL the same mode.
            path.touch(mode=0o600)
            self._engine = _engine(path, _WRITER_PRAGMAS)
        self._connection, self._driver = _open_connection(self._engine)
        self._database_identity = _identity(path)
        self._log_identity: tuple[int, int] | None = None
        self._queue: queue.SimpleQueue[_QueuedCommand | None] = (
            queue.SimpleQueue()
        )  # None is the last thing in it
        self._submit_lock = threading.Lock()
        self._readers = threading.local()
        self._reader_engines: list[Engine] = []
        self._pool = ThreadPoolExecutor(limits.READ_THREADS, "repomesh-read")
        self._index_backlog = 0 if self.damage else count_unindexed(self._driver)
        self._new_index_load = 0
        self._savepoint_batches_left = 0
        self._row_cache = RowCache()
        self._unanswered_batch: _Committed | None = None
        self._restore_clock()
        self._writer = threading.Thread(target=self._write_batches, name="repomesh-write", daemon=True)
        self._writer.start()

    def now(self) -> datetime:
        """The wall clock's time, but never before the newest that was committed."""
        return self._steady_clock()

    # -- writing -----------------------------------------------------------------------------------

    async def write(self, caller: Caller, context: RequestContext, work: Callable[[Transaction], T]) -> T:
        """Queue `work` for the writer; return its result after the group commit."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with tracer.span("store.write"):
            self._submit(_QueuedCommand(caller, context, work, future, loop))
            return await future

    def write_now(self, caller: Caller, work: Callable[[Transaction], T]) -> T:
        """Queue `work` and wait for its commit."""
        future: Future[T] = Future()
        self._submit(_QueuedCommand(caller, RequestContext(), work, future))
        return future.result()

    def write_without_workspace(self, work: Callable[[Transaction], T]) -> T:
        """Queue `work` like any other command: there is one writer."""
        return self.write_now(system_caller(""), work)

    def _submit(self, command: _QueuedCommand) -> None:
        with self._submit_lock:  # so that nothing is queued behind the None that ends the writer
            self._check_open()
            self.require_undamaged()
            if self._queue.qsize() >= limits.WRITE_QUEUE_MAX:
                raise Unavailable(f"{limits.WRITE_QUEUE_MAX} commands already wait for the database")
            self._queue.put(command)

    def _write_batches(self) -> None:
        may_continue = True
        while may_continue:
            if self._queue.empty():
                self._answer_previous_batch()
            batch, may_continue = self._take_batch()
            if batch:
                self._process_batch(batch)
            if self._index_backlog >= limits.TEXT_INDEX_BATCH or (self._index_backlog and not batch):
                self._answer_previous_batch()
                self._index_texts()
        self._answer_previous_batch()

    def _take_batch(self) -> tuple[list[_QueuedCommand], bool]:
        """Wait for a command, then take all that are queued, without a timer: the commit sets the pace.

        Returns the batch, empty when none came while texts wait to be indexed, and whether more may come.
        """
        batch: list[_QueuedCommand] = []
        patience_s = limits.TEXT_INDEX_IDLE_S if self._index_backlog else None
        if self._index_backlog >= limits.TEXT_INDEX_BATCH:
            patience_s = 0
        try:
            while (command := self._queue.get(timeout=patience_s)) is not None:
                batch.append(command)
                if len(batch) >= limits.WRITE_BATCH_MAX or self._queue.empty():
                    return batch, True
        except queue.Empty:
            return batch, True
        return batch, False

    def _process_batch(self, batch: list[_QueuedCommand]) -> None:
        """Run every command and commit once; they are answered soon."""
        try:
            outcomes, last = self._run_and_commit(batch)
        except _NeedsSavepoints as error:
            self._row_cache.forget()
            self._driver.rollback()
            if len(batch) == 1:
                _answer_callers([_Outcome(batch[0], None, _translate_error(error.__cause__ or error))])
                return
            self._savepoint_batches_left = limits.SAVEPOINT_BATCHES
            self._process_batch(batch)
            return
        except BaseException as failure:  # whatever it is, the thread must live: all later writes need it
            self._answer_previous_batch()
            self._undo(batch, failure.__cause__ or failure)
            return
        self._savepoint_batches_left = max(0, self._savepoint_batches_left - 1)
        self.metrics.commits.inc()
        self.metrics.commit_pieces.inc(len(batch))
        self._new_index_load = sum(outcome.indexing_load for outcome in outcomes)
        self._index_backlog += self._new_index_load
        self._unanswered_batch = _Committed(outcomes, last, time.monotonic())

    def _answer_previous_batch(self) -> None:
        """Answer the callers of the batch that was committed last, and announce the new ends of the logs."""
        committed, self._unanswered_batch = self._unanswered_batch, None
        if committed is not None:
            _answer_callers(committed.outcomes)
            self._announce(committed.last)

    def _run_and_commit(self, batch: list[_QueuedCommand]) -> tuple[list[_Outcome], dict[str, int]]:
        """Run and commit a batch; returns the outcomes and each workspace's last event number.

        Raises DatabaseDamaged when the file was removed or replaced: writes to it would be lost.
        """
        if (lost := self._lost_file()) is not None:
            self.damage = (f"{lost.name} was removed or replaced while the server runs",)
            raise DatabaseDamaged(f"nothing was written: {self.damage[0]}")
        self._driver.execute("BEGIN IMMEDIATE")
        if not self._clock_restored:
            self._restore_clock()
        pending = PendingInserts(self._connection)
        events: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        run = self._run_in_savepoint if self._savepoint_batches_left else self._run
        outcomes: list[_Outcome] = []
        for command in batch:
            outcomes.append(run(command, pending, events[command.caller.workspace_id]))
            if (
                self._unanswered_batch
                and time.monotonic() - self._unanswered_batch.at > limits.ANSWER_WITHIN_S
            ):
                self._answer_previous_batch()
        pending.write()
        last = {ws: event_log.append(self._connection, ws, rows) for ws, rows in events.items() if rows}
        self._answer_previous_batch()
        self._driver.execute("COMMIT")
        return outcomes, last

    def _restore_clock(self) -> None:
        """Move the clock to the newest committed time, in case the system's was put back since."""
        if self._driver.execute(_HAS_LAST_AT).fetchone() is None:  # not before the schema is made
            return
        (newest,) = self._driver.execute(_NEWEST_TIME).fetchone()
        moment = Timestamp.from_database(newest)
        if isinstance(moment, datetime):
            ahead_s = (moment - self.clock()).total_seconds()
            if ahead_s > limits.CLOCK_BEHIND_TOLD_S:
                log.warning(
                    "the clock is behind what was written by it: it was put back", seconds=round(ahead_s)
                )
            self._steady_clock.advance_to(moment)
        self._clock_restored = True

    def _run(
        self, command: _QueuedCommand, pending: PendingInserts, events: list[dict[str, Any]]
    ) -> _Outcome:
        """Run one command; its inserts and events are written together with those of the whole batch.

        Most failing commands have not written yet: nothing to undo. Raises _NeedsSavepoints if it has.
        """
        pending.mark()
        before = self._driver.total_changes - pending.written
        try:
            return self._run_transaction(command, pending, events)
        except Exception as error:  # whatever it is belongs to the caller of this command alone
            if not self._driver.in_transaction:
                raise _BatchLost from error
            if pending.wrote_own or self._driver.total_changes - pending.written != before:
                raise _NeedsSavepoints from error
            pending.drop_own()
            return _Outcome(command, None, _translate_error(error))

    def _lost_file(self) -> Path | None:
        """The database file or its log when another file, or none, stands in its place by now."""
        log_path = self.path.with_name(f"{self.path.name}-wal")
        log_file = _identity(log_path)
        if self._log_identity is None:
            self._log_identity = log_file  # SQLite makes it for the first transaction
        if _identity(self.path) != self._database_identity:
            return self.path
        return log_path if log_file != self._log_identity else None

    def _run_in_savepoint(
        self, command: _QueuedCommand, pending: PendingInserts, events: list[dict[str, Any]]
    ) -> _Outcome:
        """Run one command behind a savepoint, so that it can be undone alone."""
        self._driver.execute("SAVEPOINT command")
        try:
            outcome = self._run_transaction(command, pending, events)
            pending.write()
        except Exception as error:  # whatever it is belongs to the caller of this command alone
            if not self._driver.in_transaction:
                raise _BatchLost from error
            pending.drop()
            self._row_cache.forget()
            self._driver.execute("ROLLBACK TO command")
            outcome = _Outcome(command, None, _translate_error(error))
        self._driver.execute("RELEASE command")
        return outcome

    def _run_transaction(
        self, command: _QueuedCommand, pending: PendingInserts, events: list[dict[str, Any]]
    ) -> _Outcome:
        now = self._steady_clock.following()
        store_parts = self.settings, self.text_index, self._contents, self.reactions, pending, self._row_cache
        tx = Transaction(self._connection, command.caller, command.context, now, *store_parts)
        tx.events_before_in_batch = len(events)
        result = tx.run(command.work)
        if not self._driver.in_transaction:  # what follows would be committed statement by statement
            raise _BatchLost
        events += tx.events
        return _Outcome(command, result, None, tx.indexing_load)

    def _index_texts(self) -> None:
        """Index waiting texts, at least as many as were just written, so that the backlog does not grow.

        If that fails, the words stay in the documents for the next time.
        """
        try:
            self._driver.execute("BEGIN IMMEDIATE")
            index_waiting(self._driver, max(limits.TEXT_INDEX_PASS, self._new_index_load))
            self._index_backlog = waiting_load(self._driver)
            self._driver.execute("COMMIT")
        except Exception as error:  # whatever it is, the thread must live: all later writes need it
            self._index_backlog = 0  # the next text that is written asks for it again
            with suppress(sqlite3.Error):
                self._driver.rollback()
            with suppress(OSError, ValueError):
                log.warning("texts not indexed", reason=str(error))

    def _undo(self, batch: list[_QueuedCommand], cause: BaseException) -> None:
        """Roll back a batch. A failure of the machine is raised to every caller of the batch; otherwise
        one command caused it, and each command is run in a batch of its own."""
        self._row_cache.forget()
        with suppress(sqlite3.Error):  # then the next BEGIN fails, and that batch is undone in its turn
            self._driver.rollback()
        with suppress(OSError, ValueError):  # a log that can't be written must not end the writer
            log.error("batch undone", commands=len(batch), reason=repr(cause))
        failure = _translate_error(cause)
        if isinstance(failure, DatabaseDamaged):  # further writes may be lost, or make it worse
            self.damage = (str(cause),)
        if isinstance(failure, Unavailable):
            # One error each: an error collects the frames that it passes through.
            _answer_callers(
                [
                    _Outcome(queued, None, type(failure)(failure.message, hint=failure.hint))
                    for queued in batch
                ]
            )
        elif len(batch) > 1:
            for command in batch:
                self._process_batch([command])
        else:
            error = RuntimeError("what the command wrote could not be committed")
            error.__cause__ = cause
            _answer_callers([_Outcome(batch[0], None, error)])

    # -- reading -----------------------------------------------------------------------------------

    async def read(self, caller: Caller, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a reading thread."""
        with tracer.span("store.read"):
            return await self._in_thread(self._pool, limits.READ_QUEUE_MAX, self.read_now, caller, work)

    def read_now(self, caller: Caller, work: Callable[[Transaction], T]) -> T:
        """Run `work` on this thread's own reading connection, on one snapshot."""
        self._check_open()
        try:
            connection, driver = self._reader()
            driver.execute("BEGIN")
            try:
                store_parts = self.settings, self.text_index, self._contents, self.reactions
                tx = Transaction(connection, caller, RequestContext(), self.now(), *store_parts)
                return tx.run(work)
            finally:
                driver.rollback()  # nothing to undo: it ends the snapshot, if an error has not ended it
        except (DBAPIError, sqlite3.Error) as error:
            raise _translate_error(error) from error

    def _reader(self) -> tuple[Connection, sqlite3.Connection]:
        """This thread's own reading connection."""
        reader: tuple[Connection, sqlite3.Connection] | None = getattr(self._readers, "reader", None)
        if reader is None:
            # Readers write to the file beside the log, and must not make a new database where it is gone.
            engine = _engine(self.path, _READER_PRAGMAS, mode="ro" if self.damage else "rw")
            reader = self._readers.reader = _open_connection(engine)
            self._reader_engines.append(engine)
        return reader

    # -- care --------------------------------------------------------------------------------------

    def migration_engine(self) -> Engine:
        """An engine with foreign keys off: a batch migration drops the old table, which would cascade.

        It begins transactions itself, which the driver would not do for DDL: a migration that fails, or a
        process that dies in it, leaves the schema as it was.
        """
        engine = _engine(self.path, ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL"))

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

        return engine

    def describe(self) -> dict[str, str]:
        """The engine, its version, the file, and the durability read back from the write connection."""

        def pragmas(tx: Transaction) -> dict[str, str]:
            return {
                name: str(tx.connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
                for name in ("journal_mode", "synchronous")
            }

        description = {"engine": "sqlite", "version": sqlite3.sqlite_version, "place": str(self.path)}
        run = self.read_now if self.damage else self.write_now
        return description | run(system_caller(""), pragmas)

    def close(self) -> None:
        """Let the writer finish its queue, then close every connection."""
        with self._submit_lock:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._writer.join()
        self._pool.shutdown()
        self._connection.close()
        for engine in (self._engine, *self._reader_engines):
            engine.dispose()


def _answer_callers(outcomes: Sequence[_Outcome]) -> None:
    """Resolve the futures of the commands; an event loop is woken once for all of its own."""
    outcomes_by_loop: defaultdict[asyncio.AbstractEventLoop, list[_Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.command.loop is None:
            _resolve([outcome])
        else:
            outcomes_by_loop[outcome.command.loop].append(outcome)
    for loop, loop_outcomes in outcomes_by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve, loop_outcomes)
        except RuntimeError:
            # The caller's event loop is gone; the effect is durable and nobody waits for the answer.
            log.debug("results without a receiver", count=len(loop_outcomes))


def _resolve(outcomes: Sequence[_Outcome]) -> None:
    for outcome in outcomes:
        future = outcome.command.future
        if future.done():  # its caller stopped waiting
            continue
        if outcome.error is None:
            future.set_result(outcome.result)
        else:
            future.set_exception(outcome.error)


def _translate_error(error: BaseException) -> BaseException:
    """Unavailable for failures of the machine, DatabaseDamaged for damage; any other error unchanged."""
    original = error.orig if isinstance(error, DBAPIError) else error
    name = getattr(original, "sqlite_errorname", "")
    for failure, hint in _MACHINE_FAILURES.items():
        if name.startswith(failure):
            return Unavailable(f"the database could not do it: {original}", hint=hint)
    if name.startswith(_DAMAGES):
        return DatabaseDamaged(f"the database is damaged: {original}")
    return error


_FULL = "The disk has no room or can't be written: make room. Nothing was changed."
_MACHINE_FAILURES: dict[str, str | None] = {
    "SQLITE_BUSY": None,
    "SQLITE_CANTOPEN": _FULL,
    "SQLITE_FULL": _FULL,
    "SQLITE_IOERR": _FULL,
    "SQLITE_LOCKED": None,
    "SQLITE_NOMEM": None,
    "SQLITE_PROTOCOL": None,
    "SQLITE_READONLY": _FULL,
}
_DAMAGES = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


def _engine(path: Path, pragmas: Sequence[str], *, mode: Literal["rwc", "rw", "ro"] = "rwc") -> Engine:
    """An engine of one connection. With mode 'rwc' it makes the file if need be."""
    engine = create_engine(
        f"sqlite:///{path}"
        if mode == "rwc"
        else f"sqlite:///file:{quote(str(path.absolute()))}?mode={mode}&uri=true",
        poolclass=StaticPool,
        connect_args={"check_same_thread": False, "timeout": 5.0, "isolation_level": None},
        hide_parameters=True,  # what agents say belongs in no log
    )

    engine.dialect.colspecs = {**engine.dialect.colspecs, **CHECKED_TYPES}

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        record.info[DRIVER] = connection
        connection.text_factory = decode_text  # the driver's own fails the whole result for one bad text
        for pragma in pragmas:
            connection.execute(pragma)

    return engine


def _open_connection(engine: Engine) -> tuple[Connection, sqlite3.Connection]:
    """Open a connection that begins no transactions by itself; returns it and the driver's own."""
    try:
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    except DBAPIError as error:
        raise _translate_error(error) from error
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return connection, driver


def backup(source: Path, target: Path) -> None:
    """Copy the database at `source` to `target`, a new or empty file, with SQLite's online backup.

    The source is opened for reading only, so that nobody but its server ever writes its log into it.
    """
    reading = sqlite3.connect(f"file:{quote(str(source.absolute()))}?mode=ro", uri=True)
    with closing(reading) as origin, closing(sqlite3.connect(target)) as copy:
        origin.backup(copy)


def _identity(path: Path) -> tuple[int, int] | None:
    """The device and inode of a file; None when there is none."""
    try:
        file_stat = path.stat()
    except FileNotFoundError:
        return None
    return file_stat.st_dev, file_stat.st_ino
