"""The table of questions that agents put to people."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, String, Table, Text, literal_column

from repomesh.store.tables import metadata, partial_index
from repomesh.store.types import Json, Timestamp, Uuid

# A question is the first message of a thread; `escalation_message_id` is the one that handed it on.
questions = Table(
    "questions",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("asker_id", Uuid, nullable=False),
    Column("asker_name", String(64), nullable=False),
    Column("asked_id", Uuid, nullable=False),
    Column("asked_name", String(64), nullable=False),
    Column("message_id", Uuid, nullable=False),
    Column("question", Text, nullable=False),
    Column("options", Json, nullable=False),
    Column("default_answer", Text),
    Column("deadline_s", Float),
    Column("deadline_at", Timestamp),
    Column("escalate_to_id", Uuid),
    Column("escalate_to_name", String(64)),
    Column("escalated_at", Timestamp),
    Column("escalation_message_id", Uuid),
    Column("task_id", Uuid),
    Column("status", String(16), nullable=False),
    Column("answer", Text),
    Column("option", Text),
    Column("answered_by", String(64)),
    Column("created_at", Timestamp, nullable=False),
    Column("closed_at", Timestamp),
    Index("ix_questions_message", "workspace_id", "message_id"),
    Index("ix_questions_asker", "workspace_id", "asker_id", "id"),
    Index("ix_questions_asked", "workspace_id", "asked_id", "id"),
)
_escalated = questions.c.escalated_at.is_not(None)
partial_index(
    "ix_questions_escalated",
    questions.c.workspace_id,
    questions.c.escalate_to_id,
    questions.c.id,
    where=_escalated,
)
# Written out rather than bound: a partial index serves only queries that are seen to imply it.
OPEN = questions.c.status == literal_column("'open'")
partial_index(
    "ix_questions_due",
    questions.c.workspace_id,
    questions.c.deadline_at,
    questions.c.id,
    where=OPEN,
)
partial_index(
    "ix_questions_due_anywhere",
    questions.c.deadline_at,
    questions.c.workspace_id,
    where=OPEN,
)
