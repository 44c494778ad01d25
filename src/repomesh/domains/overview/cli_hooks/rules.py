"""Pure decisions on the texts and warnings that hooks put before the model of a CLI session."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from repomesh.domains.leases.models import EndedReason, Lease, LostLease
from repomesh.domains.messaging.messages.envelope import BAR, one_line
from repomesh.domains.overview.cli_hooks.models import BlockingLock
from repomesh.kernel.limits import (
    BRIEFING_ITEMS_MAX,
    DELIVERY_BYTES_MAX,
    LEASE_WARNINGS_S,
    RESOURCE_SHOWN_CHARS,
    STOP_BLOCKS_MAX,
)

# Another agent wrote the pattern, and a character class can hold any words: only plain ones are repeated.
_PLAIN = re.compile(rf"[A-Za-z0-9_./*?+@-]{{1,{RESOURCE_SHOWN_CHARS}}}")

_WILD = frozenset("*?[")


def messages_to_hold_for(
    pressing_ids: Sequence[str], block_count: int, told_ids: Collection[str], loop_guard: bool | None
) -> list[str]:
    """The ids of the messages for which the end of a turn is held back: those not yet shown at its end.

    Empty after STOP_BLOCKS_MAX times in a row, and when the CLI says that the turn goes on only because
    another hook held its end back (`loop_guard`).
    """
    held_by_others = loop_guard is True and block_count == 0
    if held_by_others or block_count >= STOP_BLOCKS_MAX:
        return []
    return [message_id for message_id in pressing_ids if message_id not in told_ids]


def warning_threshold(lease: Lease, warned_s: int | None, now: datetime) -> int | None:
    """The seconds left of which the holder of a lease is to be warned now; None for no warning.

    Each threshold is warned of once. While heartbeats renew a lease it does not expire: a threshold counts
    only for a lease more than twice as long, or for one that heartbeats no longer renew.
    """
    time_left = lease.expires_at - now
    is_at_longest = lease.expires_at >= lease.max_hold_until
    reached_thresholds = [
        seconds
        for seconds in LEASE_WARNINGS_S
        if time_left <= timedelta(seconds=seconds)
        and (warned_s is None or seconds < warned_s)
        and (is_at_longest or seconds * 2 < lease.ttl_s)
    ]
    return min(reached_thresholds, default=None)


def warning_text(lease: Lease, now: datetime) -> str:
    """The warning to the holder of a lease that it will expire."""
    seconds_left = round((lease.expires_at - now).total_seconds())
    subject = f"task {lease.resource}" if lease.resource_type == "task" else f"'{shorten(lease.resource)}'"
    return (
        f"[repomesh] Your lease on {subject} (token {lease.fencing_token}) expires in {seconds_left} s: "
        "finish and give it back, or take it again to hold it longer."
    )


def other_name_text(requested_name: str, name: str) -> str:
    """The notice to a session that it did not get the agent name it asked for."""
    return f"[repomesh: you asked to be '{requested_name}', which was not possible now: you are '{name}'.]"


def losses_text(lost_leases: Sequence[LostLease], max_chars: int) -> str:
    """The report of an agent's lost leases, in at most `max_chars`; empty when it lost none."""
    if not lost_leases:
        return ""
    text = "[repomesh] First: you no longer hold this. Take it again before you go on with it."
    for index, lost_lease in enumerate(lost_leases):
        line = f"\n{BAR}{loss_text(lost_lease)}"
        remaining_count = len(lost_leases) - index
        remainder = f"\nand {remaining_count} more" if remaining_count else ""
        if index == BRIEFING_ITEMS_MAX or len(text) + len(line) + len(remainder) > max_chars:
            return text + remainder
        text += line
    return text


def loss_text(lost_lease: LostLease) -> str:
    """One line on a lost lease: its resource, when and why it was lost, and who holds the same now."""
    is_task = lost_lease.resource_type == "task"
    subject = f"task {lost_lease.resource}" if is_task else f"'{shorten(lost_lease.resource)}'"
    ran_out = lost_lease.reason == "expired" and lost_lease.reached_max_hold
    reason = _AT_ITS_LONGEST if ran_out else _WHY_LOST[lost_lease.reason]
    holder_part = f"; agent '{lost_lease.holder_name}' holds it now" if lost_lease.holder_name else ""
    return (
        f"{subject} (token {lost_lease.fencing_token}) since {lost_lease.at:%m-%d %H:%M:%S} UTC:"
        f" {reason}{holder_part}"
    )


_PAST_LOCKS_MAX = 3  # named in a denial; the locks of others are more useful, and space is short
_AT_ITS_LONGEST = "it had been held for as long as it may be without being renewed"
_WHY_LOST: dict[EndedReason, str] = {
    "released": "it was given back",
    "expired": "it expired, for you were silent and did not renew it",
    "abandoned": "you were silent for too long, or your session was over",
    "revoked": "the token that held it was revoked",
    "forced": "an administrator took it away",
}


def denial_text(
    hindrances: Sequence[BlockingLock], past_locks: Sequence[LostLease], now: datetime, unresolved: str = ""
) -> str:
    """The refusal of an edit of files that others hold.

    `past_locks` are the agent's own lost locks on them; `unresolved` says why the files are not known.
    Fits into what a hook prints: a longer answer would not reach the CLI, and the edit would pass.
    """
    lines = [_hindrance_text(lock, now) for lock in hindrances[:BRIEFING_ITEMS_MAX]]
    if len(hindrances) > len(lines):
        lines.append(f"and {len(hindrances) - len(lines)} more")
    while len(lines) > 1 and sum(len(line.encode()) for line in lines) > DELIVERY_BYTES_MAX // 2:
        lines = [*lines[:-2], f"and {len(hindrances) - len(lines) + 2} more"]
    lines = [*(f"you held {loss_text(lock)}" for lock in past_locks[:_PAST_LOCKS_MAX]), *lines]
    if unresolved:
        lines.insert(0, f"This may write anywhere in the repository: {one_line(unresolved)}")
        advice = "Write out which files it changes, one command for each, and it is checked for these only."
    else:
        advice = "Do not get around the lock by other means."
    return (
        f"[repomesh] {'; '.join(lines)}. Do other work meanwhile, ask the holder with send_message, or wait "
        f"with acquire_locks(resources, wait_s=50) and then edit. {advice}"
    )


def _hindrance_text(lock: BlockingLock, now: datetime) -> str:
    subject = f"'{shorten(lock.path)}'" if lock.path else "a part of the repository"
    shows_pattern = lock.resource != lock.path and _PLAIN.fullmatch(lock.resource)
    pattern_part = f" with '{lock.resource}'" if shows_pattern else ""
    left_s = max(round((lock.expires_at - now).total_seconds()), 0)
    return (
        f"{subject} is locked by agent '{lock.holder_name}' until {lock.expires_at:%H:%M:%S} UTC"
        f" ({left_s} s from now){pattern_part}"
    )


def folder_of_glob(glob: str) -> str:
    """The folder that contains all files that a shell's glob can name; `''` for the root."""
    segments = glob.split("/")
    first_wild = next(
        (index for index, part in enumerate(segments) if not _WILD.isdisjoint(part)), len(segments) - 1
    )
    return "/".join(segments[:first_wild])


def shorten(resource: str) -> str:
    """A text on one line, cut to RESOURCE_SHOWN_CHARS."""
    text = one_line(resource[: RESOURCE_SHOWN_CHARS * 4])  # more than is shown: some may be removed
    return text if len(text) <= RESOURCE_SHOWN_CHARS else text[: RESOURCE_SHOWN_CHARS - 1] + "…"
