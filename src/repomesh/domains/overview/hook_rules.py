"""Pure decisions on what a CLI session is told."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from repomesh.domains.leases.models import Lease
from repomesh.domains.messaging.envelope import one_line
from repomesh.domains.overview.hook_models import Hindrance
from repomesh.kernel.limits import (
    BRIEFING_ITEMS_MAX,
    LEASE_WARNINGS_S,
    RESOURCE_SHOWN_CHARS,
    STOP_BLOCKS_MAX,
)

# Another agent wrote the pattern, and a character class can hold any words: such a one is not repeated.
_PLAIN = re.compile(rf"[A-Za-z0-9_./*?+@-]{{1,{RESOURCE_SHOWN_CHARS}}}")


def worth_holding(
    pressing: Sequence[str], blocks: int, told: Collection[str], loop_guard: bool | None
) -> list[str]:
    """The messages for which the end of a turn is held back: those not told at an end of it before.

    At most STOP_BLOCKS_MAX times in a row. When the CLI itself says that the turn goes on only because its
    end was held back, and that was not our doing, nothing more is added to it.
    """
    foreign = loop_guard is True and blocks == 0
    if foreign or blocks >= STOP_BLOCKS_MAX:
        return []
    return [message_id for message_id in pressing if message_id not in told]


def threshold(lease: Lease, warned_s: int | None, now: datetime) -> int | None:
    """The seconds left of which the holder of a lease is to be warned now; None for no warning.

    Each threshold is told once. While heartbeats renew a lease it does not expire: a threshold counts only
    for a lease much longer than it, or for one that they renew no more.
    """
    left = lease.expires_at - now
    final = lease.expires_at >= lease.max_hold_until
    reached = [
        seconds
        for seconds in LEASE_WARNINGS_S
        if left <= timedelta(seconds=seconds)
        and (warned_s is None or seconds < warned_s)
        and (final or seconds * 2 < lease.ttl_s)
    ]
    return min(reached, default=None)


def warning(lease: Lease, now: datetime) -> str:
    """What the holder of a lease is told before it expires."""
    left = round((lease.expires_at - now).total_seconds())
    what = f"task {lease.resource}" if lease.resource_type == "task" else f"'{shown(lease.resource)}'"
    return (
        f"[repomesh] Your lease on {what} (token {lease.fencing_token}) expires in {left} s: "
        "finish and give it back, or take it again to hold it longer."
    )


def denial(hindrances: Sequence[Hindrance], now: datetime) -> str:
    """What a model is told that is about to edit what others hold."""
    lines = [
        f"'{shown(one.path)}' is locked by agent '{one.holder_name}' until {one.expires_at:%H:%M:%S} UTC"
        f" ({max(round((one.expires_at - now).total_seconds()), 0)} s from now)"
        + (f" with '{one.resource}'" if one.resource != one.path and _PLAIN.fullmatch(one.resource) else "")
        for one in hindrances[:BRIEFING_ITEMS_MAX]
    ]
    if len(hindrances) > len(lines):
        lines.append(f"and {len(hindrances) - len(lines)} more")
    return (
        f"[repomesh] {'; '.join(lines)}. Do other work meanwhile, ask the holder with send_message, or wait "
        "with acquire_locks(resources, wait_s=50) and then edit. Do not get around the lock by other means."
    )


def shown(resource: str) -> str:
    """A path or resource as a model is told it."""
    text = one_line(resource[: RESOURCE_SHOWN_CHARS * 4])  # some of it may go
    return text if len(text) <= RESOURCE_SHOWN_CHARS else text[: RESOURCE_SHOWN_CHARS - 1] + "…"
