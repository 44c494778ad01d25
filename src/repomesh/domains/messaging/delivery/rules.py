"""Pure functions: the texts of non-delivery notices and reminders."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from repomesh.domains.messaging.delivery.models import MissedRecipient
from repomesh.domains.messaging.messages.models import ReceiptStatus
from repomesh.kernel import limits


def notice(
    subject: str, sent_at: datetime, reason: str, missed: Sequence[MissedRecipient], total: int
) -> tuple[str, str]:
    """The subject and body of the notice that tells a sender which of `total` recipients missed a message."""
    outcome = "expired" if reason == "expired" else "was not acknowledged in time"
    listed = missed[: limits.UNDELIVERED_NAMED_MAX]
    lines = [_recipient_line(recipient) for recipient in listed]
    if len(missed) > len(listed):
        lines.append(f"- and {len(missed) - len(listed)} more: see the receipts of the message")
    body = (
        f"Your message of {sent_at:%Y-%m-%d %H:%M:%S} UTC {outcome}. "
        f"It did not get through to {len(missed)} of {total} recipients:\n\n" + "\n".join(lines)
    )
    return f"Not delivered: {subject}"[: limits.LABEL_CHARS_MAX], body


def reminder(senders: Sequence[str], left_s: float | None, warn_s: float) -> str:
    """One line about important messages and an expiring lease; empty when there is neither.

    `senders`: one per message, newest first. `left_s`: seconds until the agent's first lease ends.
    """
    sentences = []
    if senders:
        names = list(dict.fromkeys(senders))
        shown_names = ", ".join(names[: limits.REMINDER_NAMED_MAX])
        more = " and others" if len(names) > limits.REMINDER_NAMED_MAX else ""
        count = f"{len(senders)} unread messages need" if len(senders) > 1 else "An unread message needs"
        sentences.append(f"{count} you, from {shown_names}{more}: read_inbox with unread=true.")
    if left_s is not None and 0 < left_s <= warn_s:
        sentences.append(
            f"A lock or task of yours runs out in {left_s:.0f} s: claim or acquire it anew, or stop."
        )
    return f"[repomesh] {' '.join(sentences)}" if sentences else ""


def _recipient_line(recipient: MissedRecipient) -> str:
    return f"- {recipient.agent_name}: {_STATUS_TEXTS[recipient.status]}" + (
        f" ({recipient.reason})" if recipient.reason else ""
    )


def why_missed(agent_status: str, failure: str | None, tried: bool, hooked: bool) -> str:
    """Why a message has not reached a model; `hooked`: hooks report a live session of the agent's CLI."""
    if agent_status != "active":
        return "instance gone: nobody speaks for this agent now"
    if failure:
        return f"hook failing: {failure}"
    if tried:
        return "handed out, and not yet seen in the model's context"
    if not hooked:
        return "no route: no hooks of its CLI are connected, and it did not ask"
    return "not handed out yet: its CLI has not called a hook since"


_STATUS_TEXTS: dict[ReceiptStatus, str] = {
    "stored": "never offered to it",
    "offered": "offered, but not shown to its model",
    "injected": "shown to its model, not acknowledged",
    "read": "read, not acknowledged",
    "acked": "acknowledged",
}
