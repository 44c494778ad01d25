"""Tables of messages, their receipts and reactions.

Neither agents nor workspaces are ever deleted, so the rows written with every message refer to them
without a foreign key, whose check would cost on each.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    Text,
)

from repomesh.store.tables import metadata, partial_index
from repomesh.store.types import Ascii, Json, Timestamp, Uuid

# `due_at` is when the sender gets a notice unless the message has arrived by then; null for no notice.
messages = Table(
    "messages",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("sender_id", Uuid),  # null for the server itself
    Column("sender_name", String(64), nullable=False),
    Column("addressed_to", Json, nullable=False),
    Column("recipient_count", Integer, nullable=False),
    Column("broadcast", Boolean, nullable=False),
    Column("channel_id", Uuid),
    Column("channel_name", String(64)),
    Column("subject", String(200), nullable=False),
    Column("body", Text, nullable=False),
    Column("body_chars", Integer, nullable=False),
    Column("topic", String(200), nullable=False),
    Column("tags", Json, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("task_id", Uuid),
    Column("thread_id", Uuid, nullable=False),
    Column("parent_message_id", Uuid),
    Column("related_message_id", Uuid),
    Column("hop", Integer, nullable=False),
    Column("ack_required", Boolean, nullable=False),
    Column("ack_deadline", Timestamp),
    Column("expires_at", Timestamp),
    Column("due_at", Timestamp),
    Column("undelivered_at", Timestamp),
    Column("created_at", Timestamp, nullable=False),
    Index("ix_messages_sender", "workspace_id", "sender_id", "id"),
    Index("ix_messages_thread", "workspace_id", "thread_id", "id"),
)
_condition = messages.c.topic != ""
partial_index(
    "ix_messages_topic",
    messages.c.workspace_id,
    messages.c.topic,
    messages.c.id,
    where=_condition,
)
for _name, _second in (("channel", "channel_id"), ("task", "task_id"), ("due", "due_at")):
    _condition = messages.c[_second].is_not(None)
    partial_index(
        f"ix_messages_{_name}",
        messages.c.workspace_id,
        messages.c[_second],
        messages.c.id,
        where=_condition,
    )
_condition = messages.c.due_at.is_not(None)
partial_index(
    "ix_messages_due_anywhere",
    messages.c.due_at,
    messages.c.workspace_id,
    where=_condition,
)

# One row for each recipient. Sender, priority and expiry stand here once more so that counting what is
# unread reads one index and nothing else.
receipts = Table(
    "receipts",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("agent_id", Uuid, primary_key=True),
    Column("message_id", Uuid, primary_key=True),
    Column("sender_id", Uuid),
    Column("priority", Integer, nullable=False),
    Column("expires_at", Timestamp),
    Column("stored_at", Timestamp, nullable=False),
    Column("offered_at", Timestamp),
    Column("injected_at", Timestamp),
    Column("read_at", Timestamp),
    Column("acked_at", Timestamp),
    ForeignKeyConstraint(
        ["workspace_id", "message_id"], ["messages.workspace_id", "messages.id"], name="fk_receipts_message"
    ),
    Index("ix_receipts_message", "workspace_id", "message_id", "agent_id"),
)
_unread = receipts.c.read_at.is_(None)
partial_index(
    "ix_receipts_unread",
    receipts.c.workspace_id,
    receipts.c.agent_id,
    receipts.c.message_id,
    receipts.c.priority,
    receipts.c.expires_at,
    receipts.c.read_at,  # always null here, but without it one engine would look into the rows
    where=_unread,
)
_not_injected = receipts.c.injected_at.is_(None)
partial_index(
    "ix_receipts_not_injected",
    receipts.c.workspace_id,
    receipts.c.agent_id,
    receipts.c.message_id,
    receipts.c.priority,
    receipts.c.expires_at,
    receipts.c.injected_at,  # always null here, but without it one engine would look into the rows
    where=_not_injected,
)

reactions = Table(
    "reactions",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("message_id", Uuid, primary_key=True),
    Column("agent_id", Uuid, primary_key=True),
    Column("reaction", Ascii, primary_key=True),
    Column("created_at", Timestamp, nullable=False),
    ForeignKeyConstraint(
        ["workspace_id", "message_id"], ["messages.workspace_id", "messages.id"], name="fk_reactions_message"
    ),
)
