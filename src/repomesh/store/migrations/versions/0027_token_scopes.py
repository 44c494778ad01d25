"""Tokens that are narrowed to scopes, and tokens that end by themselves."""

import sqlalchemy as sa
from alembic import op

from repomesh.store.types import Json, Timestamp

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    """Add both to the tokens; those that there are stay as they were."""
    op.add_column("tokens", sa.Column("scopes", Json))
    op.add_column("tokens", sa.Column("expires_at", Timestamp))
    ends = sa.text("expires_at IS NOT NULL AND revoked_at IS NULL")
    op.create_index(
        "ix_tokens_expiry",
        "tokens",
        ["expires_at", "workspace_id"],
        sqlite_where=ends,
        postgresql_where=ends,
    )
