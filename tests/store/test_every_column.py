"""Every column of a record damaged in turn: no query fails inside the server because of it."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import pytest
from sqlalchemy import Column, Connection, Engine, String, Table, text
from sqlalchemy.exc import IntegrityError

from examples import EXAMPLES, Payload, World
from fault.running import AT_FULL_SIZE
from harness import Mesh, Speaker
from repomesh.kernel.identity import system_caller
from repomesh.kernel.operation import Kind, Operation
from repomesh.store import sqlite
from repomesh.store.tables import metadata
from repomesh.store.transaction import Transaction
from repomesh.store.types import Json
from surfaces.test_access import OFFERED, call

pytestmark = pytest.mark.anyio

T = TypeVar("T")
BAD_UTF8, BROKEN = "CAST(X'68FFFE80' AS TEXT)", "'{broken'"
ENDING = {"agent.leave", "agent.rename", "session.delete", "workspace.delete", "log.prune"}
"""Commands that take away what the queries ask for."""
IMPORTANT = ("messages", "receipts", "agents", "tasks", "leases", "cli_sessions", "chunks", "events")


class Populated:
    """A workspace in which every operation was done, and the queries that it answers."""

    def __init__(self, mesh: Mesh, world: World, workspace_id: str, statements: list[str]) -> None:
        self.mesh = mesh
        self._statements = statements
        self._tables: dict[str, set[str]] = {}  # that a query reads, by the operation's name
        self.world = world
        self._caller = system_caller(workspace_id)
        self._queries: list[tuple[Operation, Speaker, Payload]] = []

    @classmethod
    async def of(cls, mesh: Mesh, statements: list[str]) -> Populated:
        populated = cls(mesh, await World.of(mesh), (await mesh.get("/v1/workspace"))["id"], statements)
        for operation in OFFERED:
            if operation.name not in ENDING:
                await populated._do(operation)
        return populated

    async def _do(self, operation: Operation) -> None:
        example = EXAMPLES[operation.name]
        payload = await example(self.world)
        is_admin = operation.scope.endswith(":admin") or example.people_only
        speaker = self.mesh if is_admin else self.world.alice
        if operation.kind is Kind.QUERY:
            wait = {"timeout_s": 0} if "timeout_s" in operation.request.model_fields else {}
            self._queries.append((operation, speaker, payload | wait))
        elif not operation.name.startswith("token"):
            await call(speaker, operation, payload)

    async def failures(self, table: str | None = None) -> dict[str, str]:
        """What the queries answer that they must not: errors inside the server, by the operation's name.

        Only queries that read `table`, as was noted when all were asked.
        """
        failed = {}
        for operation, speaker, payload in self._queries:
            if table is not None and table not in self._tables[operation.name]:
                continue
            self._statements.clear()
            try:
                status, answer = await call(speaker, operation, payload)
            except AssertionError as error:  # the answer is not of its schema
                failed[operation.name] = str(error)
                continue
            if status >= 500 and answer.get("code") != "damaged_record":
                failed[operation.name] = f"{status} {answer.get('code')}"
            if table is None:
                self._tables[operation.name] = set(re.findall(r"\w+", " ".join(self._statements)))
        return failed

    def write(self, work: Callable[[Transaction], T]) -> T:
        """Write past all operations."""
        return self.mesh.server.store.write_now(self._caller, work)

    def stored(self, table: Table, column: str, rowid: int) -> Any:
        """What is stored in a column of a row."""
        statement = text(f"SELECT {column} FROM {table.name} WHERE rowid = {rowid}")
        return self.write(lambda tx: tx.connection.execute(statement).scalar_one())

    def store(self, table: Table, column: str, rowid: int, value: str, **values: Any) -> None:
        """Store a value, or an expression of SQL, in a column of a row."""
        statement = text(f"UPDATE {table.name} SET {column} = {value} WHERE rowid = {rowid}")
        self.write(lambda tx: tx.connection.execute(statement, values))

    def newest_row(self, table: Table) -> int | None:
        """The newest row of a table; None for an empty one."""
        statement = text(f"SELECT max(rowid) FROM {table.name}")
        return self.write(lambda tx: tx.connection.execute(statement).scalar_one())


def _damages(table: Table) -> Iterator[tuple[str, str]]:
    """(column, expression) for each column of a table that may be damaged alone."""
    for column in table.columns:
        if column.name != "workspace_id" and not column.foreign_keys:
            yield column.name, BAD_UTF8 if _is_text(column) else BROKEN


def _is_text(column: Column[Any]) -> bool:
    return isinstance(column.type, String) and not isinstance(column.type, Json)


@pytest.fixture
def statements(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that the server's readers run."""
    if "sqlite" not in type(mesh.server.store).__module__:
        pytest.skip("the types of PostgreSQL's columns exclude this damage")
    seen: list[str] = []
    open_connection = sqlite._open_connection

    def open_traced(engine: Engine) -> tuple[Connection, sqlite3.Connection]:
        connection, driver = open_connection(engine)
        driver.set_trace_callback(seen.append)
        return connection, driver

    monkeypatch.setattr(sqlite, "_open_connection", open_traced)
    monkeypatch.setattr(mesh.server.store, "_readers", threading.local())
    return seen


async def _require_no_failures(mesh: Mesh, statements: list[str], tables: Iterable[str]) -> None:
    populated = await Populated.of(mesh, statements)
    assert await populated.failures() == {}
    failed = {}
    for table in (metadata.tables[name] for name in tables):
        rowid = populated.newest_row(table)
        if rowid is None:
            continue
        for column, value in _damages(table):
            before = populated.stored(table, column, rowid)
            try:
                populated.store(table, column, rowid, value)
            except IntegrityError:  # other records name it by this column, or it must be unique
                continue
            if failures := await populated.failures(table.name):
                failed[f"{table.name}.{column}"] = failures
            populated.store(table, column, rowid, ":before", before=before)
    assert failed == {}


async def test_a_damaged_column_fails_no_query(mesh: Mesh, statements: list[str]) -> None:
    await _require_no_failures(mesh, statements, IMPORTANT)


@pytest.mark.fault
@pytest.mark.skipif(not AT_FULL_SIZE, reason="'make faults' damages all tables, for minutes")
async def test_a_damaged_column_of_any_table_fails_no_query(mesh: Mesh, statements: list[str]) -> None:
    await _require_no_failures(mesh, statements, [table.name for table in metadata.sorted_tables])
