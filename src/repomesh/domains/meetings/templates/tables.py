"""The table of the templates that workspaces made for themselves."""

from __future__ import annotations

from sqlalchemy import Column, Float, Integer, String, Table, Text

from repomesh.store.tables import metadata
from repomesh.store.types import Ascii, Json, Timestamp, Uuid

meeting_templates = Table(
    "meeting_templates",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("name", Ascii, primary_key=True),
    Column("description", String(200), nullable=False),
    Column("agenda", Json, nullable=False),
    Column("consensus", String(16), nullable=False),
    Column("quorum", Integer),
    Column("max_discussion_rounds", Integer, nullable=False),
    Column("speaking_order", String(16), nullable=False),
    Column("opinion_timeout_s", Float, nullable=False),
    Column("vote_timeout_s", Float, nullable=False),
    Column("opinion_prompt", Text, nullable=False),
    Column("vote_prompt", Text, nullable=False),
    Column("created_by", String(64)),
    Column("created_at", Timestamp, nullable=False),
)
