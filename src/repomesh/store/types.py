"""Column types that mean the same on both engines."""

from __future__ import annotations

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


class Direct(TypeDecorator[Any]):
    """A type whose conversions are the same on both engines, and two plain functions."""

    @staticmethod
    def to_database(value: Any) -> Any:
        """A value as the driver takes it."""
        raise NotImplementedError

    @staticmethod
    def from_database(value: Any) -> Any:
        """A value as Python holds it."""
        raise NotImplementedError

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """The same, as SQLAlchemy calls it."""
        return self.to_database(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """The same, as SQLAlchemy calls it."""
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
    def from_database(value: int | None) -> datetime | None:
        """The time in UTC; raises DamagedRecord for what is none."""
        try:
            return None if value is None else _EPOCH + timedelta(microseconds=value)
        except (TypeError, OverflowError) as error:
            raise DamagedRecord(f"a stored time can't be read: {error}") from error


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
        """The value as Python holds it; raises DamagedRecord for what is no JSON."""
        try:
            return None if value is None else shown_json(orjson.loads(value), value)
        except ValueError as error:
            raise DamagedRecord(f"a stored value can't be read: {error}") from error


# Text that compares by code point on both engines, for prefixes and ranges.
Ascii = String().with_variant(String(collation="C"), "postgresql")

# A UUID in canonical form. Text, so that both engines and every surface show the same.
Uuid = String(36)
