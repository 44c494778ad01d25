"""Identifiers: UUIDv7, so that ids sort by the time they were made."""

from __future__ import annotations

import secrets
from typing import Annotated

from pydantic import StringConstraints
from uuid_utils import uuid7

UUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"

Id = Annotated[str, StringConstraints(pattern=UUID_PATTERN)]
"""A UUID in lower-case canonical form. Anything else is refused as invalid, never looked up."""


def new_id() -> str:
    """A new UUIDv7 in canonical form."""
    return str(uuid7())


def first_id_at(milliseconds: int) -> str:
    """The smallest UUIDv7 made so many milliseconds after 1970; the bound of a range of ids."""
    digits = f"{min(max(milliseconds, 0), 2**48 - 1):012x}"
    return f"{digits[:8]}-{digits[8:]}-7000-8000-000000000000"


def new_secret() -> str:
    """A bearer token: 256 random bits behind a prefix that secret scanners can recognise."""
    return "rpm_" + secrets.token_urlsafe(32)
