"""Pure decisions about what did not get through, and what must not be overlooked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from repomesh.domains.messaging.delivery.models import MissedRecipient
from repomesh.domains.messaging.messages.models import ReceiptStatus
from repomesh.kernel import limits


def notice(
    subject: str, sent_at: datetime, reason: str, missed: Sequence[MissedRecipient], total: int
) -> tuple[str, str]:
    """Subject and body of a non-delivery notice."""
    what = "expired" if reason == "expired" else "was not acknowledged in time"
    named = missed[: limits.UNDELIVERED_NAMED_MAX]
    lines = [_line(one) for one in named]
    if len(missed) > len(named):
        lines.append(f"- and {len(missed) - len(named)} more: see the receipts of the message")
    body = (
        f"Your message of {sent_at:%Y-%m-%d %H:%M:%S} UTC {what}. "
        f"It did not get through to {len(missed)} of {total} recipients:\n\n" + "\n".join(lines)
    )
    return f"Not delivered: {subject}"[: limits.LABEL_CHARS_MAX], body


def reminder(senders: Sequence[str], left_s: float | None, warn_s: float) -> str:
    """One line about important messages and a lease that runs out; empty when neither is so.

    `senders` are those of the messages, newest first; `left_s` is how long the first lease still runs.
    """
    said = []
    if senders:
        few = list(dict.fromkeys(senders))
        named = ", ".join(few[: limits.REMINDER_NAMED_MAX])
        more = " and others" if len(few) > limits.REMINDER_NAMED_MAX else ""
        count = f"{len(senders)} unread messages need" if len(senders) > 1 else "An unread message needs"
        said.append(f"{count} you, from {named}{more}: read_inbox with unread=true.")
    if left_s is not None and 0 < left_s <= warn_s:
        said.append(f"A lock or task of yours runs out in {left_s:.0f} s: claim or acquire it anew, or stop.")
    return f"[repomesh] {' '.join(said)}" if said else ""


def _line(one: MissedRecipient) -> str:
    return f"- {one.agent_name}: {_GOT[one.status]}" + (f" ({one.reason})" if one.reason else "")


def why_missed(agent_status: str, failure: str | None, tried: bool, hooked: bool) -> str:
    """Why a message has not reached a model; `hooked` says whether hooks tell of the agent's CLI."""
    if agent_status != "active":
        return "instance gone: nobody speaks for this agent now"
    if failure:
        return f"hook failing: {failure}"
    if tried:
        return "handed out, and not yet seen in the model's context"
    if not hooked:
        return "no route: no hooks of its CLI are connected, and it did not ask"
    return "not handed out yet: its CLI has not called a hook since"


_GOT: dict[ReceiptStatus, str] = {
    "stored": "never offered to it",
    "offered": "offered, but not shown to its model",
    "injected": "shown to its model, not acknowledged",
    "read": "read, not acknowledged",
    "acked": "acknowledged",
}
