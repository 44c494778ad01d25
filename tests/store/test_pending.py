"""Rows that wait for their commit: whoever could see them sees them, and a failure takes only its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import bindparam, insert, select

from notebook import Notebook, NoteWritten, notes
from repomesh.kernel.errors import Conflict
from repomesh.kernel.identity import RequestContext
from repomesh.store.log import NewEvent
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

pytestmark = pytest.mark.anyio

_INSERT = PreparedStatement(insert(notes))
_FIND = PreparedStatement(select(notes.c.text).where(notes.c.text == bindparam("text")))

Work = Callable[[Transaction], Any]


def _insert(text: str, then: Work | None = None) -> Work:
    """A piece that inserts a note without asking for it, and does something before it ends."""

    def work(tx: Transaction) -> Any:
        tx.insert(_INSERT, [{"text": text}])
        tx.emit(NewEvent("test.note", f"note/{text}", NoteWritten(text=text)))
        return None if then is None else then(tx)

    return work


def _find(text: str) -> Work:
    return lambda tx: tx.execute(_FIND, {"text": text}).scalar_one_or_none()


def _find_otherwise(text: str) -> Work:
    return lambda tx: tx.execute(select(notes.c.text).where(notes.c.text == text)).scalar_one_or_none()


def _refuse(tx: Transaction) -> None:
    raise Conflict("not this one")


async def _together(notebook: Notebook, pieces: Sequence[Work]) -> list[Any]:
    """The answers of pieces that reach the writer while it is held, and so share a commit where one can."""
    reached, opened = threading.Event(), threading.Event()

    def hold(tx: Transaction) -> None:
        reached.set()
        assert opened.wait(30)

    async def write(work: Work) -> Any:
        return await notebook.store.write(notebook.caller, RequestContext(), work)

    held = asyncio.create_task(write(hold))
    await asyncio.to_thread(reached.wait, 30)
    tries = [asyncio.create_task(write(work)) for work in pieces]
    await asyncio.sleep(0)
    opened.set()
    await held
    return await asyncio.gather(*tries, return_exceptions=True)


@pytest.mark.parametrize("find", [_find, _find_otherwise])
def test_what_waits_is_seen_by_its_own_command(notebook: Notebook, find: Callable[[str], Work]) -> None:
    assert notebook.store.write_now(notebook.caller, _insert("mine", find("mine"))) == "mine"
    assert notebook.texts() == {"mine"}


async def test_what_waits_is_seen_by_a_command_of_the_same_commit(notebook: Notebook, engine: str) -> None:
    answers = await _together(
        notebook, [_insert("one"), _find("one"), _insert("two"), _find_otherwise("two")]
    )
    if engine == "sqlite":  # commands of the other engine run side by side, in any order
        assert answers == [None, "one", None, "two"]
    assert notebook.texts() == {"one", "two"}
    assert notebook.is_consistent()


async def test_a_refused_command_takes_only_what_it_inserted_itself(notebook: Notebook) -> None:
    answers = await _together(notebook, [_insert("a"), _insert("lost", _refuse), _insert("b")])
    assert [type(answer) for answer in answers] == [type(None), Conflict, type(None)]
    assert notebook.texts() == {"a", "b"}
    assert notebook.is_consistent()


async def test_a_command_refused_after_others_rows_were_written_takes_none(
    notebook: Notebook,
) -> None:
    def look_and_refuse(tx: Transaction) -> None:
        _find("a")(tx)
        _refuse(tx)

    for lost in (_insert("lost", look_and_refuse), look_and_refuse):
        await _together(notebook, [_insert(f"a{id(lost)}"), lost, _insert(f"b{id(lost)}")])
    assert len(notebook.texts()) == 4
    assert "lost" not in notebook.texts()
    assert notebook.is_consistent()


async def test_a_command_refused_after_it_wrote_is_undone_and_the_others_are_not(notebook: Notebook) -> None:
    for round_ in range(3):  # the first on its own, the others among savepoints
        wrote = notebook.work(f"lost {round_}", lambda: _refuse(None))  # type: ignore[arg-type]
        answers = await _together(notebook, [_insert(f"a{round_}"), wrote, notebook.work(f"b{round_}")])
        assert [type(answer) for answer in answers] == [type(None), Conflict, str]
    assert notebook.texts() == {f"{name}{round_}" for name in "ab" for round_ in range(3)}
    assert notebook.is_consistent()


async def test_a_row_that_the_database_refuses_fails_its_own_command(notebook: Notebook) -> None:
    notebook.write_now("taken")
    answers = await _together(notebook, [_insert("a"), _insert("taken"), _insert("b")])
    assert [isinstance(answer, Exception) for answer in answers] == [False, True, False]
    assert notebook.texts() == {"a", "b", "taken"}
    assert notebook.is_consistent()


def test_a_statement_knows_its_tables() -> None:
    from repomesh.domains.messaging.messages.receipts import _COUNT_UNREAD
    from repomesh.domains.messaging.messages.sending import _INSERT_RECEIPT

    assert _COUNT_UNREAD.tables == {"receipts"}
    assert _INSERT_RECEIPT.tables == {"receipts", "messages"}
