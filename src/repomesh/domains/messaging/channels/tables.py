"""Tables of channels and their members."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, String, Table, UniqueConstraint

from repomesh.store.tables import metadata
from repomesh.store.types import Ascii, Timestamp, Uuid

# `name_key` is the name as names are compared. Where an older release let in names that differ in case only,
# the later channels have 'key#id', which no name is: their exact names alone reach them.
channels = Table(
    "channels",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("workspace_id", Uuid, ForeignKey("workspaces.id"), nullable=False),
    Column("name", Ascii, nullable=False),
    Column("name_key", Ascii, nullable=False),
    Column("description", String(200), nullable=False),
    Column("created_by", Uuid),
    Column("created_at", Timestamp, nullable=False),
    Column("archived_at", Timestamp),
    UniqueConstraint("workspace_id", "name", name="uq_channels_workspace_id_name"),
    Index("ix_channels_name_key", "workspace_id", "name_key", unique=True),
)

channel_members = Table(
    "channel_members",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("channel_id", Uuid, ForeignKey("channels.id"), primary_key=True),
    Column("agent_id", Uuid, ForeignKey("agents.id"), primary_key=True),
    Column("joined_at", Timestamp, nullable=False),
    Index("ix_channel_members_agent", "workspace_id", "agent_id"),
)
