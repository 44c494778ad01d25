"""Tables of contents in a shared database.

They have no workspace: the same bytes are kept once for all, like the files of a data folder.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, LargeBinary, Table

from repomesh.store.tables import metadata
from repomesh.store.types import Ascii, Timestamp

contents = Table(
    "contents",
    metadata,
    Column("sha256", Ascii, primary_key=True),
    Column("kept_at", Timestamp, nullable=False),  # last, by the database's clock
)

content_pieces = Table(
    "content_pieces",
    metadata,
    Column("sha256", Ascii, ForeignKey("contents.sha256", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),  # 0, 1, 2, …
    Column("piece", LargeBinary, nullable=False),
)
