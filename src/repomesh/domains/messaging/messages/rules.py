"""Pure decisions about messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, get_args

from repomesh.domains.messaging.messages.errors import BadExpiry, SeveralChannels, TooManyHops
from repomesh.domains.messaging.messages.models import Priority, ReceiptStatus
from repomesh.kernel import limits

PRIORITIES: tuple[Priority, ...] = get_args(Priority)
RANKS = {word: rank for rank, word in enumerate(PRIORITIES)}
IMPORTANT = RANKS["high"]

STATUSES: tuple[ReceiptStatus, ...] = get_args(ReceiptStatus)
TIMES = tuple(f"{word}_at" for word in STATUSES[1:])
"""The times of a receipt after the one at which it was stored, in their order."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of a message by kind, as its sender wrote them."""

    agents: tuple[str, ...] = ()
    channel: str | None = None
    everybody: bool = False


def addresses(to: Iterable[str]) -> Addresses:
    """Sort the addresses in `to` by kind; raises SeveralChannels."""
    names = dict.fromkeys(to)
    channels = [name[1:] for name in names if name.startswith("#")]
    if len(channels) > 1:
        raise SeveralChannels(f"the message is addressed to {len(channels)} channels")
    agents = tuple(name for name in names if name != "*" and not name.startswith("#"))
    return Addresses(agents, channels[0] if channels else None, "*" in names)


def next_hop(parent_hop: int, sender_type: str | None) -> int:
    """The hop of an answer; raises TooManyHops. An answer by a human resets it."""
    if sender_type == "human":
        return 0
    if parent_hop >= limits.HOPS_MAX:
        raise TooManyHops(f"{limits.HOPS_MAX} answers in a row came from agents without a human in between")
    return parent_hop + 1


def expiry(now: datetime, expires_at: datetime | None, ttl_s: float | None) -> datetime | None:
    """When a message expires; raises BadExpiry."""
    if ttl_s is not None:
        if expires_at is not None:
            raise BadExpiry("both 'expires_at' and 'ttl_s' say when it expires")
        return now + timedelta(seconds=ttl_s)
    if expires_at is not None and not now < expires_at <= now + timedelta(seconds=limits.MESSAGE_TTL_S_MAX):
        raise BadExpiry(f"'expires_at' is not within {limits.MESSAGE_TTL_S_MAX / 86_400:.0f} days from now")
    return expires_at


def earliest(*moments: datetime | None) -> datetime | None:
    """The first of the moments that are set."""
    return min((moment for moment in moments if moment is not None), default=None)


def status(times: Mapping[str, Any]) -> ReceiptStatus:
    """How far a receipt got, from its times."""
    reached: ReceiptStatus = "stored"
    for word, name in zip(STATUSES[1:], TIMES, strict=True):
        if times[name] is not None:
            reached = word
    return reached


def advance_times(
    times: Mapping[str, datetime | None], reached: ReceiptStatus, now: datetime
) -> dict[str, datetime | None]:
    """The times of a receipt that got to `reached`: each is set once, and later ones imply earlier ones."""
    implied = TIMES[: STATUSES.index(reached)]
    return {name: now if moment is None and name in implied else moment for name, moment in times.items()}


def similar_names(unknown: str, names: Sequence[str]) -> list[str]:
    """Up to three of `names` that are most like the unknown name."""
    by_lower = {name.lower(): name for name in names}
    return [by_lower[name] for name in difflib.get_close_matches(unknown.lower(), by_lower, n=3, cutoff=0.6)]
