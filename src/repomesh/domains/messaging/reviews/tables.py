"""Tables of code reviews. The texts of comments and verdicts are in the messages of their threads."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKeyConstraint, Index, Integer, String, Table, Text

from repomesh.store.tables import metadata, partial_index
from repomesh.store.types import Json, Timestamp, Uuid

reviews = Table(
    "reviews",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("title", String(200), nullable=False),
    Column("description", Text, nullable=False),
    Column("commit_range", String(200)),
    Column("files", Json, nullable=False),
    Column("file_count", Integer, nullable=False),
    Column("diff", Text),
    Column("diff_chars", Integer, nullable=False),
    Column("state", String(24), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("author_id", Uuid, nullable=False),
    Column("author_name", String(64), nullable=False),
    Column("task_id", Uuid),
    Column("thread_id", Uuid, nullable=False),
    Column("message_id", Uuid, nullable=False),  # asks for the present revision
    Column("comment_count", Integer, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Column("version", Integer, nullable=False),
    Index("ix_reviews_state", "workspace_id", "state", "id"),
    Index("ix_reviews_author", "workspace_id", "author_id", "id"),
)
_of_a_task = reviews.c.task_id.is_not(None)
partial_index(
    "ix_reviews_task",
    reviews.c.workspace_id,
    reviews.c.task_id,
    reviews.c.id,
    where=_of_a_task,
)

# `place` is the order in which the reviewers were named; `verdict` is on the present revision.
review_reviewers = Table(
    "review_reviewers",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("review_id", Uuid, primary_key=True),
    Column("agent_id", Uuid, primary_key=True),
    Column("agent_name", String(64), nullable=False),
    Column("place", Integer, nullable=False),
    Column("verdict", String(24)),
    Column("decided_at", Timestamp),
    ForeignKeyConstraint(
        ["workspace_id", "review_id"],
        ["reviews.workspace_id", "reviews.id"],
        name="fk_review_reviewers_review",
    ),
    Index("ix_review_reviewers_agent", "workspace_id", "agent_id", "review_id"),
)

# The messages of the thread that are comments or verdicts. Its other messages are plain answers.
review_remarks = Table(
    "review_remarks",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("message_id", Uuid, primary_key=True),
    Column("review_id", Uuid, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("file", Text),
    Column("line", Integer),
    Column("verdict", String(24)),
    ForeignKeyConstraint(
        ["workspace_id", "review_id"], ["reviews.workspace_id", "reviews.id"], name="fk_review_remarks_review"
    ),
    ForeignKeyConstraint(
        ["workspace_id", "message_id"],
        ["messages.workspace_id", "messages.id"],
        name="fk_review_remarks_message",
    ),
)
