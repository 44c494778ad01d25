"""PostgreSQL: the same work in a pool of threads, one command at a time per workspace."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
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
from repomesh.kernel.identity import Caller, RequestContext
from repomesh.kernel.settings import Settings
from repomesh.kernel.telemetry import Metrics, tracer
from repomesh.store import log as event_log
from repomesh.store.base import (
    OutcomeUnknown,
    Store,
    alternatives,
    narrowing_types,
    perform,
    type_word,
    words_of,
)
from repomesh.store.tables import documents
from repomesh.store.transaction import Transaction, Word

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
_LINE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
# SQLSTATEs that a second try may cure: deadlock, lock not available, serialization failure.
_RETRIED = frozenset({"40P01", "55P03", "40001"})


_TSVECTOR_BYTES_MAX = 1_000_000  # a tsvector holds 1 MiB of words


def _fitting(type_: str, body: str) -> list[str]:
    """The word of its type and the different words of a text, as many as one tsvector holds."""
    words, size = [], 0
    for word in dict.fromkeys((type_word(type_), *words_of(body))):
        size += len(word.encode())
        if size > _TSVECTOR_BYTES_MAX:
            break
        words.append(word)
    return words


class PostgresText:
    """Full text in a tsvector column of the documents table."""

    def add(self, tx: Transaction, rows: Sequence[tuple[str, str, str, str]]) -> None:
        """Index rows of (workspace, type, subject, text)."""
        statement = text(
            "INSERT INTO documents (workspace_id, type, subject_id, words)"
            " VALUES (:workspace_id, :type, :subject_id, array_to_tsvector(CAST(:words AS text[])))"
        )
        tx.execute(
            statement,
            [
                {"workspace_id": ws, "type": type_, "subject_id": subject, "words": _fitting(type_, body)}
                for ws, type_, subject, body in rows
            ],
        )

    def remove(self, connection: Connection, workspace_id: str, type_: str, subject_id: str) -> None:
        """Forget what was indexed for a subject."""
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
        terms = [" | ".join(f"'{word}'" for word in alternatives(word)) for word in words]
        named = " | ".join(f"'{type_word(type_)}'" for type_ in narrowing_types(types))
        phrase = " & ".join(f"({term})" for term in (*terms, named) if term)
        # MATERIALIZED, or the planner walks the primary key backwards for a rare word (measured: 71 ms).
        matching = (
            select(documents.c.id, documents.c.type, documents.c.subject_id)
            .where(documents.c.workspace_id == workspace_id, documents.c.type.in_(types))
            .where(text("words @@ CAST(:phrase AS tsquery)").bindparams(phrase=phrase))
            .cte("matching")
            .prefix_with("MATERIALIZED")
        )
        ordered = select(matching).order_by(matching.c.id.desc()).limit(count)
        if before is not None:
            ordered = ordered.where(matching.c.id < before)
        return [(row.id, row.type, row.subject_id) for row in connection.execute(ordered)]

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
        self._engine = _engine(url)
        self._readers = self._engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._writes = ThreadPoolExecutor(limits.POSTGRES_THREADS, "repomesh-write")
        self._reads = ThreadPoolExecutor(limits.READ_THREADS, "repomesh-read")

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
                return perform(work, self._transaction(connection, caller, RequestContext()))

        return _persistently(attempt)

    def _write(self, caller: Caller, context: RequestContext, work: Callable[[Transaction], T]) -> T:
        def attempt() -> tuple[T, int | None]:
            with self._engine.connect() as connection:
                connection.execute(_LOCK, {"key": _lock_key(caller.workspace_id)})
                tx = self._transaction(connection, caller, context)
                result = perform(work, tx)
                last = event_log.append(connection, caller.workspace_id, tx.events) if tx.events else None
                _commit(connection)
                return result, last

        result, last_seq = _persistently(attempt)
        self.metrics.commits.inc()
        self.metrics.commit_pieces.inc()
        if last_seq is not None:
            self._announce({caller.workspace_id: last_seq})
        return result

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


_LOCK = text("SELECT pg_advisory_xact_lock(:key)")


@lru_cache(maxsize=4096)
def _lock_key(workspace_id: str) -> int:
    """The workspace's advisory lock: 64 bits of a hash, so that two workspaces all but never share one."""
    digest = hashlib.sha256(f"repomesh/{workspace_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _persistently(attempt: Callable[[], T]) -> T:
    """Answer `attempt`, run again while what stopped it has certainly left nothing behind and may pass."""
    for number in range(1, limits.POSTGRES_ATTEMPTS_MAX + 1):
        try:
            return attempt()
        except PoolTimeout as error:
            raise Unavailable("every connection to the database is in use") from error
        except DBAPIError as error:
            if not _may_pass(error) or number == limits.POSTGRES_ATTEMPTS_MAX:
                raise _explain(error) from error
            log.warning("transaction tried again", reason=str(error.orig).strip(), attempt=number)
            time.sleep(0.005 * 2**number)  # let the transaction that won the lock finish
    raise AssertionError("unreachable")


def _may_pass(error: DBAPIError) -> bool:
    """Whether a second try may succeed: it lost a race for a lock, or its connection."""
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _RETRIED


def _commit(connection: Connection) -> None:
    """Commit; raises OutcomeUnknown when the line broke before the server's word came."""
    try:
        connection.commit()
    except DBAPIError as error:
        if error.connection_invalidated:
            raise OutcomeUnknown("the connection to the database was lost during the commit") from error
        raise


def _explain(error: DBAPIError) -> Exception:
    """Failures of the server or the line are told as unavailability; the rest is passed on."""
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
        connect_args={"options": _SERVER_OPTIONS, "connect_timeout": 10} | _LINE,
        hide_parameters=True,  # what agents say belongs in no log
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.prepare_threshold = 2  # the same statements run for ever: prepare them early

    return engine
