"""Pure decisions on whom to wake: an idle model costs nothing, and each turn of it does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from repomesh.domains.messaging.messages.rules import IMPORTANT, RANKS
from repomesh.kernel.limits import WAKE_BEHIND_WAIT_S, WAKE_RETRY_S, WAKE_TRIES_MAX


@dataclass(frozen=True, slots=True)
class WakeCandidate:
    """A message that waits for an idle CLI session, and what was tried.

    `direct` says that its sender named the agent; `arrived` that the session was woken for it already.
    """

    priority: int
    ack_required: bool
    direct: bool
    stored_at: datetime
    arrived: bool = False
    failures: int = 0
    failed_at: datetime | None = None


def wakes(candidate: WakeCandidate) -> bool:
    """Whether a message is worth a turn: what is for the agent itself, or important to everybody."""
    if candidate.priority >= IMPORTANT or candidate.ack_required:
        return True
    return candidate.direct and candidate.priority > RANKS["low"]


def due_at(candidate: WakeCandidate, *, waits: bool) -> datetime | None:
    """When to wake the session for a message; None for never.

    Once is enough, and who refuses is asked again a few times, each time later. An agent whose client asks
    about a wait of its own (`waits`) is left the time to find the message by that.
    """
    if candidate.arrived or candidate.failures >= WAKE_TRIES_MAX or not wakes(candidate):
        return None
    if candidate.failed_at is not None:
        return candidate.failed_at + timedelta(seconds=WAKE_RETRY_S * candidate.failures)
    return candidate.stored_at + timedelta(seconds=WAKE_BEHIND_WAIT_S if waits else 0)


def first(moments: Iterable[datetime | None]) -> datetime | None:
    """The earliest of the moments that are set."""
    return min((moment for moment in moments if moment is not None), default=None)
