"""What the writer remembers is what the tables hold."""

from __future__ import annotations

import pytest
from sqlalchemy import bindparam, delete, insert, select, update

from notebook import Notebook, notes
from repomesh.kernel import limits
from repomesh.kernel.errors import Conflict
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

_ONE = PreparedStatement(select(notes.c.text).where(notes.c.text == bindparam("text")))
_INSERT = PreparedStatement(insert(notes))
_RENAME = PreparedStatement(
    update(notes)
    .where(notes.c.text == bindparam("old"))
    .values(text=bindparam("new", type_=notes.c.text.type))
)


def _knows(notebook: Notebook, text: str) -> bool:
    return notebook.store.write_now(notebook.caller, lambda tx: bool(tx.read_cached(_ONE, {"text": text})))


def test_a_row_is_known_until_its_table_changes(notebook: Notebook) -> None:
    ways = [
        lambda tx: tx.execute(delete(notes)),
        lambda tx: tx.change(delete(notes)),
        lambda tx: tx.execute(_RENAME, {"old": "here", "new": "there"}),
        lambda tx: tx.change(_RENAME, {"old": "here", "new": "elsewhere"}),
    ]
    for way in ways:
        notebook.write_now("here")
        assert _knows(notebook, "here")
        assert _knows(notebook, "here")
        notebook.store.write_now(notebook.caller, way)
        assert not _knows(notebook, "here")


def test_what_is_not_there_is_looked_for_again(notebook: Notebook) -> None:
    assert not _knows(notebook, "late")
    notebook.store.write_now(notebook.caller, lambda tx: tx.insert(_INSERT, [{"text": "late"}]))
    assert _knows(notebook, "late")


@pytest.mark.parametrize("careful", [0, 1])
def test_what_was_undone_is_not_known(notebook: Notebook, engine: str, careful: int) -> None:
    if engine == "sqlite":
        notebook.store._careful_batches = careful  # type: ignore[attr-defined]

    def look_and_fail(tx: Transaction) -> None:
        tx.execute(insert(notes), {"text": "undone"})
        assert tx.read_cached(_ONE, {"text": "undone"})
        raise Conflict("not this one")

    with pytest.raises(Conflict):
        notebook.store.write_now(notebook.caller, look_and_fail)
    assert not _knows(notebook, "undone")


def test_no_more_is_kept_than_the_limit(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repomesh.store.row_cache.KNOWN_ANSWERS_MAX", 3)
    for number in range(10):
        notebook.write_now(f"note {number}")
    assert all(_knows(notebook, f"note {number}") for number in range(10))
    assert limits.KNOWN_ANSWERS_MAX > 3
