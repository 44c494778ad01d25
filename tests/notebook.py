"""What tests of the store write with: notes, each a row of a table of their own and an event of the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from sqlalchemy import Column, MetaData, String, Table, insert, select

from repomesh.domains.workspaces.operations import home_workspace
from repomesh.kernel.identity import Caller, RequestContext, system_caller
from repomesh.kernel.operation import Model
from repomesh.kernel.telemetry import Metrics
from repomesh.store.base import Store
from repomesh.store.log import NewEvent, read_after
from repomesh.store.open import open_store
from repomesh.store.transaction import Transaction

_metadata = MetaData()
notes = Table("test_notes", _metadata, Column("text", String, primary_key=True))


class NoteWritten(Model):
    text: str


class Notebook:
    """A store, seen as a list of notes in one workspace."""

    def __init__(self, store: Store, caller: Caller) -> None:
        self.store = store
        self.caller = caller

    def work(self, text: str, then: Callable[[], Any] | None = None) -> Callable[[Transaction], str]:
        """A piece of work that writes a note and its event, and does something before it ends."""

        def write(tx: Transaction) -> str:
            tx.execute(insert(notes), {"text": text})
            tx.emit(NewEvent("test.note", f"note/{text}", NoteWritten(text=text)))
            if then is not None:
                then()
            return text

        return write

    async def write(self, text: str, then: Callable[[], Any] | None = None) -> str:
        return await self.store.write(self.caller, RequestContext(), self.work(text, then))

    def write_now(self, text: str, then: Callable[[], Any] | None = None) -> str:
        return self.store.write_now(self.caller, self.work(text, then))

    def reopened(self) -> Notebook:
        """The same notebook, read by a store of its own."""
        store = self.store
        return Notebook(open_store(store.settings, Metrics(), store.clock), self.caller)

    def texts(self) -> set[str]:
        """The notes in the table."""
        return self.store.read_now(self.caller, lambda tx: set(tx.execute(select(notes.c.text)).scalars()))

    def log(self) -> list[tuple[int, str]]:
        """(seq, text) of every note's event; fails unless the workspace's log is gapless."""

        def read(tx: Transaction) -> list[tuple[int, str]]:
            found = read_after(tx.connection, self.caller.workspace_id, 0, 1_000_000).events
            assert [event.seq for event in found] == list(range(1, len(found) + 1))
            return [
                (event.seq, orjson.loads(event.json)["data"]["text"])
                for event in found
                if event.type == "test.note"
            ]

        return self.store.read_now(self.caller, read)

    def is_consistent(self) -> bool:
        """Whether each note has exactly one event."""
        logged = [text for _seq, text in self.log()]
        return sorted(logged) == sorted(self.texts())


def open_notebook(store: Store) -> Notebook:
    """The notebook of a store's home workspace."""
    engine = store.migration_engine()
    with engine.begin() as connection:
        _metadata.create_all(connection)
    engine.dispose()
    home = store.read_now(system_caller(""), home_workspace)
    assert home is not None
    return Notebook(store, system_caller(home.id))
