"""Tables of outgoing webhooks."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text

from repomesh.store.tables import metadata, partial_index
from repomesh.store.types import Json, Timestamp, Uuid

# The secrets are kept as they are, since they sign. `position` is the last event that was looked at.
webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("workspace_id", Uuid, ForeignKey("workspaces.id"), nullable=False),
    Column("agent_id", Uuid),
    Column("url", Text, nullable=False),
    Column("types", Json, nullable=False),
    Column("description", String(200), nullable=False),
    Column("status", String(16), nullable=False),  # active, paused, disabled or deleted
    Column("reason", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("old_secret", Text),
    Column("old_secret_until", Timestamp),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Column("version", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("delivered_at", Timestamp),
    Column("failing_since", Timestamp),
    Column("rests_until", Timestamp),
    Column("claimed_by", Uuid),  # the id of the present claim
    # The end of the claim; without one, when the last ended: the webhook served longest ago comes first.
    Column("claimed_until", Timestamp),
    Index("ix_webhooks_workspace", "workspace_id", "id"),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("workspace_id", Uuid, nullable=False),
    Column("webhook_id", Uuid, ForeignKey("webhooks.id"), nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("type", String(100), nullable=False),
    Column("status", String(16), nullable=False),  # waiting, delivered or dead
    Column("attempts", Integer, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("next_at", Timestamp),
    Column("last_at", Timestamp),
    Column("last_status", Integer),
    Column("last_error", Text),
    Column("response", Text),
    Column("ended_at", Timestamp),
    Column("forget_at", Timestamp),
    Column("body", Text),  # as it is sent; nothing once it was delivered
    Index("ix_webhook_deliveries_webhook", "webhook_id", "id"),
)
_WAITING = webhook_deliveries.c.status == "waiting"
_DEAD = webhook_deliveries.c.status == "dead"
_ENDED = webhook_deliveries.c.forget_at.is_not(None)
partial_index(
    "ix_webhook_deliveries_due",
    webhook_deliveries.c.webhook_id,
    webhook_deliveries.c.next_at,
    webhook_deliveries.c.seq,
    where=_WAITING,
)
partial_index(
    "ix_webhook_deliveries_dead",
    webhook_deliveries.c.webhook_id,
    webhook_deliveries.c.id,
    where=_DEAD,
)
partial_index(
    "ix_webhook_deliveries_forget",
    webhook_deliveries.c.workspace_id,
    webhook_deliveries.c.forget_at,
    where=_ENDED,
)
