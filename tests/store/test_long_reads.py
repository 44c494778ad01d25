"""Reads of the log end early where events are long, and lose none of them."""

from __future__ import annotations

import pytest

from notebook import Notebook, NoteWritten
from repomesh.kernel import limits
from repomesh.store.filters import EventFilter, read_matching
from repomesh.store.log import NewEvent, read_after
from repomesh.store.paging import take
from repomesh.store.reading import read_page
from repomesh.store.transaction import Transaction

LETTER = "\U00020000"  # four bytes in UTF-8
LONG = 30  # events of so many characters together are more than four pages, however their bytes are counted
CHARS = limits.PAGE_CHARS_MAX * 4 // LONG


@pytest.fixture
def notes(notebook: Notebook) -> Notebook:
    """A log that ends with the events of long notes."""

    def write(tx: Transaction) -> None:
        for number in range(LONG):
            note = NoteWritten(text=f"{number} " + LETTER * CHARS)
            tx.emit(NewEvent("test.note", f"note/{number}", note))

    notebook.store.write_now(notebook.caller, write)
    return notebook


def numbers(notes: Notebook) -> list[int]:
    return [seq for seq, _text in notes.log()]


def test_the_log_is_read_to_its_end_in_pieces(notes: Notebook) -> None:
    ws, logged = notes.caller.workspace_id, numbers(notes)

    def pieces(tx: Transaction) -> list[list[int]]:
        found = [[logged[0] - 1]]
        while piece := read_after(tx.connection, ws, found[-1][-1], 500, limits.STREAM_READ_CHARS).events:
            found.append([event.seq for event in piece])
        return found[1:]

    found = notes.store.read_now(notes.caller, pieces)
    assert [seq for piece in found for seq in piece] == logged
    assert max(map(len, found)) * CHARS < limits.STREAM_READ_CHARS + 2 * CHARS


def test_what_matches_is_read_to_the_end_of_the_log(notes: Notebook) -> None:
    wanted = EventFilter(notes.caller.workspace_id, None, sees_all=True, types=("test",))
    logged = numbers(notes)

    def pieces(tx: Transaction) -> list[int]:
        found: list[int] = []
        after, last = logged[0] - 1, logged[-1]
        while after < last:
            stretch = read_matching(tx.connection, wanted, after)
            found += [event.seq for event in stretch.events]
            assert stretch.upto > after
            after = stretch.upto
        return found

    assert notes.store.read_now(notes.caller, pieces) == logged


@pytest.mark.parametrize("newest", [False, True])
@pytest.mark.parametrize("types", [(), ("test",)])
def test_pages_of_the_log_lead_to_its_end(notes: Notebook, types: tuple[str, ...], *, newest: bool) -> None:
    wanted = EventFilter(notes.caller.workspace_id, None, sees_all=True, types=types)
    logged = numbers(notes)

    def pages(tx: Transaction) -> list[list[int]]:
        found: list[list[int]] = []
        after, before = logged[0] - 1, None
        while True:
            rows = read_page(tx.connection, wanted, after=after, before=before, count=201, newest=newest)
            shown, more = take(rows, 200)
            found.append([row.seq for row in shown])
            if not more:
                return found
            after, before = (after, found[-1][-1]) if newest else (found[-1][-1], None)

    found = notes.store.read_now(notes.caller, pages)
    assert sorted(seq for page in found for seq in page) == logged
    assert len(found) >= 4
