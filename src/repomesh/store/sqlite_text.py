"""Full text on SQLite: an FTS5 index over the documents, filled behind the commands.

Writing into the index costs a command more than its message itself (measured: 45 of 142 KB and a fifth of
the CPU), and a batch of them little more than one. So a command only stores its words; the writer indexes
them when many wait or nothing else does, and a search reads the few that are not indexed yet itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from sqlalchemy import Connection, column, func, insert, select, table

from repomesh.kernel import limits
from repomesh.store.base import alternatives, narrowing_types, type_word, words_of
from repomesh.store.prepared import DRIVER, Prepared
from repomesh.store.tables import documents
from repomesh.store.transaction import Transaction, Word

# The column of words stands in this engine's table alone.
_ADD = Prepared(insert(table("documents", *map(column, ("workspace_id", "type", "subject_id", "words")))))
# An index over an outside table must be told the words that it shall forget.
_FORGET = """
    INSERT INTO document_text (document_text, rowid, words) SELECT 'delete', id, words FROM documents
    WHERE workspace_id = ? AND type = ? AND subject_id = ? AND id <= (SELECT through FROM document_index)
"""
_DELETE = "DELETE FROM documents WHERE workspace_id = ? AND type = ? AND subject_id = ?"
# Ids of deleted rows at the end are given out again, and must then be indexed again.
_STEP_BACK = "UPDATE document_index SET through = min(through, (SELECT coalesce(max(id), 0) FROM documents))"
_INDEX = """
    INSERT INTO document_text (rowid, words) SELECT id, words FROM documents
    WHERE id > (SELECT through FROM document_index) ORDER BY id LIMIT ?
"""
_STEP = """
    UPDATE document_index SET through = coalesce(
        (SELECT max(id) FROM (SELECT id FROM documents WHERE id > through ORDER BY id LIMIT ?)), through)
"""
_COUNT = """
    SELECT count(*) FROM
    (SELECT 1 FROM documents WHERE id > (SELECT through FROM document_index) LIMIT ?)
"""
_INDEXED = """
    SELECT documents.id, documents.type, documents.subject_id
    FROM document_text JOIN documents ON documents.id = document_text.rowid
    WHERE document_text MATCH ? AND document_text.rowid < ? AND workspace_id = ? AND type IN ({types})
    ORDER BY document_text.rowid DESC LIMIT ?
"""
# The plus signs keep the planner from the index of subjects, by which it would read every document.
_WAITING = """
    SELECT id, type, subject_id FROM documents
    WHERE id > (SELECT through FROM document_index) AND id < ? AND +workspace_id = ? AND +type IN ({types})
    AND {holding} ORDER BY id DESC LIMIT ?
"""
_HOLDS = "instr(' ' || words || ' ', ?) > 0"
_ENDLESS = 2**62


class SqliteText:
    """The index, as the store's transactions and searches use it."""

    def add(self, tx: Transaction, rows: Sequence[tuple[str, str, str, str]]) -> None:
        """Store the words of rows of (workspace, type, subject, text); they can be found at once."""
        tx.insert(
            _ADD,
            [
                {
                    "workspace_id": ws,
                    "type": type_,
                    "subject_id": subject,
                    "words": " ".join((type_word(type_), *words_of(body))),
                }
                for ws, type_, subject, body in rows
            ],
        )

    def remove(self, connection: Connection, workspace_id: str, type_: str, subject_id: str) -> None:
        """Forget what was indexed for a subject."""
        driver: sqlite3.Connection = connection.info[DRIVER]
        subject = (workspace_id, type_, subject_id)
        driver.execute(_FORGET, subject)
        driver.execute(_DELETE, subject)
        driver.execute(_STEP_BACK)

    def find(
        self,
        connection: Connection,
        workspace_id: str,
        types: Sequence[str],
        words: Sequence[Word],
        before: int | None,
        count: int,
    ) -> list[tuple[int, str, str]]:
        """(position, type, subject) of up to `count` documents that hold every word, newest first."""
        if not words:
            return []
        driver: sqlite3.Connection = connection.info[DRIVER]
        bound = _ENDLESS if before is None else before
        asked = ", ".join("?" * len(types))
        groups = [alternatives(word) for word in words]
        holding = " AND ".join(f"({' OR '.join([_HOLDS] * len(group))})" for group in groups)
        spaced = [f" {word} " for group in groups for word in group]
        waiting: list[tuple[int, str, str]] = driver.execute(
            _WAITING.format(types=asked, holding=holding), (bound, workspace_id, *types, *spaced, count)
        ).fetchall()
        if len(waiting) == count:
            return waiting
        terms = [" OR ".join(f'"{word}"' for word in group) for group in groups]
        named = " OR ".join(f'"{type_word(type_)}"' for type_ in narrowing_types(types))
        phrase = " AND ".join(f"({term})" for term in (*terms, named) if term)
        limit = count - len(waiting)
        indexed = driver.execute(_INDEXED.format(types=asked), (phrase, bound, workspace_id, *types, limit))
        return waiting + indexed.fetchall()

    def newest(self, connection: Connection) -> int:
        """The position of the newest document of all."""
        return int(connection.execute(select(func.coalesce(func.max(documents.c.id), 0))).scalar_one())


def waiting(driver: sqlite3.Connection) -> int:
    """How many documents are not indexed yet, as far as that matters; none before the first migration."""
    if driver.execute("SELECT 1 FROM sqlite_master WHERE name = 'document_index'").fetchone() is None:
        return 0
    return int(driver.execute(_COUNT, (limits.TEXT_INDEX_BATCH,)).fetchone()[0])


def index_waiting(driver: sqlite3.Connection, most: int) -> int:
    """Index up to `most` waiting documents in the running transaction; answers how many still wait."""
    driver.execute(_INDEX, (most,))
    driver.execute(_STEP, (most,))
    return waiting(driver)
