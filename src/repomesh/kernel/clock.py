"""The server's clock, behind a port so that tests can move it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, PlainSerializer

Clock = Callable[[], datetime]
"""Answers the present time, in UTC."""


def system_clock() -> datetime:
    """The present time in UTC."""
    return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """`2026-01-31T12:00:00.000000Z`: always six digits and `Z`, so that the text sorts by time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


Timestamp = Annotated[AwareDatetime, PlainSerializer(rfc3339, return_type=str, when_used="json")]
"""A time with its zone; serialised as RFC 3339 in UTC."""
