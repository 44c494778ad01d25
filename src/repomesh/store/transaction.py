"""What an operation works on: one transaction of one workspace, on whichever engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

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

from repomesh.kernel.errors import IdempotencyConflict, Stale
from repomesh.kernel.identity import Caller, RequestContext
from repomesh.kernel.settings import Settings
from repomesh.store import log
from repomesh.store.known import Known
from repomesh.store.log import NewEvent
from repomesh.store.pending import Pending
from repomesh.store.prepared import Prepared
from repomesh.store.tables import counters, idempotency_records

FORGOTTEN_MAX = 1_000  # records deleted at once; other commands wait meanwhile


Word = str | tuple[str, ...]
"""A word to look for, or several of which one is enough."""


class TextIndex(Protocol):
    """Full text on one engine."""

    def add(self, tx: Transaction, rows: Sequence[tuple[str, str, str, str]]) -> None:
        """Index rows of (workspace, type, subject, text)."""
        ...

    def remove(self, connection: Connection, workspace_id: str, type_: str, subject_id: str) -> None:
        """Forget what was indexed for a subject."""
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

    def newest(self, connection: Connection) -> int:
        """The position of the newest document of all workspaces; 0 when there is none."""
        ...


_RECALL = select(idempotency_records.c.fingerprint, idempotency_records.c.result)
_NEXT_FENCING_TOKEN = Prepared(
    update(counters)
    .where(counters.c.workspace_id == bindparam("ws"))
    .values(last_fencing_token=counters.c.last_fencing_token + 1)
    .returning(counters.c.last_fencing_token)
)


class Transaction:
    """A running transaction. `now` is the server's time at its start, the same for all that it writes."""

    def __init__(
        self,
        connection: Connection,
        caller: Caller,
        context: RequestContext,
        now: datetime,
        settings: Settings,
        text_index: TextIndex,
        pending: Pending | None = None,
        known: Known | None = None,
    ) -> None:
        self._connection = connection
        self._known = Known() if known is None else known
        self._pending = pending or Pending(connection)
        self._alone = pending is None
        self.caller = caller
        self.context = context
        self.now = now
        self.settings = settings
        self.workspace_id = caller.workspace_id
        self.text_index = text_index
        self.texts = 0
        self.events: list[dict[str, Any]] = []
        # Events of earlier commands in the same commit, which get their numbers before this one's.
        self.events_ahead = 0
        self.version_checked = False
        self._drafts: list[NewEvent] = []
        self._texts: list[tuple[str, str, str, str]] = []

    def execute(
        self,
        statement: Executable | Prepared,
        parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> Result[Any]:
        """Run one statement; a list of parameters runs it for each."""
        if isinstance(statement, Prepared):
            answered: Result[Any] = self._run(statement, parameters)
            return answered
        self._note_change(statement)
        return self.connection.execute(statement, parameters)

    def known(self, statement: Prepared, parameters: Mapping[str, Any]) -> list[Any]:
        """The few rows that a statement answers, kept until one of its tables changes.

        Only where nobody but this store's writer changes tables; elsewhere they are read each time.
        """
        asked = (statement, *parameters.values())
        rows = self._known.get(asked)
        if rows is None:
            rows = self._run(statement, parameters).all()
            if rows:
                self._known.keep(asked, rows, statement.tables)
        return rows

    @property
    def connection(self) -> Connection:
        """The connection, on which everything that was inserted can be seen."""
        self._pending.write()
        return self._connection

    def insert(self, statement: Prepared, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows by the time somebody can see it: with those of other commands of the same commit.

        No row may violate a constraint, which would fail the whole commit.
        """
        if rows:
            self._known.changed(statement.changes)
            self._pending.add(statement, rows)

    def _run(
        self, statement: Prepared, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
    ) -> Any:
        if self._pending.concerns(statement):
            self._pending.write()
        self._known.changed(statement.changes)
        return statement.run(self._connection, parameters or {})

    def change(
        self, statement: Update | Delete | Prepared, parameters: Mapping[str, Any] | None = None
    ) -> int:
        """Run an update or delete; answers how many rows it touched."""
        if isinstance(statement, Prepared):
            return int(self._run(statement, parameters).rowcount)
        self._note_change(statement)
        return self.connection.execute(statement, parameters).rowcount

    def _note_change(self, statement: Executable) -> None:
        if isinstance(statement, UpdateBase):
            self._known.changed(statement.entity_description["table"].name)

    def emit(self, event: NewEvent) -> str:
        """Append an event to the log when the operation is done; answers its id."""
        self._drafts.append(event)
        return event.id

    def next_seq(self) -> int:
        """The number that the next event emitted will have; nobody else numbers any in the meantime."""
        _oldest, last = log.bounds(self._connection, self.workspace_id)
        return last + self.events_ahead + len(self._drafts) + 1

    def index_text(self, type_: str, subject_id: str, text: str) -> None:
        """Make a subject findable by the words of `text` once the operation is done."""
        self._texts.append((self.workspace_id, type_, subject_id, text))

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

    def recall(self, operation: str, key: str, fingerprint: str) -> bytes | None:
        """The result recorded under an idempotency key; raises IdempotencyConflict for another request."""
        row = self.execute(_RECALL.where(*self._idempotency_key(operation, key))).one_or_none()
        if row is None:
            return None
        if row.fingerprint != fingerprint:
            raise IdempotencyConflict("this Idempotency-Key was used with another request")
        return bytes(row.result)

    def remember(self, operation: str, key: str, fingerprint: str, result: str) -> None:
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

    def finish(self) -> None:
        """Write the texts, and make ready the events, which the engine appends before it commits."""
        if self._texts:
            self.texts = len(self._texts)
            self.text_index.add(self, self._texts)
        if self._alone:
            self._pending.write()
        self.events = log.rows_of(self.caller, self.context, self.now, self._drafts)

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
    """Delete some of the workspace's records older than `before`; answers how many."""
    table = idempotency_records.c
    key = tuple_(table.principal, table.operation, table.key)
    old = table.workspace_id == tx.workspace_id, table.at < before
    some = select(table.principal, table.operation, table.key).where(*old).limit(FORGOTTEN_MAX)
    return tx.change(delete(idempotency_records).where(table.workspace_id == tx.workspace_id, key.in_(some)))


def open_counters(tx: Transaction, workspace_id: str) -> None:
    """Give a new workspace its counters; its log begins at 1."""
    tx.execute(
        insert(counters),
        {"workspace_id": workspace_id, "last_seq": 0, "oldest_seq": 1, "last_fencing_token": 0},
    )
