"""Statements of the hot paths, rendered once.

SQLAlchemy's execution of a cached statement costs about 25 µs of Python, SQLite's own work on it about 3.
A `PreparedStatement` is written like any other, and where the engine lives in this process its text goes
straight to the driver, with the columns' own conversions on both sides.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, cast

from sqlalchemy import (
    CompoundSelect,
    Connection,
    Delete,
    Insert,
    Select,
    Table,
    TableClause,
    Update,
    UpdateBase,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import NoResultFound
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.visitors import iterate

from repomesh.store.types import Direct

Convert = Callable[[Any], Any]
Selection = Select[Any] | CompoundSelect[Any]


DRIVER = "repomesh.driver"
"""Under this name a connection's `info` holds the driver's own, where text may go straight to it."""


class PreparedStatement:
    """A statement whose shape never changes; every value comes as a named parameter.

    The parameters of an insert are always the same columns.
    """

    __slots__ = ("_rendered", "_statement", "_tables", "changes")

    def __init__(self, statement: Selection | Insert | Update | Delete) -> None:
        self._statement = statement
        self._rendered: _Rendered | None = None
        self._tables: frozenset[str] | None = None
        # The name of the table that it changes; None when it only reads.
        self.changes = getattr(statement.table, "name", None) if isinstance(statement, UpdateBase) else None

    @property
    def tables(self) -> frozenset[str]:
        """The names of the tables that it reads or writes, or that foreign keys of what it writes name."""
        if self._tables is None:
            self._tables = _tables_of(self._statement)
        return self._tables

    def run(self, connection: Connection, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Any:
        """Run once, or for each of several parameters; returns the rows with the methods of a Result."""
        driver = connection.info.get(DRIVER)
        if driver is None:
            return connection.execute(self._statement, parameters)
        if isinstance(parameters, Mapping):
            return self._render(connection, parameters).run(driver, parameters)
        return self._render(connection, parameters[0]).run_many(driver, parameters)

    def each(self, connection: Connection, parameters: Mapping[str, Any]) -> Generator[Any]:
        """Yield the rows of a select, each read when it is asked for.

        Close the iterator unless it is read to the end.
        """
        driver = connection.info.get(DRIVER)
        if driver is None:
            result = connection.execute(self._statement, parameters)
            try:
                yield from result
            finally:
                result.close()
        else:
            yield from self._render(connection, parameters).each(driver, parameters)

    def _render(self, connection: Connection, parameters: Mapping[str, Any]) -> _Rendered:
        if self._rendered is None:
            self._rendered = _Rendered(self._statement, connection.dialect, list(parameters))
        return self._rendered


class Rows:
    """The rows of a prepared statement, with the methods of SQLAlchemy's Result."""

    __slots__ = ("_rows", "rowcount")

    def __init__(self, rows: list[Any], rowcount: int) -> None:
        self._rows = rows
        self.rowcount = rowcount

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def all(self) -> list[Any]:
        """Every row."""
        return self._rows

    def first(self) -> Any:
        """The first row, or None."""
        return self._rows[0] if self._rows else None

    def one_or_none(self) -> Any:
        """The only row, or None; statements that use it can't answer two."""
        return self._rows[0] if self._rows else None

    def one(self) -> Any:
        """The only row; raises NoResultFound when there is none."""
        if not self._rows:
            raise NoResultFound("no row was found where one is required")
        return self._rows[0]

    def scalar_one(self) -> Any:
        """The first column of the only row."""
        return self.one()[0]

    def scalar_one_or_none(self) -> Any:
        """The first column of the only row, or None."""
        return self._rows[0][0] if self._rows else None

    def scalars(self) -> Rows:
        """The first column of every row."""
        return Rows([row[0] for row in self._rows], self.rowcount)


class _Rendered:
    """A prepared statement as one driver takes it."""

    def __init__(
        self, statement: Selection | Insert | Update | Delete, dialect: Dialect, parameters: Sequence[str]
    ) -> None:
        keys = list(parameters) if isinstance(statement, Insert) else None
        compiled = statement.compile(dialect=dialect, column_keys=keys)
        assert isinstance(compiled, SQLCompiler)
        assert compiled.positiontup is not None, "the driver takes parameters by position"
        assert not compiled.post_compile_params, f"its shape depends on a list of values: {compiled}"
        self._sql = str(compiled)
        order = compiled.positiontup
        self._pick_values = (
            itemgetter(*order) if len(order) > 1 else lambda values: [values[name] for name in order]
        )
        binds = compiled.binds
        self._fixed = {name: bind.effective_value for name, bind in binds.items() if not bind.required}
        self._bind_converters = [
            (index, convert)
            for index, name in enumerate(order)
            if (convert := _bind_processor(binds[name].type, dialect)) is not None
        ]
        columns = _result_columns(statement)
        names = [column.name for column in columns]
        # The type checker knows namedtuples whose fields stand in the source only.
        self._row = cast(Any, namedtuple)("Row", names, rename=True)._make
        self._result_converters = [
            (index, convert)
            for index, column in enumerate(columns)
            if (convert := _result_processor(column.type, dialect)) is not None
        ]

    def run(self, driver: sqlite3.Connection, parameters: Mapping[str, Any]) -> Rows:
        """Run once."""
        cursor = driver.execute(self._sql, self._bind_values(parameters))
        rows = [self._row(self._convert_row(row)) for row in cursor.fetchall()]
        return Rows(rows, cursor.rowcount)

    def each(self, driver: sqlite3.Connection, parameters: Mapping[str, Any]) -> Generator[Any]:
        """Run once, and yield its rows as they are read."""
        cursor = driver.execute(self._sql, self._bind_values(parameters))
        try:
            for row in cursor:
                yield self._row(self._convert_row(row))
        finally:
            cursor.close()

    def run_many(self, driver: sqlite3.Connection, parameters: Sequence[Mapping[str, Any]]) -> None:
        """Run for each of the parameters; returns no rows."""
        driver.executemany(self._sql, [self._bind_values(row) for row in parameters])

    def _bind_values(self, parameters: Mapping[str, Any]) -> list[Any]:
        all_parameters = {**self._fixed, **parameters} if self._fixed else parameters
        values = list(self._pick_values(all_parameters))
        for index, convert in self._bind_converters:
            values[index] = convert(values[index])
        return values

    def _convert_row(self, row: tuple[Any, ...]) -> Sequence[Any]:
        if not self._result_converters:
            return row
        values = list(row)
        for index, convert in self._result_converters:
            values[index] = convert(values[index])
        return values


def _tables_of(statement: Selection | Insert | Update | Delete) -> frozenset[str]:
    table_clauses = {element for element in iterate(statement) if isinstance(element, TableClause)}
    tables = {table.name for table in table_clauses}
    if isinstance(statement, Insert | Update):
        foreign_keys = (
            key for table in table_clauses if isinstance(table, Table) for key in table.foreign_keys
        )
        tables |= {key.target_fullname.split(".")[0] for key in foreign_keys}
    return frozenset(tables)


def _result_columns(statement: Any) -> tuple[Any, ...]:
    """The columns of the statement's rows: a select's, or those after RETURNING."""
    return tuple(statement.exported_columns)


def _bind_processor(type_: Any, dialect: Dialect) -> Convert | None:
    if isinstance(type_, Direct):
        return type_.to_database
    processor: Convert | None = type_.dialect_impl(dialect).bind_processor(dialect)
    return processor


def _result_processor(type_: Any, dialect: Dialect) -> Convert | None:
    if isinstance(type_, Direct):
        return type_.from_database
    processor: Convert | None = type_.dialect_impl(dialect).result_processor(dialect, None)
    return processor
