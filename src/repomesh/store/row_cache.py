"""A cache of rows for the only writer of a database."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from repomesh.kernel.limits import KNOWN_ANSWERS_MAX


class RowCache:
    """Caches the rows of queries until one of the tables changes that any of them was read from."""

    def __init__(self) -> None:
        self._rows: dict[Hashable, list[Any]] = {}
        self._tables: frozenset[str] = frozenset()

    def get(self, key: Hashable) -> list[Any] | None:
        """The rows kept under `key`, or None."""
        return self._rows.get(key)

    def keep(self, key: Hashable, rows: list[Any], tables: frozenset[str]) -> None:
        """Remember rows that were read from `tables`."""
        if len(self._rows) >= KNOWN_ANSWERS_MAX:
            self._rows.clear()
        self._rows[key] = rows
        self._tables |= tables

    def changed(self, table: str | None) -> None:
        """Clear the cache if `table`, which is about to change, is among its tables."""
        if table in self._tables:
            self._rows.clear()

    def forget(self) -> None:
        """Clear the cache: changes that its rows show may have been undone."""
        self._rows.clear()
