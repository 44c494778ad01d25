"""The log: gapless and in the order of commits, for whoever reads it while others write."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import Mesh, Refused
from notebook import Notebook
from repomesh.domains.workspaces.operations import create
from repomesh.kernel.identity import system_caller
from repomesh.kernel.ids import new_id
from repomesh.store.log import StoredEvent, read_after


@pytest.fixture
def stores(notebook: Notebook, engine: str) -> Iterator[list[Notebook]]:
    """The notebook through as many servers as the engine takes."""
    if engine == "sqlite":
        yield [notebook]
        return
    other = notebook.reopened()
    yield [notebook, other]
    other.store.close()


def read(notebook: Notebook, after: int) -> list[StoredEvent]:
    ws = notebook.caller.workspace_id
    return notebook.store.read_now(
        notebook.caller, lambda tx: read_after(tx.connection, ws, after, 10_000).events
    )


class Follower(threading.Thread):
    """Reads whatever is new, again and again, and notes what it saw in the order in which it saw it."""

    def __init__(self, notebook: Notebook, upto: int) -> None:
        super().__init__()
        self.seen: list[tuple[int, str]] = []
        self._notebook = notebook
        self._upto = upto

    def run(self) -> None:
        position = 0
        while position < self._upto:
            for event in read(self._notebook, position):
                self.seen.append((event.seq, event.id))
                position = event.seq


def test_a_reader_never_finds_something_new_behind_itself(stores: list[Notebook]) -> None:
    begun = len(read(stores[0], 0))
    writers, each = 8, 25
    followers = [Follower(notebook, begun + writers * each) for notebook in stores]
    for follower in followers:
        follower.start()
    with ThreadPoolExecutor(writers) as pool:
        for writer in range(writers):
            notebook = stores[writer % len(stores)]
            for number in range(each):
                pool.submit(notebook.write_now, f"{writer}/{number}")
    for follower in followers:
        follower.join(60)
    whole = [(event.seq, event.id) for event in read(stores[0], 0)]
    assert [seq for seq, _id in whole] == list(range(1, begun + writers * each + 1))
    for follower in followers:
        assert follower.seen == whole


def test_each_workspace_counts_for_itself(notebook: Notebook) -> None:
    other = Notebook(notebook.store, system_caller(new_id()))
    ws = other.caller.workspace_id
    other.store.write_now(other.caller, lambda tx: create(tx, ws, "other", None, home=False))
    first, second = len(read(notebook, 0)), len(read(other, 0))
    with ThreadPoolExecutor(8) as pool:
        for number in range(40):
            pool.submit((notebook, other)[number % 2].write_now, f"note {number}")
    assert [seq for seq, _text in notebook.log()] == list(range(first + 1, first + 21))
    assert [seq for seq, _text in other.log()] == list(range(second + 1, second + 21))


def test_what_a_failed_command_emitted_never_was(notebook: Notebook) -> None:
    def fail() -> None:
        raise ValueError("after the event was written")

    for number in range(3):
        with pytest.raises(ValueError, match="after the event"):
            notebook.write_now(f"lost {number}", fail)
        notebook.write_now(f"kept {number}")
    assert [text for _seq, text in notebook.log()] == ["kept 0", "kept 1", "kept 2"]


@pytest.mark.anyio
async def test_a_number_that_is_answered_is_the_number_in_the_log(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")

    async def post(number: int) -> tuple[int, str]:
        made = await alice.post("/v1/events", type="test.counted", data={"number": number})
        return made["seq"], str(number)

    async def refused(number: int) -> None:
        with pytest.raises(Refused):
            await alice.post("/v1/events", type="test.counted", channel=f"#none-{number}")

    tries = [attempt for number in range(40) for attempt in (post(number), refused(number))]
    answered = dict(answer for answer in await asyncio.gather(*tries) if answer is not None)
    assert len(answered) == 40
    for event in await mesh.events(type="test.counted"):
        assert str(event["data"]["number"]) == answered.pop(event["seq"])
    assert answered == {}
