"""Tables of meetings, and of what was said and voted in them.

`flow` is how a meeting stands, as its rules keep it; the columns beside it are what it is looked up by.
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
    literal_column,
)

from repomesh.store.tables import metadata, partial_index
from repomesh.store.types import Json, Timestamp, Uuid

meetings = Table(
    "meetings",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("meeting_type", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("outcome", String(16)),
    Column("phase", String(16)),
    Column("due_at", Timestamp),
    Column("flow", Json, nullable=False),
    Column("agenda", Json, nullable=False),
    Column("template", String(64)),
    Column("opinion_prompt", Text, nullable=False),
    Column("vote_prompt", Text, nullable=False),
    Column("related_message_ids", Json, nullable=False),
    Column("related_task_ids", Json, nullable=False),
    Column("supersedes_id", Uuid),
    Column("proposal", Text),  # of the round in which it stands
    Column("thread_id", Uuid),  # the first of its requests
    Column("decision_id", Uuid),
    Column("summary", Text),
    Column("reason", Text, nullable=False),
    Column("created_by", String(64)),
    Column("created_by_id", Uuid),
    Column("created_at", Timestamp, nullable=False),
    Column("started_at", Timestamp),
    Column("ended_at", Timestamp),
    Column("version", Integer, nullable=False),
    Index("ix_meetings_status", "workspace_id", "status", "id"),
)
# Written out rather than bound: a partial index serves only queries that are seen to imply it.
RUNNING = meetings.c.status == literal_column("'in_progress'")
partial_index(
    "ix_meetings_due",
    meetings.c.workspace_id,
    meetings.c.due_at,
    where=RUNNING,
)
partial_index(
    "ix_meetings_due_anywhere",
    meetings.c.due_at,
    meetings.c.workspace_id,
    where=RUNNING,
)

_OF_MEETING = ("workspace_id", "meeting_id"), ("meetings.workspace_id", "meetings.id")

meeting_participants = Table(
    "meeting_participants",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("meeting_id", Uuid, primary_key=True),
    Column("agent_id", Uuid, primary_key=True),
    Column("max_chars", Integer, nullable=False),
    Column("awaited", Boolean, nullable=False),
    Column("message_id", Uuid),  # its last request
    ForeignKeyConstraint(*_OF_MEETING, name="fk_meeting_participants_meeting"),
    Index("ix_meeting_participants_agent", "workspace_id", "agent_id", "meeting_id"),
    Index("ix_meeting_participants_awaited", "workspace_id", "awaited", "agent_id"),
)

meeting_opinions = Table(
    "meeting_opinions",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("meeting_id", Uuid, primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("round", Integer, nullable=False),
    Column("agent_id", Uuid, nullable=False),
    Column("agent_name", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("content", Text, nullable=False),
    Column("proposal", Text),
    Column("tasks", Json, nullable=False),
    Column("at", Timestamp, nullable=False),
    ForeignKeyConstraint(*_OF_MEETING, name="fk_meeting_opinions_meeting"),
)

meeting_proposals = Table(
    "meeting_proposals",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("meeting_id", Uuid, primary_key=True),
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("source", String(16), nullable=False),
    Column("sequence", Integer),
    Column("text", Text, nullable=False),
    Column("agent_name", String(64)),
    Column("tasks", Json, nullable=False),
    Column("at", Timestamp, nullable=False),
    ForeignKeyConstraint(*_OF_MEETING, name="fk_meeting_proposals_meeting"),
)

meeting_votes = Table(
    "meeting_votes",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("meeting_id", Uuid, primary_key=True),
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("agent_id", Uuid, primary_key=True),
    Column("agent_name", String(64), nullable=False),
    Column("choice", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("amendment", Text),
    Column("at", Timestamp, nullable=False),
    ForeignKeyConstraint(*_OF_MEETING, name="fk_meeting_votes_meeting"),
)
