"""Each document says of what type it is among its words, so that a search passes over no other type."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the words, and index anew where the index stands beside the documents."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("UPDATE documents SET words = 'zqd' || type || ' ' || words")
        op.execute("INSERT INTO document_text (document_text) VALUES ('rebuild')")
        op.execute("UPDATE document_index SET through = (SELECT coalesce(max(id), 0) FROM documents)")
    else:
        op.execute("UPDATE documents SET words = words || array_to_tsvector(ARRAY['zqd' || type])")
