"""Types of SQLite's columns that look at what is stored: SQLite keeps a text in a column of numbers, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Boolean, Float, Integer, LargeBinary
from sqlalchemy.engine import Dialect

from repomesh.store.types import unreadable

_NUMBERS: Final = frozenset({int, float, type(None)})


def _to_number(value: Any) -> Any:
    return value if value.__class__ in _NUMBERS else unreadable(value, "value", "it is no number")


def _to_boolean(value: Any) -> Any:
    if value.__class__ in _NUMBERS:
        return None if value is None else bool(value)
    return unreadable(value, "value", "it is no boolean")


def _to_bytes(value: Any) -> Any:
    return (
        value if value is None or value.__class__ is bytes else unreadable(value, "value", "it is no content")
    )


class CheckedInteger(Integer):
    """An integer; Unreadable for what is stored in its place."""

    def result_processor(self, dialect: Dialect, coltype: Any) -> Callable[[Any], Any]:
        """Return the function that SQLAlchemy calls for each stored value."""
        return _to_number


class CheckedFloat(Float[float]):
    """A number with a fraction; Unreadable for what is stored in its place."""

    def result_processor(self, dialect: Dialect, coltype: Any) -> Callable[[Any], Any]:
        """Return the function that SQLAlchemy calls for each stored value."""
        return _to_number


class CheckedBoolean(Boolean):
    """A boolean; Unreadable for what is stored in its place."""

    def result_processor(self, dialect: Dialect, coltype: Any) -> Callable[[Any], Any]:
        """Return the function that SQLAlchemy calls for each stored value."""
        return _to_boolean


class CheckedBinary(LargeBinary):
    """Bytes; Unreadable for what is stored in their place."""

    def result_processor(self, dialect: Dialect, coltype: Any) -> Callable[[Any], Any]:
        """Return the function that SQLAlchemy calls for each stored value."""
        return _to_bytes


CHECKED_TYPES: Final = {
    Integer: CheckedInteger,
    Float: CheckedFloat,
    Boolean: CheckedBoolean,
    LargeBinary: CheckedBinary,
}
"""The types that SQLAlchemy uses for SQLite in place of its own, by the type of the column."""
