"""PostgreSQL: the same work in a pool of threads, one command at a time per workspace."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, Engine, create_engine, event, func, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from repomesh.kernel import limits
from repomesh.kernel.clock import Clock
from repomesh.kernel.errors import Unavailable
from repomesh.kernel.identity import Caller, RequestContext, system_caller
from repomesh.kernel.settings import Settings
from repomesh.kernel.telemetry import Metrics, tracer
from repomesh.kernel.words import Word
from repomesh.store import log as event_log
from repomesh.store.base import (
    OutcomeUnknown,
    Store,
    alternatives,
    joined_words,
    narrowing_types,
    type_word,
)
from repomesh.store.tables import documents, text_rebuild
from repomesh.store.transaction import IndexedWords, Transaction

T = TypeVar("T")
log = structlog.get_logger("repomesh.store")

_SERVER_OPTIONS = " ".join(
    f"-c {name}={value}"
    for name, value in {
        "lock_timeout": limits.POSTGRES_LOCK_TIMEOUT_MS,
        "statement_timeout": limits.POSTGRES_STATEMENT_TIMEOUT_MS,
        "idle_in_transaction_session_timeout": limits.POSTGRES_IDLE_TRANSACTION_TIMEOUT_MS,
        "synchronous_commit": "on",
    }.items()
)
# A server that vanished without a word is noticed within half a minute.
_CONNECTION_OPTIONS = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
# SQLSTATEs that a second try may cure: deadlock, lock not available, serialization failure.
_RETRIED = frozenset({"40P01", "55P03", "40001"})


class PostgresText:
    """Full text in a column of the documents table: an array of words, since a tsvector holds only 1 MiB."""

    def add(self, tx: Transaction, rows: Sequence[IndexedWords]) -> None:
        """Index rows of (workspace, type, subject, words)."""
        statement = text(
            "INSERT INTO documents (workspace_id, type, subject_id, words)"
            " VALUES (:workspace_id, :type, :subject_id, string_to_array(CAST(:words AS text), ' '))"
        )
        tx.execute(
            statement,
            [
                {
                    "workspace_id": ws,
                    "type": type_,
                    "subject_id": subject,
                    "words": joined_words(type_, words),
                }
                for ws, type_, subject, words in rows
            ],
        )

    def remove(self, connection: Connection, workspace_id: str, type_: str, subject_id: str) -> None:
        """Delete the documents of a subject from the index."""
        table = documents.c
        connection.execute(
            documents.delete().where(
                table.workspace_id == workspace_id, table.type == type_, table.subject_id == subject_id
            )
        )

    def find(
        self,
        connection: Connection,
        workspace_id: str,
        types: Sequence[str],
        words: Sequence[Word],
        before: int | None,
        count: int,
    ) -> list[tuple[int, str, str]]:
        """(position, type, subject) of up to `count` documents that hold every word, newest first."""
        if not words:
            return []
        required_words, conditions = [], []
        parameters: dict[str, list[str]] = {}
        for word in words:
            choices = alternatives(word)
            if len(choices) == 1:
                required_words.append(choices[0])
            else:
                parameters[f"some_{len(parameters)}"] = list(choices)
        if type_words := [type_word(type_) for type_ in narrowing_types(types)]:
            parameters["named"] = type_words
        conditions = [f"words && CAST(:{name} AS text[])" for name in parameters]
        if required_words:
            parameters["every"] = required_words
            conditions.append("words @> CAST(:every AS text[])")
        # MATERIALIZED, or the planner walks the primary key backwards for a rare word (measured: 71 ms).
        matching = (
            select(documents.c.id, documents.c.type, documents.c.subject_id)
            .where(documents.c.workspace_id == workspace_id, documents.c.type.in_(types))
            .where(text(" AND ".join(conditions)).bindparams(**parameters))
            .cte("matching")
            .prefix_with("MATERIALIZED")
        )
        # Outside, or the planner takes the primary key for it, and compares the words of every document.
        below = func.coalesce(select(text_rebuild.c.below).scalar_subquery(), 0)
        ordered = select(matching).where(matching.c.id >= below).order_by(matching.c.id.desc()).limit(count)
        if before is not None:
            ordered = ordered.where(matching.c.id < before)
        return [(row.id, row.type, row.subject_id) for row in connection.execute(ordered)]

    def rebuild(self, connection: Connection, words: Mapping[int, tuple[str, Sequence[str]]]) -> None:
        """Replace the words of some documents; `words` are (type, words) by their id."""
        statement = text(
            "UPDATE documents SET words = string_to_array(CAST(:words AS text), ' ') WHERE id = :id"
        )
        rows = [
            {"id": id_, "words": joined_words(type_, document_words)}
            for id_, (type_, document_words) in words.items()
        ]
        if rows:
            connection.execute(statement, rows)

    def newest(self, connection: Connection) -> int:
        """The position of the newest document of all."""
        return int(connection.execute(select(func.coalesce(func.max(documents.c.id), 0))).scalar_one())


class PostgresStore(Store):
    """A store on a PostgreSQL server, shared by any number of repomesh servers."""

    shared = True

    def __init__(self, url: str, settings: Settings, metrics: Metrics, clock: Clock) -> None:
        super().__init__(settings, metrics, clock)
        self.text_index = PostgresText()
        self._url = url
        self._last_times: dict[str, datetime] = {}  # of each workspace, the time of its last command here
        self._ahead_s: float | None = None  # the database's time less this machine's count of seconds
        self._engine = _engine(url)
        self._readers = self._engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._writes = ThreadPoolExecutor(limits.POSTGRES_THREADS, "repomesh-write")
        self._reads = ThreadPoolExecutor(limits.READ_THREADS, "repomesh-read")

    def now(self) -> datetime:
        """The database's time, as it goes on since it was last read; this machine's before the first time."""
        if self._ahead_s is None:
            return self.clock()
        return datetime.fromtimestamp(self.clock.elapsed_s() + self._ahead_s, UTC)

    async def write(self, caller: Caller, context: RequestContext, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a writing thread; answer after its commit."""
        with tracer.span("store.write"):
            return await self._in_thread(
                self._writes, limits.WRITE_QUEUE_MAX, self._write, caller, context, work
            )

    def write_now(self, caller: Caller, work: Callable[[Transaction], T]) -> T:
        """Run `work` on this thread."""
        self._check_open()
        return self._write(caller, RequestContext(), work)

    async def read(self, caller: Caller, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a reading thread."""
        with tracer.span("store.read"):
            return await self._in_thread(self._reads, limits.READ_QUEUE_MAX, self.read_now, caller, work)

    def read_now(self, caller: Caller, work: Callable[[Transaction], T]) -> T:
        """Run `work` on one snapshot."""
        self._check_open()

        def attempt() -> T:
            with self._readers.connect() as connection:
                if self._ahead_s is None:
                    asked_s = self.clock.elapsed_s()
                    self._note_time(connection.execute(_CLOCK).scalar_one(), asked_s)
                now = max(self.now(), self._last_times.get(caller.workspace_id, _LONG_AGO))
                result = self._transaction(connection, caller, RequestContext(), now).run(work)
                connection.commit()  # on a rollback psycopg would throw its prepared statements away
                return result

        return _retry(attempt)

    def write_without_workspace(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` on this thread, without any workspace's lock."""
        self._check_open()

        def attempt() -> T:
            with self._engine.connect() as connection:
                at = connection.execute(_CLOCK).scalar_one().astimezone(UTC)
                tx = self._transaction(connection, system_caller(""), RequestContext(), at)
                result = tx.run(work)
                _commit(connection)
                return result

        return _retry(attempt)

    def _write(self, caller: Caller, context: RequestContext, work: Callable[[Transaction], T]) -> T:
        def attempt() -> tuple[T, int | None]:
            with self._engine.connect() as connection:
                asked_s = self.clock.elapsed_s()
                at = connection.execute(_LOCK, {"key": _lock_key(caller.workspace_id)}).scalar_one()
                self._note_time(at, asked_s)
                now = self._next_time(connection, caller.workspace_id, at)
                tx = self._transaction(connection, caller, context, now)
                result = tx.run(work)
                last = event_log.append(connection, caller.workspace_id, tx.events) if tx.events else None
                _commit(connection)
                return result, last

        try:
            result, last_seq = _retry(attempt)
        except event_log.ClockBehind as behind:  # nothing is left of it, and the next one looks at the log
            log.warning("the database's clock was put back", behind=str(behind))
            self._last_times[caller.workspace_id] = behind.last_at
            result, last_seq = _retry(attempt)
        self.metrics.commits.inc()
        self.metrics.commit_pieces.inc()
        if last_seq is not None:
            self._announce({caller.workspace_id: last_seq})
        return result

    def _transaction(
        self, connection: Connection, caller: Caller, context: RequestContext, now: datetime
    ) -> Transaction:
        store = self.settings, self.text_index, self._contents, self.reactions
        return Transaction(connection, caller, context, now, *store)

    def _next_time(self, connection: Connection, workspace_id: str, database_time: datetime) -> datetime:
        """`database_time`, read under the workspace's lock, moved past the time of every earlier command.

        The log of other nodes' commands is read only once the clock is known to be behind.
        """
        database_time = database_time.astimezone(UTC)
        last_time = self._last_times.get(workspace_id, _LONG_AGO)
        if database_time <= last_time:
            database_time = (
                max(last_time, event_log.last_time(connection, workspace_id) or last_time) + _MICROSECOND
            )
        self._last_times[workspace_id] = database_time
        return database_time

    def _note_time(self, database_time: datetime, asked_s: float) -> None:
        """Adjust `_ahead_s` by `database_time`, which was read between `asked_s` of our count and now.

        The known value stays where it is possible: a thread may have been delayed on either side.
        """
        ahead_min_s, ahead_max_s = (
            database_time.timestamp() - self.clock.elapsed_s(),
            database_time.timestamp() - asked_s,
        )
        ahead_s = self._ahead_s
        self._ahead_s = ahead_min_s if ahead_s is None else min(max(ahead_s, ahead_min_s), ahead_max_s)

    def migration_engine(self) -> Engine:
        """An engine without the server's time-outs: a migration takes the time it needs."""
        return create_engine(_psycopg_url(self._url), hide_parameters=True)

    def describe(self) -> dict[str, str]:
        """The engine, its version, the place without its password, and the durability settings."""
        with self._engine.connect() as connection:

            def setting(name: str) -> str:
                return str(connection.execute(text(f"SHOW {name}")).scalar_one())

            return {
                "engine": "postgresql",
                "version": setting("server_version"),
                "place": make_url(self._url).render_as_string(hide_password=True),
                "synchronous_commit": setting("synchronous_commit"),
                "fsync": setting("fsync"),
            }

    def close(self) -> None:
        """Finish what runs and close every connection."""
        if self._closed:
            return
        self._closed = True
        self._writes.shutdown()
        self._reads.shutdown()
        self._engine.dispose()


# The clock is read when the lock was got: what a FROM answers comes before what is selected of it.
_LOCK = text("SELECT clock_timestamp() FROM pg_advisory_xact_lock(:key)")
_CLOCK = text("SELECT clock_timestamp()")
_MICROSECOND = timedelta(microseconds=1)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@lru_cache(maxsize=4096)
def _lock_key(workspace_id: str) -> int:
    """The workspace's advisory lock: 64 bits of a hash, so that two workspaces all but never share one."""
    digest = hashlib.sha256(f"repomesh/{workspace_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _retry(attempt: Callable[[], T]) -> T:
    """Return what `attempt` returns; retry it after transient errors that certainly left nothing behind.

    Raises Unavailable for errors of the server or the connection.
    """
    for number in range(1, limits.POSTGRES_ATTEMPTS_MAX + 1):
        try:
            return attempt()
        except PoolTimeout as error:
            raise Unavailable("every connection to the database is in use") from error
        except DBAPIError as error:
            if not _is_transient(error) or number == limits.POSTGRES_ATTEMPTS_MAX:
                raise _translate_error(error) from error
            log.warning("transaction tried again", reason=str(error.orig).strip(), attempt=number)
            time.sleep(0.005 * 2**number)  # let the transaction that won the lock finish
    raise AssertionError("unreachable")


def _is_transient(error: DBAPIError) -> bool:
    """Whether a second try may succeed: it lost a race for a lock, or its connection."""
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _RETRIED


def _commit(connection: Connection) -> None:
    """Commit; raises OutcomeUnknown when the connection broke before the server's answer."""
    try:
        connection.commit()
    except DBAPIError as error:
        if error.connection_invalidated:
            raise OutcomeUnknown("the connection to the database was lost during the commit") from error
        raise


def _translate_error(error: DBAPIError) -> Exception:
    """Unavailable for failures of the server or the connection; any other error unchanged."""
    state = getattr(error.orig, "sqlstate", None) or ""
    if isinstance(error, OperationalError) or state in _RETRIED or state[:2] in ("08", "53", "57"):
        return Unavailable(f"the database could not do it: {str(error.orig).strip()}")
    return error


def _psycopg_url(url: str) -> str:
    parsed = make_url(url)
    return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def _engine(url: str) -> Engine:
    engine = create_engine(
        _psycopg_url(url),
        isolation_level="READ COMMITTED",
        pool_size=limits.POSTGRES_THREADS + limits.READ_THREADS,
        max_overflow=4,
        connect_args={"options": _SERVER_OPTIONS, "connect_timeout": 10} | _CONNECTION_OPTIONS,
        hide_parameters=True,  # what agents say belongs in no log
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.prepare_threshold = 2  # the same statements run for ever: prepare them early

    return engine
