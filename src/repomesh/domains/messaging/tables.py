"""Tables of messages, their receipts and reactions, and of channels.

Neither agents nor workspaces are ever deleted, so the rows written with every message refer to them
without a foreign key, whose check would cost on each.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
)

from repomesh.store.tables import metadata
from repomesh.store.types import Ascii, Json, Moment, Uuid

channels = Table(
    "channels",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("workspace_id", Uuid, ForeignKey("workspaces.id"), nullable=False),
    Column("name", Ascii, nullable=False),
    Column("description", String(200), nullable=False),
    Column("created_by", Uuid),
    Column("created_at", Moment, nullable=False),
    Column("archived_at", Moment),
    UniqueConstraint("workspace_id", "name", name="uq_channels_workspace_id_name"),
)

channel_members = Table(
    "channel_members",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("channel_id", Uuid, ForeignKey("channels.id"), primary_key=True),
    Column("agent_id", Uuid, ForeignKey("agents.id"), primary_key=True),
    Column("joined_at", Moment, nullable=False),
    Index("ix_channel_members_agent", "workspace_id", "agent_id"),
)

# `due_at` is when the sender must be told unless the message has arrived by then; null when nobody waits.
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
    Column("ack_deadline", Moment),
    Column("expires_at", Moment),
    Column("due_at", Moment),
    Column("undelivered_at", Moment),
    Column("created_at", Moment, nullable=False),
    Index("ix_messages_sender", "workspace_id", "sender_id", "id"),
    Index("ix_messages_thread", "workspace_id", "thread_id", "id"),
)
_having = messages.c.topic != ""
Index(
    "ix_messages_topic",
    messages.c.workspace_id,
    messages.c.topic,
    messages.c.id,
    sqlite_where=_having,
    postgresql_where=_having,
)
for _name, _second in (("channel", "channel_id"), ("task", "task_id"), ("due", "due_at")):
    _having = messages.c[_second].is_not(None)
    Index(
        f"ix_messages_{_name}",
        messages.c.workspace_id,
        messages.c[_second],
        messages.c.id,
        sqlite_where=_having,
        postgresql_where=_having,
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
    Column("expires_at", Moment),
    Column("stored_at", Moment, nullable=False),
    Column("offered_at", Moment),
    Column("injected_at", Moment),
    Column("read_at", Moment),
    Column("acked_at", Moment),
    ForeignKeyConstraint(
        ["workspace_id", "message_id"], ["messages.workspace_id", "messages.id"], name="fk_receipts_message"
    ),
    Index("ix_receipts_message", "workspace_id", "message_id", "agent_id"),
)
_unread = receipts.c.read_at.is_(None)
Index(
    "ix_receipts_unread",
    receipts.c.workspace_id,
    receipts.c.agent_id,
    receipts.c.message_id,
    receipts.c.priority,
    receipts.c.expires_at,
    receipts.c.read_at,  # always null here, but without it one engine would look into the rows
    sqlite_where=_unread,
    postgresql_where=_unread,
)
_not_injected = receipts.c.injected_at.is_(None)
Index(
    "ix_receipts_not_injected",
    receipts.c.workspace_id,
    receipts.c.agent_id,
    receipts.c.message_id,
    receipts.c.priority,
    receipts.c.expires_at,
    receipts.c.injected_at,  # always null here, but without it one engine would look into the rows
    sqlite_where=_not_injected,
    postgresql_where=_not_injected,
)

# One try to put messages before a model: what was handed out under a boundary, by which route, to which
# CLI session. It left the server in time at `sent_at`; the boundary was known to be in the model's context
# at `confirmed_at`; or it came to nothing, at `failed_at` and for the reason `failure`.
deliveries = Table(
    "deliveries",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("boundary", String(64), primary_key=True),
    Column("agent_id", Uuid, nullable=False),
    Column("cli", String(32)),
    Column("session_id", String(128)),
    Column("route", String(32), nullable=False),
    Column("message_ids", Json, nullable=False),
    Column("at", Moment, nullable=False),
    Column("sent_at", Moment),
    Column("confirmed_at", Moment),
    Column("failed_at", Moment),
    Column("failure", String(200)),
    Index("ix_deliveries_at", "workspace_id", "at"),
)
_undecided = and_(deliveries.c.confirmed_at.is_(None), deliveries.c.failed_at.is_(None))
Index(
    "ix_deliveries_open",
    deliveries.c.workspace_id,
    deliveries.c.cli,
    deliveries.c.session_id,
    deliveries.c.at,
    sqlite_where=_undecided,
    postgresql_where=_undecided,
)

# Which messages each delivery carried, found by the message.
delivery_messages = Table(
    "delivery_messages",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("message_id", Uuid, primary_key=True),
    Column("agent_id", Uuid, primary_key=True),
    Column("boundary", String(64), primary_key=True),
    ForeignKeyConstraint(
        ["workspace_id", "boundary"],
        ["deliveries.workspace_id", "deliveries.boundary"],
        name="fk_delivery_messages_delivery",
    ),
    Index("ix_delivery_messages_boundary", "workspace_id", "boundary"),
)

reactions = Table(
    "reactions",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("message_id", Uuid, primary_key=True),
    Column("agent_id", Uuid, primary_key=True),
    Column("reaction", Ascii, primary_key=True),
    Column("created_at", Moment, nullable=False),
    ForeignKeyConstraint(
        ["workspace_id", "message_id"], ["messages.workspace_id", "messages.id"], name="fk_reactions_message"
    ),
)
