"""Full text on SQLite: an FTS5 index over the documents, filled behind the commands.

Writing into the index costs a command more than its message itself (measured: 45 of 142 KB and a fifth of
the CPU), and a batch of them little more than one. So a command only stores its words; the writer indexes
them when many wait or nothing else does, and a search reads the few that are not indexed yet itself.

FTS5 takes the words apart at spaces and nowhere else (`tokenize='ascii'`, and no ASCII but letters, digits
and spaces comes in), and keeps which documents hold a word, not where (`detail=none`, `columnsize=0`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, column, func, insert, select, table

from repomesh.kernel import limits
from repomesh.kernel.words import Word
from repomesh.store.base import alternatives, joined_words, narrowing_types, type_word
from repomesh.store.prepared import DRIVER, PreparedStatement
from repomesh.store.tables import documents
from repomesh.store.transaction import IndexedWords, Transaction

# The column of words stands in this engine's table alone.
_ADD = PreparedStatement(
    insert(table("documents", *map(column, ("workspace_id", "type", "subject_id", "words"))))
)
# An index over an outside table must be told the words that it shall forget. Documents below what is rebuilt
# are not in it; of the first one that waits, the beginning may be.
_FORGET = """
    INSERT INTO document_text (document_text, rowid, words) SELECT 'delete', id, words FROM documents
    WHERE workspace_id = ? AND type = ? AND subject_id = ? AND id <= (SELECT through FROM document_index)
    AND id >= coalesce((SELECT below FROM text_rebuild), 0)
"""
_BEGUN = "SELECT through, part FROM document_index WHERE part > 0"
_FORGET_BEGUN = """
    INSERT INTO document_text (document_text, rowid, words)
    SELECT 'delete', id, substr(words, 1, :part) FROM documents
    WHERE workspace_id = :ws AND type = :type AND subject_id = :subject
    AND id = (SELECT min(id) FROM documents WHERE id > :through)
"""
_DELETE = "DELETE FROM documents WHERE workspace_id = ? AND type = ? AND subject_id = ?"
# Ids of deleted rows at the end are given out again, and must then be indexed again.
_STEP_BACK = "UPDATE document_index SET through = min(through, (SELECT coalesce(max(id), 0) FROM documents))"
_STEP_BACK_BELOW = """
    UPDATE text_rebuild SET below = (SELECT coalesce(max(id), 0) + 1 FROM documents)
    WHERE below > (SELECT coalesce(max(id), 0) + 1 FROM documents)
"""
_INDEX = """
    INSERT INTO document_text (rowid, words) SELECT id, words FROM documents
    WHERE id > (SELECT through FROM document_index) ORDER BY id LIMIT ?
"""
_STEP = """
    UPDATE document_index SET through = coalesce(
        (SELECT max(id) FROM (SELECT id FROM documents WHERE id > through ORDER BY id LIMIT ?)), through)
"""
_FIRST = """
    SELECT id, substr(words, part + 1, ?), length(words) - part
    FROM documents, document_index WHERE id > through ORDER BY id LIMIT 1
"""
_ADD_PART = "INSERT INTO document_text (rowid, words) VALUES (?, ?)"
_SIZES = """
    SELECT length(words) FROM documents
    WHERE id > (SELECT through FROM document_index) ORDER BY id LIMIT ?
"""
_LENGTHS = """
    SELECT id, length(words) FROM documents
    WHERE id > (SELECT through FROM document_index) ORDER BY id
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
    WHERE id IN (SELECT value FROM json_each(?)) AND id < ? AND +workspace_id = ? AND +type IN ({types})
    AND {holding} ORDER BY id DESC LIMIT ?
"""
_HOLDS = "instr(' ' || words || ' ', ?) > 0"
_ENDLESS = 2**62
_SEARCHABLE_IDS = "repomesh.readable"
_THROUGH = "SELECT through FROM document_index"
_REBUILT = "UPDATE documents SET words = ? WHERE id = ?"


class SqliteText:
    """The index, as the store's transactions and searches use it."""

    def add(self, tx: Transaction, rows: Sequence[IndexedWords]) -> None:
        """Store the words of rows of (workspace, type, subject, words); they can be found at once."""
        tx.insert(
            _ADD,
            [
                {
                    "workspace_id": ws,
                    "type": type_,
                    "subject_id": subject,
                    "words": joined_words(type_, words),
                }
                for ws, type_, subject, words in rows
            ],
        )

    def remove(self, connection: Connection, workspace_id: str, type_: str, subject_id: str) -> None:
        """Delete the documents of a subject, and their words from the index."""
        driver: sqlite3.Connection = connection.info[DRIVER]
        subject = (workspace_id, type_, subject_id)
        driver.execute(_FORGET, subject)
        if (begun := driver.execute(_BEGUN).fetchone()) is not None:
            _forget_begun(driver, begun, subject)
        driver.execute(_DELETE, subject)
        driver.execute(_STEP_BACK)
        driver.execute(_STEP_BACK_BELOW)

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
        type_placeholders = ", ".join("?" * len(types))
        groups = [alternatives(word) for word in words]
        holding = " AND ".join(f"({' OR '.join([_HOLDS] * len(group))})" for group in groups)
        spaced = [f" {word} " for group in groups for word in group]
        unindexed: list[tuple[int, str, str]] = driver.execute(
            _WAITING.format(types=type_placeholders, holding=holding),
            (_searchable_ids(connection), bound, workspace_id, *types, *spaced, count),
        ).fetchall()
        if len(unindexed) == count:
            return unindexed
        terms = [" OR ".join(f'"{word}"' for word in group) for group in groups]
        type_terms = " OR ".join(f'"{type_word(type_)}"' for type_ in narrowing_types(types))
        phrase = " AND ".join(f"({term})" for term in (*terms, type_terms) if term)
        limit = count - len(unindexed)
        (through,) = driver.execute(_THROUGH).fetchone()
        conditions = (phrase, min(bound, through + 1), workspace_id, *types, limit)
        indexed = driver.execute(_INDEXED.format(types=type_placeholders), conditions)
        return unindexed + indexed.fetchall()

    def rebuild(self, connection: Connection, words: Mapping[int, tuple[str, Sequence[str]]]) -> None:
        """Replace the words of documents that are not in the index; `words` are (type, words) by their id."""
        driver: sqlite3.Connection = connection.info[DRIVER]
        (through,) = driver.execute(_THROUGH).fetchone()
        joined = {
            id_: joined_words(type_, document_words) for id_, (type_, document_words) in sorted(words.items())
        }
        for id_, text in joined.items():  # in order: FTS5 writes a segment each time an id goes back
            exists = driver.execute(_REBUILT, (text, id_)).rowcount > 0  # it may have been deleted meanwhile
            if exists and id_ <= through:
                driver.execute(_ADD_PART, (id_, text))

    def newest(self, connection: Connection) -> int:
        """The position of the newest document of all."""
        return int(connection.execute(select(func.coalesce(func.max(documents.c.id), 0))).scalar_one())


def count_unindexed(driver: sqlite3.Connection) -> int:
    """How many documents are not indexed yet, up to TEXT_INDEX_BATCH; 0 before the first migration."""
    if driver.execute("SELECT 1 FROM sqlite_master WHERE name = 'document_index'").fetchone() is None:
        return 0
    return int(driver.execute(_COUNT, (limits.TEXT_INDEX_BATCH,)).fetchone()[0])


def waiting_load(driver: sqlite3.Connection) -> int:
    """The work of indexing the waiting documents: one for each, plus one per TEXT_INDEX_WORDS_EACH of it.

    Counted up to TEXT_INDEX_BATCH.
    """
    chars_per_unit = limits.TEXT_INDEX_PASS_CHARS // limits.TEXT_INDEX_BATCH
    load = 0
    for _id, length in driver.execute(_LENGTHS):
        load += 1 + length // chars_per_unit
        if load >= limits.TEXT_INDEX_BATCH:
            break
    return load


def index_waiting(driver: sqlite3.Connection, count_max: int) -> int:
    """Index up to `count_max` waiting documents, and of long ones fewer, in the running transaction.

    A very long one is indexed in parts. Returns how many still wait.
    """
    size = limits.TEXT_INDEX_PASS_CHARS
    first = driver.execute(_FIRST, (size,)).fetchone()
    if first is not None and (first[2] > size or driver.execute(_BEGUN).fetchone() is not None):
        _index_part(driver, *first)
        return count_unindexed(driver)
    count_max = _count_fitting(driver, count_max)
    driver.execute(_INDEX, (count_max,))
    driver.execute(_STEP, (count_max,))
    return count_unindexed(driver)


def _index_part(driver: sqlite3.Connection, id_: int, words: str, chars_left: int) -> None:
    """Index the next part of a long document, up to a space.

    FTS5 takes the words of one document in several pieces, as long as none is twice among them (measured: ten
    million characters in 1.9 s, at most 0.2 s each, where the whole at once takes 4.2 s).
    """
    if chars_left <= len(words):
        driver.execute(_ADD_PART, (id_, words))
        driver.execute("UPDATE document_index SET through = ?, part = 0", (id_,))
        return
    end = words.rfind(" ") + 1 or len(words)
    driver.execute(_ADD_PART, (id_, words[:end]))
    driver.execute("UPDATE document_index SET part = part + ?", (end,))


def _forget_begun(driver: sqlite3.Connection, begun: tuple[int, int], subject: tuple[str, str, str]) -> None:
    """Remove the indexed part of a subject's document, if it is the one that is partly indexed."""
    through, part = begun
    parameters = {
        "ws": subject[0],
        "type": subject[1],
        "subject": subject[2],
        "through": through,
        "part": part,
    }
    if driver.execute(_FORGET_BEGUN, parameters).rowcount > 0:
        driver.execute("UPDATE document_index SET part = 0")


def _searchable_ids(connection: Connection) -> str:
    """The ids, as JSON, of the waiting documents that a search reads: the oldest, of bounded length.

    Reading ten megabytes for each word of a question takes seconds, and all readers. The lengths are read
    once for each state of the database.
    """
    driver: sqlite3.Connection = connection.info[DRIVER]
    (version,) = driver.execute("PRAGMA data_version").fetchone()
    state = (version, driver.total_changes)
    cached: tuple[tuple[int, int], str] | None = connection.info.get(_SEARCHABLE_IDS)
    if cached is not None and cached[0] == state:
        return cached[1]
    ids: list[int] = []
    chars = 0
    for id_, length in driver.execute(_LENGTHS):
        if chars + length <= limits.TEXT_WAITING_CHARS_MAX:
            chars += length
            ids.append(id_)
    ids_json = json.dumps(ids)
    connection.info[_SEARCHABLE_IDS] = (state, ids_json)
    return ids_json


def _count_fitting(driver: sqlite3.Connection, count_max: int) -> int:
    """How many of the first `count_max` waiting documents, at least one, are not too long for one pass."""
    count = chars = 0
    for (length,) in driver.execute(_SIZES, (count_max,)):
        chars += length
        if count and chars > limits.TEXT_INDEX_PASS_CHARS:
            break
        count += 1
    return count
