"""Clocks: the machine's, behind a port so that tests can move it, and one that never goes back."""

from __future__ import annotations

import re
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Protocol

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, PlainSerializer, Strict

# Linux counts the time of a suspended machine on this clock only; elsewhere the monotonic one does.
_ELAPSED = getattr(time, "CLOCK_BOOTTIME", None)
_MICROSECOND = timedelta(microseconds=1)
# How fast time runs while it is ahead of the wall clock: durations are then a ninth longer, never shorter.
_CATCH_UP_RATE = 0.9


class Clock(Protocol):
    """The clocks of a machine."""

    def __call__(self) -> datetime:
        """The wall clock's time in UTC, which somebody may set."""
        ...

    def elapsed_s(self) -> float:
        """Seconds since some moment, by a clock that nobody sets."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def __call__(self) -> datetime:
        """The present time in UTC."""
        return datetime.now(UTC)

    def elapsed_s(self) -> float:
        """Seconds since the machine was started, where it can those of its suspension included."""
        return time.monotonic() if _ELAPSED is None else time.clock_gettime(_ELAPSED)


system_clock = SystemClock()


class SteadyClock:
    """The wall clock's time, but it never goes back.

    When the wall clock is put back, time runs on at nine tenths of its speed until the wall clock has caught
    up. When the wall clock jumps ahead, or the machine was suspended, time jumps with it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._now = clock()
        self._elapsed_s = clock.elapsed_s()

    def __call__(self) -> datetime:
        """The present time; not before any that was answered."""
        with self._lock:
            return self._advance()

    def following(self) -> datetime:
        """The present time, or a microsecond after the last one that was answered; later than all of them."""
        with self._lock:
            last = self._now
            self._now = max(self._advance(), last + _MICROSECOND)
            return self._now

    def advance_to(self, moment: datetime) -> None:
        """Move the clock ahead to `moment`, unless it is past it."""
        with self._lock:
            self._now = max(self._advance(), moment)

    def _advance(self) -> datetime:
        elapsed_s, wall = self._clock.elapsed_s(), self._clock()
        least_s = (elapsed_s - self._elapsed_s) * _CATCH_UP_RATE
        self._elapsed_s = elapsed_s
        is_behind = (wall - self._now).total_seconds() < least_s
        self._now = self._now + timedelta(seconds=least_s) if is_behind else wall
        return self._now


@lru_cache(maxsize=256)  # one command's time stands in its rows, its event and its answer
def rfc3339(moment: datetime) -> str:
    """`2026-01-31T12:00:00.000000Z`: always six digits and `Z`, so that the text sorts by time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


def _parse_rfc3339(value: object) -> object:
    """Parse text as RFC 3339; without this the library would take numbers and dates, too."""
    if not isinstance(value, str):
        return value
    if _RFC3339.fullmatch(value) is None:
        raise ValueError("must be an RFC 3339 time with its zone, such as 2026-01-31T12:00:00Z")
    return datetime.fromisoformat(value.upper())


def _convert_to_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # such as the last hour of the year 9999, west of Greenwich
        raise ValueError("is outside the years 1 to 9999 in UTC") from None


Timestamp = Annotated[
    AwareDatetime,
    Strict(),
    BeforeValidator(_parse_rfc3339),
    AfterValidator(_convert_to_utc),
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
]
"""A time with its zone; serialised as RFC 3339 in UTC."""
