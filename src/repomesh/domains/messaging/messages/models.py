"""Models of messages, their receipts and reactions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from repomesh.domains.agents.models import AgentRef
from repomesh.kernel import limits
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.event_types import event_type
from repomesh.kernel.fields import Cursor, Label, MaxChars, PageLimit, RecordChars, Tags, Text, WaitSeconds
from repomesh.kernel.ids import Id
from repomesh.kernel.limits import PAGE_ITEMS_DEFAULT
from repomesh.kernel.operation import Model
from repomesh.kernel.prepared_words import PreparesWords

Priority = Literal["low", "normal", "high", "urgent"]

ReceiptStatus = Literal["stored", "offered", "injected", "read", "acked"]
"""How far a message got: kept, handed out, put before the model, read, confirmed. Later implies earlier."""

ChannelRef = Annotated[str, StringConstraints(pattern=r"^#?[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""A channel's name, with or without '#', or its id."""

Address = Annotated[str, StringConstraints(pattern=r"^(\*|#?[A-Za-z0-9][A-Za-z0-9._-]{0,63})$")]
"""An agent's name or id, '#channel', or '*'."""

ReactionText = Annotated[
    # Neither '/' nor a leading '.', which a path would not carry.
    str,
    StringConstraints(
        pattern=r"^[^\x00-\x20\x7f/.][^\x00-\x20\x7f/]*$", max_length=limits.REACTION_CHARS_MAX
    ),
]
"""An emoji or a short word."""


class Message(Model):
    """A message. It never changes; receipts and reactions are separate records."""

    id: Id
    sender_name: str
    sender_id: Id | None = Field(description="Null for the server itself.")
    to: list[str] = Field(description="Agents by name, '#channel', or '*' for everybody.")
    subject: str
    body: str = Field(description="Markdown.")
    body_chars: int = Field(description="Length of the whole body.")
    truncated: bool = Field(False, description="Whether `body` is only the beginning.")
    topic: str = ""
    tags: list[str] = []
    priority: Priority = "normal"
    channel: str | None = Field(None, description="The channel's name.")
    channel_id: Id | None = None
    broadcast: bool = Field(False, description="Whether it went to everybody.")
    recipient_count: int
    task_id: Id | None = None
    thread_id: Id = Field(description="The id of the thread's first message.")
    parent_message_id: Id | None = Field(None, description="The message that this one answers.")
    related_message_id: Id | None = Field(None, description="The message that a notice is about.")
    hop: int = Field(0, description="Answers in a row without a human in between.")
    ack_required: bool = False
    ack_deadline: Timestamp | None = None
    expires_at: Timestamp | None = None
    undelivered_at: Timestamp | None = Field(
        None, description="When its sender was notified of who missed it."
    )
    created_at: Timestamp


class ReceivedMessage(Message):
    """A message as its recipient finds it."""

    status: ReceiptStatus = Field(description="How far the message got with you.")


class SentMessage(Model):
    """A message that was sent, without its text."""

    id: Id
    thread_id: Id
    parent_message_id: Id | None
    to: list[str]
    recipient_count: int
    hop: int
    ack_deadline: Timestamp | None
    expires_at: Timestamp | None
    created_at: Timestamp


class SendMessage(PreparesWords):
    """A message to agents, to a channel or to everybody; an answer when it names a parent.

    An answer has its parent's subject, topic and task unless it says otherwise.
    """

    to: Annotated[tuple[Address, ...], Field(min_length=1, max_length=limits.RECIPIENTS_MAX)] | None = Field(
        None, description="Agent names, '#channel' or '*'; an answer needs none."
    )
    subject: Label | None = Field(None, description="One line.")
    body: Annotated[Text, Field(min_length=1)] = Field(description="Markdown.")
    topic: Label | None = Field(None, description="What to find it by.")
    tags: Tags = ()
    priority: Priority = "normal"
    parent_message_id: Id | None = Field(None, description="The message that you answer.")
    task_id: Id | None = Field(None, description="The task that it is about.")
    ack_required: bool = Field(False, description="Tell me if it isn't acknowledged in time.")
    ack_timeout_s: float | None = Field(
        None,
        ge=1,
        le=limits.MESSAGE_TTL_S_MAX,
        description="Time for acknowledging; a setting of the server's without it. Implies `ack_required`.",
    )
    expires_at: Timestamp | None = Field(None, description="When it is of no use any more.")
    ttl_s: float | None = Field(
        None, ge=1, le=limits.MESSAGE_TTL_S_MAX, description="The same in seconds from now."
    )


class _Filters(Model):
    """The filters that every list of messages has."""

    sender: AgentRef | None = Field(None, description="From this agent.")
    channel: ChannelRef | None = Field(None, description="In this channel.")
    topic: Annotated[Label, Field(min_length=1)] | None = None
    priority: Priority | None = Field(None, description="At least so urgent.")


class _Listing(_Filters):
    """A page of messages, newest first."""

    since: Timestamp | None = Field(None, description="Sent at this time or later.")
    until: Timestamp | None = Field(None, description="Sent before this time.")
    cursor: Cursor | None = None
    limit: PageLimit = PAGE_ITEMS_DEFAULT
    max_chars: MaxChars | None = None


class ReadInbox(_Listing):
    """What the acting agent received."""

    unread: bool = Field(False, description="Only what is not read yet.")


class ReadOutbox(_Listing):
    """What the acting agent sent."""

    never_offered: bool = Field(False, description="Only what some recipient was never offered.")


class ListMessages(_Listing):
    """The communication log."""

    recipient: AgentRef | None = Field(None, description="Received by this agent.")
    task_id: Id | None = Field(None, description="About this task.")
    text: Annotated[Label, Field(min_length=1)] | None = Field(
        None, description="Words, all of which it holds."
    )


class ListChannelMessages(Model):
    """What was said in a channel."""

    channel: ChannelRef
    since: Timestamp | None = Field(None, description="Sent at this time or later.")
    until: Timestamp | None = Field(None, description="Sent before this time.")
    cursor: Cursor | None = None
    limit: PageLimit = PAGE_ITEMS_DEFAULT
    max_chars: MaxChars | None = None


class WaitForMessages(_Filters):
    """Wait until something is unread."""

    timeout_s: WaitSeconds = Field(30.0, description="Longest wait.")
    thread_id: Id | None = Field(None, description="In this thread.")
    after: Id | None = Field(None, description="Newer than this message.")
    cursor: Cursor | None = None
    limit: PageLimit = PAGE_ITEMS_DEFAULT
    max_chars: MaxChars | None = None


class ShowMessage(Model):
    """One message."""

    message_id: Id
    max_chars: RecordChars | None = Field(None, description="Budget for the answer; the body is cut to fit.")


class ReadThread(Model):
    """The thread that a message belongs to."""

    message_id: Id
    newest_first: bool = False
    trace: bool = Field(False, description="Also how far message_id got.")
    cursor: Cursor | None = None
    limit: PageLimit = PAGE_ITEMS_DEFAULT
    max_chars: MaxChars | None = None


class MessageChosen(Model):
    """One message, by its id."""

    message_id: Id


class MessageIds(Model):
    """Messages that the acting agent got to see."""

    message_ids: Annotated[tuple[Id, ...], Field(max_length=limits.PAGE_ITEMS_MAX)]


class MessagesAdvanced(Model):
    """The messages whose receipts the call advanced."""

    message_ids: list[Id]


class Receipt(Model):
    """How far a message got with one recipient. Each time is set once."""

    message_id: Id
    agent_id: Id
    agent_name: str
    status: ReceiptStatus
    stored_at: Timestamp
    offered_at: Timestamp | None = Field(description="Handed out to the agent's program.")
    injected_at: Timestamp | None = Field(description="Put before the model.")
    read_at: Timestamp | None
    acked_at: Timestamp | None


class ListReceipts(Model):
    """The receipts of one message."""

    message_id: Id
    never_offered: bool = Field(False, description="Only recipients who were never offered it.")
    cursor: Cursor | None = None
    limit: PageLimit = PAGE_ITEMS_DEFAULT


class Reaction(Model):
    """One agent's reaction to a message."""

    message_id: Id
    reaction: str
    agent_id: Id
    agent_name: str
    created_at: Timestamp


class React(Model):
    """A reaction to add or remove."""

    message_id: Id
    reaction: ReactionText


class ListReactions(Model):
    """The reactions to one message."""

    message_id: Id
    cursor: Cursor | None = None
    limit: PageLimit = PAGE_ITEMS_DEFAULT


class ReceiptsAdvanced(Model):
    """A recipient got further with messages: the time of `status`, and each earlier one not set, is `at`."""

    agent_id: Id
    agent_name: str
    message_ids: list[Id]
    status: ReceiptStatus
    at: Timestamp


MESSAGE_SENT = event_type(
    "message.sent",
    Message,
    "A message was sent. It never changes; receipts and reactions are separate events.",
)
MESSAGE_OFFERED = event_type(
    "message.offered",
    ReceiptsAdvanced,
    "Messages were handed to a recipient's client; nobody knows yet whether its model saw them.",
)
MESSAGE_INJECTED = event_type(
    "message.injected", ReceiptsAdvanced, "Messages were put before the recipient's model."
)
MESSAGE_READ = event_type("message.read", ReceiptsAdvanced, "The recipient read messages.")
MESSAGE_ACKED = event_type("message.acked", ReceiptsAdvanced, "The recipient acknowledged messages.")
MESSAGE_REACTION_ADDED = event_type("message.reaction_added", Reaction, "An agent reacted to a message.")
MESSAGE_REACTION_REMOVED = event_type(
    "message.reaction_removed", Reaction, "An agent took its reaction back."
)
