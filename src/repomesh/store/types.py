"""Column types that mean the same on both engines."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import BigInteger, ColumnElement, String, Text, type_coerce
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from repomesh.kernel.errors import DamagedRecord
from repomesh.kernel.json_values import shown_json

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """An aware time as microseconds since 1970 in UTC."""
    return (moment - _EPOCH) // _MICROSECOND


class Unreadable:
    """Stands for a stored value that can't be read: whatever uses the value raises DamagedRecord.

    So reading a row never fails, and a damaged one fails alone, where it becomes a model. `raw` is what is
    stored.
    """

    __slots__ = ("raw", "reason")

    def __init__(self, raw: Any, reason: str) -> None:
        self.raw = raw
        self.reason = reason
        _created.reason = reason

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # libraries look for protocols by these
            raise AttributeError(name)
        raise DamagedRecord(self.reason)

    def _refuse(self, *_others: Any) -> Any:
        raise DamagedRecord(self.reason)

    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = __hash__ = _refuse
    __int__ = __float__ = __index__ = __bytes__ = _refuse
    __conform__ = _refuse  # SQLite's driver calls it for a parameter of a statement
    __add__ = __radd__ = __sub__ = __rsub__ = _refuse
    __bool__ = __len__ = __iter__ = __contains__ = __getitem__ = __format__ = __str__ = _refuse


_created = threading.local()


def reset_unreadable_note() -> None:
    """Begin anew to note whether this thread reads values that can't be read."""
    _created.reason = None


def unreadable_reason() -> str | None:
    """Why a value that this thread read since `reset_unreadable_note` is unreadable; None without any."""
    reason: str | None = getattr(_created, "reason", None)
    return reason


def unreadable(value: Any, kind: str, reason: object) -> Unreadable:
    """The mark for a stored `kind` of value that can't be read; a value that is marked already stays."""
    return (
        value
        if isinstance(value, Unreadable)
        else Unreadable(value, f"a stored {kind} can't be read: {reason}")
    )


def decode_text(stored: bytes) -> str | Unreadable:
    """Return a stored text; Unreadable for what is not UTF-8. SQLite's driver calls it for each text."""
    try:
        return stored.decode()
    except UnicodeDecodeError as error:
        return unreadable(stored, "text", error)


def shown_text(value: Any) -> str:
    """A text for display; of one that can't be read, what is readable of it."""
    raw = value.raw if isinstance(value, Unreadable) else value
    return raw.decode(errors="replace") if isinstance(raw, bytes) else str(raw)


class Direct(TypeDecorator[Any]):
    """A type whose conversions are the same on both engines, and two plain functions."""

    @staticmethod
    def to_database(value: Any) -> Any:
        """Convert a value for the driver."""
        raise NotImplementedError

    @staticmethod
    def from_database(value: Any) -> Any:
        """Convert a value of the driver."""
        raise NotImplementedError

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """`to_database`, as SQLAlchemy calls it."""
        return self.to_database(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """`from_database`, as SQLAlchemy calls it."""
        return self.from_database(value)


class Timestamp(Direct):
    """A time with zone, kept as microseconds since 1970 in UTC: exact, ordered, 8 bytes."""

    impl = BigInteger
    cache_ok = True

    @staticmethod
    def to_database(value: datetime | None) -> int | None:
        """Microseconds of an aware time."""
        return None if value is None else microseconds(value)

    @staticmethod
    def from_database(value: int | None) -> datetime | Unreadable | None:
        """The time in UTC; Unreadable for what is none."""
        try:
            return None if value is None else _EPOCH + timedelta(microseconds=value)
        except (TypeError, OverflowError) as error:
            return unreadable(value, "time", error)


def later_by(column: ColumnElement[Any], by_us: ColumnElement[int]) -> ColumnElement[Any]:
    """The time in a column, and so many microseconds."""
    return type_coerce(type_coerce(column, BigInteger) + by_us, Timestamp())


class Json(Direct):
    """A JSON value kept as compact text, so that it can be passed on without being read."""

    impl = Text
    cache_ok = True

    @staticmethod
    def to_database(value: Any) -> str | None:
        """Compact JSON; tuples become lists."""
        return None if value is None else orjson.dumps(value).decode()

    @staticmethod
    def from_database(value: str | None) -> Any:
        """The value as Python holds it; Unreadable for what is no JSON."""
        try:
            return None if value is None else shown_json(orjson.loads(value), value)
        except ValueError as error:
            return unreadable(value, "value", error)


# Text that compares by code point on both engines, for prefixes and ranges.
Ascii = String().with_variant(String(collation="C"), "postgresql")

# A UUID in canonical form. Text, so that both engines and every surface show the same.
Uuid = String(36)
