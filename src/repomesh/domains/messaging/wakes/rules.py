"""Pure decisions about waking: an idle model costs nothing, but each of its turns does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from repomesh.domains.messaging.messages.rules import IMPORTANT, RANKS
from repomesh.kernel.limits import WAKE_BEHIND_WAIT_S, WAKE_RETRY_S, WAKE_TRIES_MAX


@dataclass(frozen=True, slots=True)
class WakeCandidate:
    """An unread message of an idle CLI session, and the attempts to wake the session for it.

    `direct`: the sender named the agent. `arrived`: the session was woken for the message already.
    """

    priority: int
    ack_required: bool
    direct: bool
    stored_at: datetime
    arrived: bool = False
    failures: int = 0
    failed_at: datetime | None = None


def is_worth_a_turn(candidate: WakeCandidate) -> bool:
    """Whether a message justifies a turn: it is important, must be acknowledged, or names the agent."""
    if candidate.priority >= IMPORTANT or candidate.ack_required:
        return True
    return candidate.direct and candidate.priority > RANKS["low"]


def due_at(candidate: WakeCandidate, *, has_wait: bool) -> datetime | None:
    """When to wake the session for a message; None for never.

    A session is woken once for a message. A failed attempt is repeated a few times, each time later. An agent
    with a wait of its own (`has_wait`) first gets the time to find the message through that wait.
    """
    if candidate.arrived or candidate.failures >= WAKE_TRIES_MAX or not is_worth_a_turn(candidate):
        return None
    if candidate.failed_at is not None:
        return candidate.failed_at + timedelta(seconds=WAKE_RETRY_S * candidate.failures)
    return candidate.stored_at + timedelta(seconds=WAKE_BEHIND_WAIT_S if has_wait else 0)
