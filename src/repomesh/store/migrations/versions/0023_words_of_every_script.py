"""Texts are indexed by words of our own, alike on both engines.

What was indexed before is not read here, which would take minutes: `text_rebuild` says that every document
has to be rebuilt. The server does that behind the commands, and searches say so until it is done.
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Begin the index anew, and note which documents it does not hold yet."""
    op.create_table(
        "text_rebuild",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("below", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_text_rebuild"),
    )
    op.execute(
        "INSERT INTO text_rebuild (id, below, started_at)"
        " SELECT 1, max(id) + 1, max(id) + 1 FROM documents HAVING count(*) > 0"
    )
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE document_text")
        op.execute(
            "CREATE VIRTUAL TABLE document_text USING fts5("
            "words, content='documents', content_rowid='id', tokenize='ascii', detail='none', columnsize=0)"
        )
        op.execute("ALTER TABLE document_index ADD COLUMN part INTEGER NOT NULL DEFAULT 0")
        op.execute("UPDATE document_index SET through = (SELECT coalesce(max(id), 0) FROM documents)")
    else:
        op.execute("ALTER TABLE documents DROP COLUMN words")
        op.execute("ALTER TABLE documents ADD COLUMN words text[] COLLATE \"C\" NOT NULL DEFAULT '{}'")
        op.execute("CREATE INDEX ix_documents_words ON documents USING gin (words)")
