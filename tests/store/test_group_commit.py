"""Many writers at once: what is answered is there, and nobody pays for another's failure."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from notebook import Notebook
from repomesh.kernel import limits
from repomesh.kernel.errors import Conflict, Unavailable
from repomesh.kernel.identity import RequestContext

pytestmark = pytest.mark.anyio


class Gate:
    """Holds the store's writing threads until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self.opened.wait(30)

    async def hold(self, notebook: Notebook) -> asyncio.Task[str]:
        """A note whose writer waits at the gate, and with it whoever comes later."""
        held = asyncio.create_task(notebook.write("held", self))
        await asyncio.to_thread(self.reached.wait, 30)
        return held


async def test_every_answered_write_is_there_once_and_in_order(notebook: Notebook, engine: str) -> None:
    before = notebook.store.metrics.commits._value.get()
    answered = await asyncio.gather(*(notebook.write(f"note {n}") for n in range(300)))
    assert notebook.texts() == set(answered)
    assert notebook.is_consistent()
    if engine == "sqlite":
        assert notebook.store.metrics.commits._value.get() - before < 300


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_an_answer_waits_for_one_slow_command_and_for_no_second(notebook: Notebook) -> None:
    gate, answered = Gate(), threading.Event()
    held = await gate.hold(notebook)
    held.add_done_callback(lambda _task: answered.set())
    slow = asyncio.create_task(notebook.write("slow", lambda: time.sleep(limits.ANSWER_WITHIN_S * 2)))
    seen: list[bool] = []
    second = asyncio.create_task(notebook.write("second", lambda: seen.append(answered.wait(30))))
    await asyncio.sleep(0)  # both are queued behind the one that is held
    gate.opened.set()
    await asyncio.gather(held, slow, second)
    assert seen == [True]


async def test_a_piece_that_fails_takes_nobody_with_it(notebook: Notebook) -> None:
    def fail() -> None:
        raise Conflict("not this one")

    tries = [notebook.write(f"note {n}", fail if n % 5 == 0 else None) for n in range(60)]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert [n for n, answer in enumerate(answers) if isinstance(answer, Conflict)] == list(range(0, 60, 5))
    assert notebook.texts() == {f"note {n}" for n in range(60) if n % 5}
    assert notebook.is_consistent()


async def test_whatever_a_piece_raises_reaches_its_caller_and_ends_nothing(notebook: Notebook) -> None:
    for odd in (ValueError, StopIteration, KeyboardInterrupt, SystemExit, asyncio.CancelledError):

        def fail(odd: type[BaseException] = odd) -> None:
            raise odd

        ways = (
            notebook.write("lost", fail),
            asyncio.to_thread(notebook.write_now, "lost", fail),
            notebook.store.read(notebook.caller, lambda tx, fail=fail: fail()),
        )
        for way in ways:
            with pytest.raises((ValueError, RuntimeError)):
                await asyncio.wait_for(way, 30)
        await asyncio.wait_for(notebook.write(f"after {odd.__name__}"), 30)
    assert len(notebook.texts()) == 5
    assert notebook.is_consistent()


async def test_a_query_can_not_write(notebook: Notebook) -> None:
    with pytest.raises(Exception, match=r"read-?only"):
        await notebook.store.read(notebook.caller, notebook.work("smuggled"))
    assert notebook.texts() == set()


async def test_more_than_the_queue_holds_is_told_to_come_back(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WRITE_QUEUE_MAX", 20)
    gate = Gate()
    held = await gate.hold(notebook)
    tries = [asyncio.create_task(notebook.write(f"note {n}")) for n in range(40)]
    await asyncio.sleep(0.05)
    gate.opened.set()
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert await held == "held"
    refused = [answer for answer in answers if isinstance(answer, Unavailable)]
    taken = [answer for answer in answers if isinstance(answer, str)]
    assert len(refused) + len(taken) == 40
    assert 19 <= len(taken) <= 20
    assert notebook.texts() == {"held", *taken}


async def test_more_reads_than_wait_for_a_thread_are_told_to_come_back(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "READ_QUEUE_MAX", 8)
    gate = Gate()
    reads = [asyncio.create_task(notebook.store.read(notebook.caller, lambda tx: gate())) for _ in range(12)]
    await asyncio.to_thread(gate.reached.wait, 30)
    gate.opened.set()
    answers = await asyncio.gather(*reads, return_exceptions=True)
    assert sum(isinstance(answer, Unavailable) for answer in answers) == 4
    assert await notebook.store.read(notebook.caller, lambda tx: 1) == 1


async def test_a_caller_that_stops_waiting_harms_nobody(notebook: Notebook) -> None:
    gate = Gate()
    held = await gate.hold(notebook)
    waiting = [asyncio.create_task(notebook.write(f"note {n}")) for n in range(30)]
    await asyncio.sleep(0)
    for gone in (held, *waiting[::2]):
        gone.cancel()
    gate.opened.set()
    assert await asyncio.gather(*waiting[1::2]) == [f"note {n}" for n in range(1, 30, 2)]
    assert await notebook.write("later") == "later"
    assert {"later", *(f"note {n}" for n in range(1, 30, 2))} <= notebook.texts()
    assert notebook.is_consistent()


async def test_closing_under_load_answers_or_refuses_everybody(notebook: Notebook) -> None:
    answered: list[str] = []

    def write_until_refused(writer: int) -> int:
        for number in range(1_000_000):
            try:
                answered.append(notebook.write_now(f"{writer}/{number}"))
            except Unavailable:
                return number
        raise AssertionError("never refused")

    async def write_until_refused_too(writer: int) -> None:
        for number in range(1_000_000):
            try:
                answered.append(await notebook.write(f"{writer}/{number}"))
            except Unavailable:
                return

    threads = ThreadPoolExecutor(8)
    loop = asyncio.get_running_loop()
    writers = [loop.run_in_executor(threads, write_until_refused, n) for n in range(8)]
    writers += [asyncio.ensure_future(write_until_refused_too(n)) for n in range(8, 16)]
    while len(answered) < 200:  # noqa: ASYNC110 - writers fill it from other threads, too
        await asyncio.sleep(0.01)
    await asyncio.wait_for(asyncio.to_thread(notebook.store.close), 30)
    await asyncio.wait_for(asyncio.gather(*writers), 30)
    threads.shutdown()
    for refused in (notebook.write("late"), notebook.store.read(notebook.caller, lambda tx: 1)):
        with pytest.raises(Unavailable):
            await refused
    again = notebook.reopened()
    assert set(answered) == again.texts()
    assert again.is_consistent()
    again.store.close()


async def test_an_answer_whose_event_loop_is_gone_harms_nobody(notebook: Notebook) -> None:
    gate = Gate()

    def give_up() -> None:
        loop = asyncio.new_event_loop()
        waiting = loop.create_task(notebook.write("orphan", gate))
        loop.call_later(0.05, loop.stop)
        loop.run_forever()
        waiting._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.close()

    await asyncio.to_thread(give_up)
    gate.opened.set()
    assert await notebook.write("later") == "later"
    assert "later" in notebook.texts()


async def test_a_listener_that_fails_does_not_fail_what_is_durable(notebook: Notebook) -> None:
    def broken(workspace_id: str, seq: int) -> None:
        raise ValueError("no ears")

    heard: list[int] = []
    notebook.store.on_commit(broken)
    notebook.store.on_commit(lambda _ws, seq: heard.append(seq))
    assert await notebook.store.write(notebook.caller, RequestContext(), notebook.work("note")) == "note"
    await notebook.write("another")
    logged = [seq for seq, _text in notebook.log()]
    notebook.store.close()  # wake-ups come behind the answers
    assert heard == logged
