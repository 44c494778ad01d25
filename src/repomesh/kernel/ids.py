"""Identifiers: UUIDv7, so that ids sort by the time they were made."""

from __future__ import annotations

import random
import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import StringConstraints
from uuid_utils import uuid7

UUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"

Id = Annotated[str, StringConstraints(pattern=UUID_PATTERN)]
"""A UUID in lower-case canonical form. Anything else is refused as invalid, never looked up."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# The system's: one of the process's own repeats itself in a fork, and where somebody seeds it.
_RANDOM = random.SystemRandom()


def new_id() -> str:
    """A new UUIDv7 in canonical form, by the machine's clock: for ids whose order does not matter."""
    return str(uuid7())


class IdSequence:
    """UUIDv7s of one moment, each greater than those before, and than all of an earlier microsecond.

    The 12 bits behind the milliseconds hold the microseconds (RFC 9562, 6.2, method 3), and the rest is a
    random number that grows by another one (method 2).
    """

    __slots__ = ("_head", "_tail")

    def __init__(self, moment: datetime) -> None:
        milliseconds, microseconds = divmod((moment - _EPOCH) // _MICROSECOND, 1_000)
        digits = f"{milliseconds:012x}"
        self._head = f"{digits[:8]}-{digits[8:]}-7{microseconds << 2:03x}-"
        # The variant, and of 62 bits all but one, which is left to grow into. No id is a secret.
        self._tail = 2 << 62 | _RANDOM.getrandbits(61)

    def next_id(self) -> str:
        """The next id in canonical form."""
        self._tail += 1 + _RANDOM.getrandbits(32)
        digits = f"{self._tail:016x}"
        return f"{self._head}{digits[:4]}-{digits[4:]}"


def first_id_at(milliseconds: int) -> str:
    """The smallest UUIDv7 made so many milliseconds after 1970; the bound of a range of ids."""
    digits = f"{min(max(milliseconds, 0), 2**48 - 1):012x}"
    return f"{digits[:8]}-{digits[8:]}-7000-8000-000000000000"


def new_secret() -> str:
    """A bearer token: 256 random bits behind a prefix that secret scanners can recognise."""
    return "rpm_" + secrets.token_urlsafe(32)
