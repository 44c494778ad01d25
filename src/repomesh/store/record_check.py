"""A look at every row of a SQLite database, for values that its server could not read."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from repomesh.kernel import limits
from repomesh.store.types import Unreadable, decode_text, shown_text


@dataclass(frozen=True, slots=True)
class RecordCheck:
    """The records, named by table and key, with a text that is no UTF-8 or in place of a number.

    At most DAMAGED_SHOWN_MAX are named. Where `complete` is false, not all rows were looked at.
    """

    damaged: tuple[str, ...]
    complete: bool = True


def check_records(database: Path, within_s: float) -> RecordCheck:
    """Look at the rows of a database, which may be in use, for at most `within_s` seconds."""
    deadline = time.monotonic() + within_s
    damaged: list[str] = []
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        connection.text_factory = decode_text
        for name in _damaged_records(connection):
            if name is not None:
                damaged.append(name)
            if len(damaged) >= limits.DAMAGED_SHOWN_MAX or time.monotonic() > deadline:
                return RecordCheck(tuple(damaged), complete=False)
    return RecordCheck(tuple(damaged))


def _damaged_records(connection: sqlite3.Connection) -> Iterator[str | None]:
    """Yield the name of each damaged row, and None for each row that can be read."""
    tables = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'"
    for (table,) in connection.execute(f"{tables} AND name NOT LIKE 'sqlite%' ORDER BY name").fetchall():
        columns = connection.execute("SELECT name, type, pk FROM pragma_table_info(?)", [table]).fetchall()
        names = ", ".join(f'"{name}"' for name, _type, _pk in columns)
        keys = [index for index, (_name, _type, pk) in enumerate(columns) if pk]
        is_number = [_holds_numbers(type_) for _name, type_, _pk in columns]
        for row in connection.execute(f'SELECT {names} FROM "{table}"'):  # noqa: S608 - the schema's own names
            bad = [
                columns[index][0]
                for index, value in enumerate(row)
                if value.__class__ is Unreadable or (is_number[index] and value.__class__ is str)
            ]
            key = "/".join(shown_text(row[index]) for index in keys if columns[index][0] != "workspace_id")
            yield f"{table} {key} ({', '.join(bad)})" if bad else None


def _holds_numbers(type_: str) -> bool:
    return type_.upper().startswith(("INT", "BIGINT", "BOOL", "FLOAT"))
