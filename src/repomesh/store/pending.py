"""Rows of one commit that are not in their tables yet.

Sixteen senders in one commit insert into the same few tables. One statement a table for all of them costs
half of one for each: the driver lets go of the interpreter's lock around every statement, and while the event
loop is busy each of these is a wait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from repomesh.store.prepared import PreparedStatement

Rows = list[Mapping[str, Any]]


class PendingInserts:
    """Rows that the commands of one commit inserted. They are written before any statement could see them.

    `written` counts the rows that were written; `wrote_own` is True when any belonged to the command that
    runs now.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: dict[PreparedStatement, Rows] = {}
        self._tables: set[str] = set()
        self._marks: dict[PreparedStatement, int] = {}
        self.wrote_own = False
        self.written = 0

    def add(self, statement: PreparedStatement, rows: Sequence[Mapping[str, Any]]) -> None:
        """Queue rows for an insert."""
        pending_rows = self._rows.get(statement)
        if pending_rows is None:
            self._rows[statement] = list(rows)
            self._tables |= statement.tables
        else:
            pending_rows += rows

    def concerns(self, statement: PreparedStatement) -> bool:
        """Whether a statement may read, or need, the queued rows."""
        return bool(self._rows) and not self._tables.isdisjoint(statement.tables)

    def write(self) -> None:
        """Insert the queued rows, in the order in which the tables were first named."""
        if not self._rows:
            return
        pending_rows = self._rows
        self.wrote_own |= any(
            len(rows) > self._marks.get(statement, 0) for statement, rows in pending_rows.items()
        )
        self.drop()
        self._marks = {}
        for statement, rows in pending_rows.items():
            statement.run(self._connection, rows)
            self.written += len(rows)

    def mark(self) -> None:
        """Begin a command: rows added from now on are its own."""
        self._marks = {statement: len(rows) for statement, rows in self._rows.items()}
        self.wrote_own = False

    def drop_own(self) -> None:
        """Drop the rows that the failed command added since the mark; none of them was written."""
        earlier_rows = {
            statement: rows[: self._marks.get(statement, 0)] for statement, rows in self._rows.items()
        }
        self._rows = {statement: rows for statement, rows in earlier_rows.items() if rows}

    def drop(self) -> None:
        """Drop all queued rows."""
        self._rows, self._tables = {}, set()
