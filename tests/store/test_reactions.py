"""Reactions run in the transaction of the events that cause them: in order, once, bounded, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from sqlalchemy import insert

from notebook import Notebook, NoteWritten, notes
from repomesh.kernel import limits
from repomesh.kernel.errors import Conflict, ReactionsTooDeep
from repomesh.kernel.identity import RequestContext
from repomesh.kernel.reactions import EmittedEvent, EventReaction, Reactions
from repomesh.store.log import NewEvent, read_after
from repomesh.store.transaction import Transaction

pytestmark = pytest.mark.anyio

NOTE = "test.note"
COPY = "test.copy"


def copying(event_type: str, prefix: str) -> Callable[[Transaction, EmittedEvent[NoteWritten]], None]:
    """A reaction that writes each note once more, under another name, and emits an event of that."""

    def copy(tx: Transaction, event: EmittedEvent[NoteWritten]) -> None:
        text = f"{prefix} {event.data.text}"
        tx.execute(insert(notes), {"text": text})
        tx.emit(NewEvent(event_type, f"note/{text}", NoteWritten(text=text)))

    return copy


def emit(tx: Transaction, *texts: str) -> None:
    for text in texts:
        tx.execute(insert(notes), {"text": text})
        tx.emit(NewEvent(NOTE, f"note/{text}", NoteWritten(text=text)))


def logged(notebook: Notebook) -> list[dict[str, Any]]:
    """The events of notes and copies, as they stand in the log."""

    def read(tx: Transaction) -> list[dict[str, Any]]:
        found = read_after(tx.connection, notebook.caller.workspace_id, 0, 1_000_000).events
        assert [event.seq for event in found] == list(range(1, len(found) + 1))
        return [orjson.loads(event.json) for event in found if event.type in (NOTE, COPY)]

    return notebook.store.read_now(notebook.caller, read)


def texts(notebook: Notebook) -> list[str]:
    return [event["data"]["text"] for event in logged(notebook)]


def test_reactions_follow_the_order_of_the_events_and_of_the_domains(notebook: Notebook) -> None:
    notebook.store.reactions = Reactions(
        [
            EventReaction(NOTE, copying(COPY, "early")),
            EventReaction(NOTE, copying(COPY, "late")),
            EventReaction(COPY, lambda tx, event: seen.append(event.data.text)),
        ]
    )
    seen: list[str] = []
    notebook.store.write_now(notebook.caller, lambda tx: emit(tx, "one", "two"))
    copies = ["early one", "late one", "early two", "late two"]
    assert texts(notebook) == ["one", "two", *copies]
    assert seen == copies


def test_what_a_reaction_emits_names_its_cause(notebook: Notebook) -> None:
    notebook.store.reactions = Reactions([EventReaction(NOTE, copying(COPY, "copy of"))])
    notebook.store.write_now(notebook.caller, lambda tx: emit(tx, "one", "two"))
    one, two, *copies = logged(notebook)
    assert [one["causation_id"], two["causation_id"]] == [None, None]
    assert [copy["causation_id"] for copy in copies] == [one["id"], two["id"]]


def test_an_event_has_its_reactions_once_however_often_they_are_run(notebook: Notebook) -> None:
    notebook.store.reactions = Reactions([EventReaction(NOTE, copying(COPY, "copy of"))])

    def work(tx: Transaction) -> list[list[str]]:
        steps = []
        for text in ("one", "two"):
            emit(tx, text)
            steps.append([event.subject for event in tx.react()])
        return [*steps, [event.subject for event in tx.react()]]

    steps = notebook.store.write_now(notebook.caller, work)
    assert steps == [["note/copy of one"], ["note/copy of two"], []]
    assert texts(notebook) == ["one", "copy of one", "two", "copy of two"]


def test_reactions_see_all_that_the_command_wrote(notebook: Notebook) -> None:
    state = {"done": False}
    seen: list[bool] = []
    notebook.store.reactions = Reactions(
        [EventReaction(NOTE, lambda _tx, _event: seen.append(state["done"]))]
    )

    def work(tx: Transaction) -> None:
        emit(tx, "one")
        state["done"] = True

    notebook.store.write_now(notebook.caller, work)
    assert seen == [True]


async def test_a_chain_may_be_as_long_as_the_limit_and_no_longer(notebook: Notebook) -> None:
    def extended(tx: Transaction, event: EmittedEvent[NoteWritten]) -> None:
        left = int(event.data.text)
        if left:
            emit(tx, str(left - 1))

    notebook.store.reactions = Reactions([EventReaction(NOTE, extended)])
    depth = limits.REACTION_DEPTH_MAX

    def start(length: int) -> Callable[[Transaction], None]:
        return lambda tx: emit(tx, str(length))

    with pytest.raises(ReactionsTooDeep) as refused:
        await notebook.store.write(notebook.caller, RequestContext(), start(depth))
    assert refused.value.details["chain"] == [NOTE] * (depth + 1)
    assert (logged(notebook), notebook.texts()) == ([], set())
    await notebook.store.write(notebook.caller, RequestContext(), start(depth - 1))
    assert texts(notebook) == [str(left) for left in range(depth - 1, -1, -1)]


async def test_a_reaction_that_fails_fails_its_command_alone(notebook: Notebook) -> None:
    def copy_or_refuse(tx: Transaction, event: EmittedEvent[NoteWritten]) -> None:
        copying(COPY, "copy of")(tx, event)
        if int(event.data.text) % 5 == 0:
            raise Conflict("not this one")

    notebook.store.reactions = Reactions([EventReaction(NOTE, copy_or_refuse)])
    tries = [notebook.write(str(number)) for number in range(60)]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    refused = [number for number, answer in enumerate(answers) if isinstance(answer, Conflict)]
    assert refused == list(range(0, 60, 5))
    written = {str(number) for number in range(60) if number % 5}
    # The batches of the failed ones ran again, and yet each event had its reaction once.
    assert sorted(texts(notebook)) == sorted([*written, *(f"copy of {text}" for text in written)])
    assert notebook.texts() == set(texts(notebook))


def test_nothing_reacts_in_a_store_that_no_server_opened(notebook: Notebook) -> None:
    reopened = notebook.reopened()
    try:
        reopened.write_now("one")
    finally:
        reopened.store.close()
    assert texts(notebook) == ["one"]
