"""How an engine means to run the statements of some work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, event, text

from repomesh.kernel.identity import Caller
from repomesh.store.base import Store
from repomesh.store.prepared import DRIVER
from repomesh.store.transaction import Transaction

Work = Callable[[Transaction], Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """A statement, and the steps of its plan, a line each."""

    statement: str
    steps: str


def analyze(store: Store) -> None:
    """Have the planner know how much there is, and the index of words take up what waits for it."""
    engine = store.migration_engine()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if connection.dialect.name == "postgresql":
            # What tests before left behind in the indexes counts for the planner until they are built anew.
            connection.execute(text("REINDEX SCHEMA public"))
        connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()


def plans(store: Store, caller: Caller, work: Work, *, writing: bool = True) -> list[Plan]:
    """The plan of each statement of `work`, in order, without those that only insert."""

    def explained(tx: Transaction) -> list[Plan]:
        driver = tx.connection.info.get(DRIVER)
        return _on_postgres(tx, work) if driver is None else _on_sqlite(tx, driver, work)

    return store.write_now(caller, explained) if writing else store.read_now(caller, explained)


def steps(found: Iterable[Plan]) -> str:
    """The steps of some plans, one behind the other."""
    return "\n".join(plan.steps for plan in found)


def scans(found: Iterable[Plan], *tables: str, along_index: bool = True) -> list[str]:
    """The steps that read one of these tables from end to end; along an index, too, unless told otherwise."""
    whole = [f"Seq Scan on {table}" for table in tables] + [f"SCAN {table}" for table in tables]
    lines = [line for line in steps(found).splitlines() if any(_names(line, name) for name in whole)]
    return [line for line in lines if along_index or "INDEX" not in line]


def _names(line: str, name: str) -> bool:
    """Whether a step names this table, and not one whose name only begins so."""
    return f"{name} " in f"{line.strip()} "


def _on_sqlite(tx: Transaction, driver: Any, work: Work) -> list[Plan]:
    run: list[str] = []
    driver.set_trace_callback(run.append)
    try:
        work(tx)
    finally:
        driver.set_trace_callback(None)
    # A comment stands for what the engine does inside of one, such as for its full-text index.
    asked = [sql for sql in run if not sql.lstrip().startswith(("--", "INSERT"))]
    return [Plan(sql, _lines(driver.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall())) for sql in asked]


def _on_postgres(tx: Transaction, work: Work) -> list[Plan]:
    run: list[tuple[str, Any]] = []

    def note(_connection: Connection, _cursor: Any, sql: str, values: Any, *_more: Any) -> None:
        if not sql.lstrip().startswith("INSERT"):
            run.append((sql, values[0] if isinstance(values, list) else values))

    event.listen(tx.connection, "before_cursor_execute", note)
    try:
        work(tx)
    finally:
        event.remove(tx.connection, "before_cursor_execute", note)
    explain = tx.connection.exec_driver_sql
    return [Plan(sql, _lines(explain(f"EXPLAIN {sql}", values).all())) for sql, values in run]


def _lines(rows: Sequence[Any]) -> str:
    return "\n".join(str(row[-1]) for row in rows)
