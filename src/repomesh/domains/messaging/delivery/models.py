"""Models of delivery: each attempt to put messages into a model's context, and its outcome."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from repomesh.domains.leases.models import LostLease
from repomesh.domains.messaging.messages.models import Message, ReceiptStatus
from repomesh.kernel import limits
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.event_types import event_type
from repomesh.kernel.fields import Cursor, Label, Page, PageLimit
from repomesh.kernel.ids import Id
from repomesh.kernel.limits import PAGE_ITEMS_DEFAULT
from repomesh.kernel.operation import Model, PartialResult

Route = Literal["session_start", "compacted", "prompt", "after_tool", "turn_end", "wake", "mcp"]
"""How messages were handed out: at a moment of a CLI session, by waking it, or as a tool's result."""

Boundary = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{8,64}$")]

Boundaries = Annotated[tuple[Boundary, ...], Field(max_length=limits.PAGE_ITEMS_MAX)]


class Delivery(Model):
    """One attempt to put a message into the context of a recipient's model."""

    route: Route
    cli: str | None
    session_id: str | None
    at: Timestamp = Field(description="When the message was handed out.")
    sent_at: Timestamp | None = Field(description="When the answer had left the server in time.")
    confirmed_at: Timestamp | None = Field(
        description="When the message was known to be in the model's context."
    )
    failed_at: Timestamp | None
    failure: str | None = Field(description="Why the delivery failed.")


class TraceMessage(Model):
    """The path of one message."""

    message_id: Id
    cursor: Cursor | None = None
    limit: PageLimit = PAGE_ITEMS_DEFAULT


class TracedRecipient(Model):
    """How far a message got with one recipient. Each time is set once; deliveries are oldest first."""

    agent_id: Id
    agent_name: str
    agent_status: str
    status: ReceiptStatus
    stored_at: Timestamp
    offered_at: Timestamp | None
    injected_at: Timestamp | None
    read_at: Timestamp | None
    acked_at: Timestamp | None
    deliveries: list[Delivery]
    reason: str = Field(description="Why it has not reached the model, as far as is known; else empty.")


class TracedNotice(Model):
    """A notice that told the sender who missed the message."""

    message_id: Id
    subject: str
    created_at: Timestamp


class MessageTrace(Model):
    """The path of a message with times, by recipient."""

    message_id: Id
    sender_name: str
    created_at: Timestamp
    expires_at: Timestamp | None
    ack_deadline: Timestamp | None
    undelivered_at: Timestamp | None
    recipient_count: int
    recipients: list[TracedRecipient]
    notices: list[TracedNotice]
    next_cursor: str | None = None


class Thread(Page[Message]):
    """A page of a thread, with the trace of the requested message if the request has `trace`."""

    trace: MessageTrace | None = None


class DeliverySent(Model):
    """Whether the answer with a delivery left the server in time."""

    boundary: Boundary
    failure: Label = Field("", description="Why it can't have reached the model; empty when it left in time.")


class DeliveriesConfirmed(Model):
    """Deliveries whose boundary was found in the model's context."""

    boundaries: Boundaries


class MarkInjected(Model):
    """The messages in a tool's result that was returned to the acting agent's model."""

    message_ids: Annotated[tuple[Id, ...], Field(max_length=limits.PAGE_ITEMS_MAX)]
    boundary: Boundary


class ListUndecided(Model):
    """Select deliveries that are neither confirmed nor failed: of one CLI session, or of all."""

    cli: Annotated[str, StringConstraints(max_length=32)] | None = None
    session_id: Annotated[str, StringConstraints(max_length=limits.CLI_SESSION_ID_CHARS_MAX)] | None = None


class UndecidedDelivery(Model):
    """A delivery that may be found in a transcript."""

    boundary: str
    agent_id: Id
    agent_name: str
    cli: str
    session_id: str
    at: Timestamp
    sent_at: Timestamp | None
    transcript_path: str | None


class UndecidedDeliveries(Model):
    """Deliveries that are neither confirmed nor failed, the newest first."""

    items: list[UndecidedDelivery]


class ForgetDeliveries(Model):
    """Give up deliveries that were never confirmed, and forget old ones."""


class ForgottenDeliveries(PartialResult):
    """How many were given up and forgotten."""

    failed: int
    forgotten: int


class RemindOfMessages(Model):
    """The kinds of reminders to return."""

    of_messages: bool = True
    of_leases: bool = True


class Reminder(Model):
    """One line about unread messages and expiring leases, empty for none; and the leases that were lost."""

    line: str
    lost: list[LostLease] = []


class ExpireMessages(Model):
    """Report what was not delivered in time."""


class ExpiredMessages(PartialResult):
    """The messages whose deadline passed and was handled."""

    message_ids: list[Id]


class MissedRecipient(Model):
    """A recipient whom a message did not reach in time, and how far it got."""

    agent_id: Id
    agent_name: str
    status: ReceiptStatus
    reason: str = Field("", description="Why the message was not shown to its model, as far as known.")


class MessageUndelivered(Model):
    """A message expired, or its time for acknowledging ran out; its sender got the notice `notice_id`."""

    message_id: Id
    subject: str
    reason: Literal["expired", "unacknowledged"]
    missed: list[MissedRecipient]
    notice_id: Id
    at: Timestamp


MESSAGE_UNDELIVERED = event_type(
    "message.undelivered",
    MessageUndelivered,
    "A message expired, or nobody acknowledged it in time; its sender got the notice `notice_id`.",
)
