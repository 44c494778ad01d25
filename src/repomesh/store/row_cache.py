"""What the only writer of a database need not look up again."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from repomesh.kernel.limits import KNOWN_ANSWERS_MAX


class RowCache:
    """Rows that were read, each until one of the tables changes that any of them was read from."""

    def __init__(self) -> None:
        self._rows: dict[Hashable, list[Any]] = {}
        self._tables: frozenset[str] = frozenset()

    def get(self, asked: Hashable) -> list[Any] | None:
        """The rows that were answered, or None."""
        return self._rows.get(asked)

    def keep(self, asked: Hashable, rows: list[Any], tables: frozenset[str]) -> None:
        """Remember rows that were read from `tables`."""
        if len(self._rows) >= KNOWN_ANSWERS_MAX:
            self._rows.clear()
        self._rows[asked] = rows
        self._tables |= tables

    def changed(self, table: str | None) -> None:
        """A statement is about to change `table`, if any."""
        if table in self._tables:
            self._rows.clear()

    def forget(self) -> None:
        """What was read may have been undone."""
        self._rows.clear()
