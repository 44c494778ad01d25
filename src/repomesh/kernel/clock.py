"""The server's clock, behind a port so that tests can move it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, PlainSerializer, Strict

Clock = Callable[[], datetime]
"""Answers the present time, in UTC."""


def system_clock() -> datetime:
    """The present time in UTC."""
    return datetime.now(UTC)


@lru_cache(maxsize=256)  # one command's time stands in its rows, its event and its answer
def rfc3339(moment: datetime) -> str:
    """`2026-01-31T12:00:00.000000Z`: always six digits and `Z`, so that the text sorts by time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


def _read(value: object) -> object:
    """Read text as a time here: the library would take numbers and dates, too."""
    if not isinstance(value, str):
        return value
    if _RFC3339.fullmatch(value) is None:
        raise ValueError("must be an RFC 3339 time with its zone, such as 2026-01-31T12:00:00Z")
    return datetime.fromisoformat(value.upper())


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # such as the last hour of the year 9999, west of Greenwich
        raise ValueError("is outside the years 1 to 9999 in UTC") from None


Timestamp = Annotated[
    AwareDatetime,
    Strict(),
    BeforeValidator(_read),
    AfterValidator(_in_utc),
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
]
"""A time with its zone; serialised as RFC 3339 in UTC."""
