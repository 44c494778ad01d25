"""The tables of the domain `messaging`."""

import sqlalchemy as sa
from alembic import op

from repomesh.store.types import Ascii, Timestamp, Uuid

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables of the domain `messaging`."""
    _channels()
    _messages()
    _receipts()
    _reactions()
    _reviews()


def _channels() -> None:
    op.create_table(
        "channels",
        sa.Column("id", Uuid, nullable=False),
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("name", Ascii, nullable=False),
        sa.Column("description", sa.String(200), nullable=False),
        sa.Column("created_by", Uuid),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("archived_at", Timestamp),
        sa.PrimaryKeyConstraint("id", name="pk_channels"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name="fk_channels_workspace_id"),
        sa.UniqueConstraint("workspace_id", "name", name="uq_channels_workspace_id_name"),
    )
    op.create_table(
        "channel_members",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("channel_id", Uuid, nullable=False),
        sa.Column("agent_id", Uuid, nullable=False),
        sa.Column("joined_at", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "channel_id", "agent_id", name="pk_channel_members"),
        sa.ForeignKeyConstraint(["channel_id"], ["channels.id"], name="fk_channel_members_channel_id"),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name="fk_channel_members_agent_id"),
    )
    op.create_index("ix_channel_members_agent", "channel_members", ["workspace_id", "agent_id"])


def _messages() -> None:
    op.create_table(
        "messages",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("id", Uuid, nullable=False),
        sa.Column("sender_id", Uuid),
        sa.Column("sender_name", sa.String(64), nullable=False),
        sa.Column("addressed_to", sa.Text, nullable=False),
        sa.Column("recipient_count", sa.Integer, nullable=False),
        sa.Column("broadcast", sa.Boolean, nullable=False),
        sa.Column("channel_id", Uuid),
        sa.Column("channel_name", sa.String(64)),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("body_chars", sa.Integer, nullable=False),
        sa.Column("topic", sa.String(200), nullable=False),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("task_id", Uuid),
        sa.Column("thread_id", Uuid, nullable=False),
        sa.Column("parent_message_id", Uuid),
        sa.Column("related_message_id", Uuid),
        sa.Column("hop", sa.Integer, nullable=False),
        sa.Column("ack_required", sa.Boolean, nullable=False),
        sa.Column("ack_deadline", Timestamp),
        sa.Column("expires_at", Timestamp),
        sa.Column("due_at", Timestamp),
        sa.Column("undelivered_at", Timestamp),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "id", name="pk_messages"),
    )
    op.create_index("ix_messages_sender", "messages", ["workspace_id", "sender_id", "id"])
    op.create_index("ix_messages_thread", "messages", ["workspace_id", "thread_id", "id"])
    _partial("ix_messages_topic", "messages", ["workspace_id", "topic", "id"], "topic != ''")
    for name, column in (("channel", "channel_id"), ("task", "task_id"), ("due", "due_at")):
        columns = ["workspace_id", column, "id"]
        _partial(f"ix_messages_{name}", "messages", columns, f"{column} IS NOT NULL")


def _receipts() -> None:
    op.create_table(
        "receipts",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("agent_id", Uuid, nullable=False),
        sa.Column("message_id", Uuid, nullable=False),
        sa.Column("sender_id", Uuid),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("expires_at", Timestamp),
        sa.Column("stored_at", Timestamp, nullable=False),
        sa.Column("offered_at", Timestamp),
        sa.Column("injected_at", Timestamp),
        sa.Column("read_at", Timestamp),
        sa.Column("acked_at", Timestamp),
        sa.PrimaryKeyConstraint("workspace_id", "agent_id", "message_id", name="pk_receipts"),
        sa.ForeignKeyConstraint(
            ["workspace_id", "message_id"],
            ["messages.workspace_id", "messages.id"],
            name="fk_receipts_message",
        ),
    )
    op.create_index("ix_receipts_message", "receipts", ["workspace_id", "message_id", "agent_id"])
    unread = ["workspace_id", "agent_id", "message_id", "priority", "expires_at", "read_at"]
    _partial("ix_receipts_unread", "receipts", unread, "read_at IS NULL")
    not_offered = ["workspace_id", "sender_id", "message_id"]
    _partial("ix_receipts_not_offered", "receipts", not_offered, "offered_at IS NULL")


def _reactions() -> None:
    op.create_table(
        "reactions",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("message_id", Uuid, nullable=False),
        sa.Column("agent_id", Uuid, nullable=False),
        sa.Column("reaction", Ascii, nullable=False),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "message_id", "agent_id", "reaction", name="pk_reactions"),
        sa.ForeignKeyConstraint(
            ["workspace_id", "message_id"],
            ["messages.workspace_id", "messages.id"],
            name="fk_reactions_message",
        ),
    )


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)


def _reviews() -> None:
    op.create_table(
        "reviews",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("id", Uuid, nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("commit_range", sa.String(200)),
        sa.Column("files", sa.Text, nullable=False),
        sa.Column("file_count", sa.Integer, nullable=False),
        sa.Column("diff", sa.Text),
        sa.Column("diff_chars", sa.Integer, nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("author_id", Uuid, nullable=False),
        sa.Column("author_name", sa.String(64), nullable=False),
        sa.Column("task_id", Uuid),
        sa.Column("thread_id", Uuid, nullable=False),
        sa.Column("message_id", Uuid, nullable=False),
        sa.Column("comment_count", sa.Integer, nullable=False),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("updated_at", Timestamp, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "id", name="pk_reviews"),
    )
    op.create_index("ix_reviews_state", "reviews", ["workspace_id", "state", "id"])
    op.create_index("ix_reviews_author", "reviews", ["workspace_id", "author_id", "id"])
    of_a_task = sa.text("task_id IS NOT NULL")
    op.create_index(
        "ix_reviews_task",
        "reviews",
        ["workspace_id", "task_id", "id"],
        sqlite_where=of_a_task,
        postgresql_where=of_a_task,
    )
    _review_parts()


def _review_parts() -> None:
    op.create_table(
        "review_reviewers",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("review_id", Uuid, nullable=False),
        sa.Column("agent_id", Uuid, nullable=False),
        sa.Column("agent_name", sa.String(64), nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("verdict", sa.String(24)),
        sa.Column("decided_at", Timestamp),
        sa.PrimaryKeyConstraint("workspace_id", "review_id", "agent_id", name="pk_review_reviewers"),
        sa.ForeignKeyConstraint(
            ["workspace_id", "review_id"],
            ["reviews.workspace_id", "reviews.id"],
            name="fk_review_reviewers_review",
        ),
    )
    op.create_index(
        "ix_review_reviewers_agent", "review_reviewers", ["workspace_id", "agent_id", "review_id"]
    )
    op.create_table(
        "review_remarks",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("message_id", Uuid, nullable=False),
        sa.Column("review_id", Uuid, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("file", sa.Text),
        sa.Column("line", sa.Integer),
        sa.Column("verdict", sa.String(24)),
        sa.PrimaryKeyConstraint("workspace_id", "message_id", name="pk_review_remarks"),
        sa.ForeignKeyConstraint(
            ["workspace_id", "review_id"],
            ["reviews.workspace_id", "reviews.id"],
            name="fk_review_remarks_review",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "message_id"],
            ["messages.workspace_id", "messages.id"],
            name="fk_review_remarks_message",
        ),
    )
