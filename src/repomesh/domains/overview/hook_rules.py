"""Pure decisions on what a CLI session is told."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from repomesh.domains.leases.models import EndedReason, Lease, LostLease
from repomesh.domains.messaging.messages.envelope import BAR, one_line
from repomesh.domains.overview.hook_models import BlockingLock
from repomesh.kernel.limits import (
    BRIEFING_ITEMS_MAX,
    DELIVERY_BYTES_MAX,
    LEASE_WARNINGS_S,
    RESOURCE_SHOWN_CHARS,
    STOP_BLOCKS_MAX,
)

# Another agent wrote the pattern, and a character class can hold any words: such a one is not repeated.
_PLAIN = re.compile(rf"[A-Za-z0-9_./*?+@-]{{1,{RESOURCE_SHOWN_CHARS}}}")

_WILD = frozenset("*?[")


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


def other_name(asked: str, name: str) -> str:
    """What to say to a session that asked to be one agent and is another."""
    return f"[repomesh: you asked to be '{asked}', which was not possible now: you are '{name}'.]"


def losses(lost: Sequence[LostLease], max_chars: int) -> str:
    """What an agent is told of leases that it lost, in at most `max_chars`; empty when it lost none."""
    if not lost:
        return ""
    text = "[repomesh] First: you no longer hold this. Take it again before you go on with it."
    for index, one in enumerate(lost):
        line = f"\n{BAR}{loss(one)}"
        left = len(lost) - index
        more = f"\nand {left} more" if left else ""
        if index == BRIEFING_ITEMS_MAX or len(text) + len(line) + len(more) > max_chars:
            return text + more
        text += line
    return text


def loss(lost: LostLease) -> str:
    """One lease that was lost: what, when, why, and who holds the same by now."""
    what = f"task {lost.resource}" if lost.resource_type == "task" else f"'{shown(lost.resource)}'"
    why = _AT_ITS_LONGEST if lost.reason == "expired" and lost.at_its_longest else _WHY_LOST[lost.reason]
    by = f"; agent '{lost.holder_name}' holds it now" if lost.holder_name else ""
    return f"{what} (token {lost.fencing_token}) since {lost.at:%m-%d %H:%M:%S} UTC: {why}{by}"


_PAST_LOCKS_MAX = 3  # named in a denial; they say why, and the locks of others say what to do
_AT_ITS_LONGEST = "it had been held for as long as it may be without being renewed"
_WHY_LOST: dict[EndedReason, str] = {
    "released": "it was given back",
    "expired": "it expired, for you were silent and did not renew it",
    "abandoned": "you were silent for too long, or your session was over",
    "revoked": "the token that held it was revoked",
    "forced": "an administrator took it away",
}


def denial(
    hindrances: Sequence[BlockingLock], lost: Sequence[LostLease], now: datetime, unresolved: str = ""
) -> str:
    """What a model is told that is about to edit what others hold; `unresolved`: why that could not be told.

    `lost` are its own past locks on it.

    Fits into what a hook prints: a longer answer would not reach the CLI, and the edit would pass.
    """
    lines = [_held(one, now) for one in hindrances[:BRIEFING_ITEMS_MAX]]
    if len(hindrances) > len(lines):
        lines.append(f"and {len(hindrances) - len(lines)} more")
    while len(lines) > 1 and sum(len(line.encode()) for line in lines) > DELIVERY_BYTES_MAX // 2:
        lines = [*lines[:-2], f"and {len(hindrances) - len(lines) + 2} more"]
    lines = [*(f"you held {loss(one)}" for one in lost[:_PAST_LOCKS_MAX]), *lines]
    if unresolved:
        lines.insert(0, f"This may write anywhere in the repository: {one_line(unresolved)}")
        end = "Write out which files it changes, one command for each, and it is checked for these only."
    else:
        end = "Do not get around the lock by other means."
    return (
        f"[repomesh] {'; '.join(lines)}. Do other work meanwhile, ask the holder with send_message, or wait "
        f"with acquire_locks(resources, wait_s=50) and then edit. {end}"
    )


def _held(one: BlockingLock, now: datetime) -> str:
    what = f"'{shown(one.path)}'" if one.path else "a part of the repository"
    pattern = f" with '{one.resource}'" if one.resource != one.path and _PLAIN.fullmatch(one.resource) else ""
    left_s = max(round((one.expires_at - now).total_seconds()), 0)
    return (
        f"{what} is locked by agent '{one.holder_name}' until {one.expires_at:%H:%M:%S} UTC"
        f" ({left_s} s from now){pattern}"
    )


def folder_of_glob(glob: str) -> str:
    """The folder in which all that a shell's glob names lies; `''` for the root."""
    segments = glob.split("/")
    wild = next((at for at, part in enumerate(segments) if not _WILD.isdisjoint(part)), len(segments) - 1)
    return "/".join(segments[:wild])


def shown(resource: str) -> str:
    """A path or resource as a model is told it."""
    text = one_line(resource[: RESOURCE_SHOWN_CHARS * 4])  # some of it may go
    return text if len(text) <= RESOURCE_SHOWN_CHARS else text[: RESOURCE_SHOWN_CHARS - 1] + "…"
