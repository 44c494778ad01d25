"""Subscribers get what matches their filter: in order, without a gap, however they join and lag."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import delete, update

from harness import Mesh
from repomesh.kernel import limits
from repomesh.kernel.errors import NoLongerAvailable
from repomesh.kernel.identity import RequestContext, system_caller
from repomesh.kernel.operation import Model
from repomesh.store import filters, log, tail
from repomesh.store.filters import EventFilter, LogSlice, filter_for
from repomesh.store.log import NewEvent
from repomesh.store.tables import counters, events
from repomesh.store.tail import PositionAhead, SlowConsumer, Subscription
from repomesh.store.transaction import Transaction

pytestmark = pytest.mark.anyio


class Count(Model):
    """Data of the test's events."""

    number: int


class Log:
    """The log of the mesh's workspace, written without any operation."""

    def __init__(self, mesh: Mesh, workspace_id: str) -> None:
        self.store = mesh.server.store
        self.tails = mesh.server.tails
        self.caller = system_caller(workspace_id)
        self._numbers: Iterator[int] = iter(range(1_000_000))

    def filter(self, *types: str) -> EventFilter:
        return filter_for(self.caller, types=types)

    async def append(self, count: int, type_: str = "test.even") -> int:
        """Append `count` events in one commit; answers the last number."""

        def work(tx: Transaction) -> None:
            for _ in range(count):
                tx.emit(NewEvent(type_, "test", Count(number=next(self._numbers))))

        await self.store.write(self.caller, RequestContext(), work)
        return await self.last()

    async def last(self) -> int:
        return (
            await self.store.read(self.caller, lambda tx: log.bounds(tx.connection, self.caller.workspace_id))
        )[1]

    async def prune(self, before: int) -> None:
        def work(tx: Transaction) -> None:
            tx.execute(delete(events).where(events.c.seq < before))
            tx.execute(update(counters).values(oldest_seq=before))

        await self.store.write(self.caller, RequestContext(), work)


@pytest.fixture
async def journal(mesh: Mesh) -> Log:
    return Log(mesh, (await mesh.get("/v1/workspace"))["id"])


async def taken(subscription: Subscription, upto: int, pause_s: float = 0.0) -> list[int]:
    """Read until the subscription has dealt with everything up to `upto`."""
    numbers: list[int] = []
    while subscription.position < upto:
        numbers += [event.seq for event in await subscription.next(0.05)]
        await asyncio.sleep(pause_s)
    return numbers


async def test_subscribers_that_join_anywhere_while_the_log_grows_miss_nothing(journal: Log) -> None:
    start = await journal.last()

    async def write() -> None:
        for round_ in range(40):
            await journal.append(round_ % 7 + 1, "test.even" if round_ % 2 else "test.odd")

    async def read(type_: str, begin: int, delay_s: float, pause_s: float) -> list[int]:
        await asyncio.sleep(delay_s)
        async with journal.tails.subscribe(journal.filter(type_), begin) as subscription:
            await writing
            return await taken(subscription, await journal.last(), pause_s)

    writing = asyncio.create_task(write())
    readers = [
        asyncio.create_task(read(type_, begin, delay_s, pause_s))
        for type_ in ("test.even", "test.odd", "test")
        for begin in (0, start)
        for delay_s in (0.0, 0.01, 0.05)
        for pause_s in (0.0, 0.005)
    ]
    received = await asyncio.gather(*readers)
    truth = {
        type_: [e["seq"] for e in await everything(journal) if e["type"].startswith(type_)]
        for type_ in ("test.even", "test.odd", "test")
    }
    for reader, numbers in enumerate(received):
        type_ = ("test.even", "test.odd", "test")[reader // 12]
        assert numbers == truth[type_]


async def everything(journal: Log) -> list[dict[str, object]]:
    """The whole log, as (seq, type)."""
    workspace_id = journal.caller.workspace_id
    rows = await journal.store.read(
        journal.caller, lambda tx: log.read_after(tx.connection, workspace_id, 0, 10_000).events
    )
    return [{"seq": event.seq, "type": event.type} for event in rows]


async def test_who_does_not_take_its_events_is_told_where_to_go_on(journal: Log) -> None:
    async with journal.tails.subscribe(journal.filter("test"), None) as subscription:
        while not subscription.live:
            await subscription.next(0.01)
        first = await journal.append(1)
        assert [event.seq for event in await subscription.next(5)] == [first]
        for _ in range(3):
            last = await journal.append(limits.STREAM_BUFFER_EVENTS // 2)
        async with journal.tails.subscribe(journal.filter("test"), None) as other:
            await taken(other, last)
        with pytest.raises(SlowConsumer) as slow:
            await subscription.next(5)
        assert slow.value.details["resume_after"] == first
    async with journal.tails.subscribe(journal.filter("test"), first) as again:
        assert await taken(again, last) == list(range(first + 1, last + 1))


async def test_a_stream_of_rare_events_moves_on_with_the_log(journal: Log) -> None:
    async with journal.tails.subscribe(journal.filter("test.rare"), 0) as subscription:
        last = await journal.append(10)
        while subscription.position < last:
            assert await subscription.next(0.01) == []


async def test_a_place_that_was_pruned_or_is_not_reached_yet_is_refused(journal: Log) -> None:
    last = await journal.append(10)
    await journal.prune(last)
    with pytest.raises(NoLongerAvailable) as gone:
        async with journal.tails.subscribe(journal.filter(), 3):
            pass
    assert gone.value.details["oldest_seq"] == last
    with pytest.raises(PositionAhead):
        async with journal.tails.subscribe(journal.filter(), last + 1):
            pass
    async with journal.tails.subscribe(journal.filter(), last - 1) as subscription:
        assert await taken(subscription, last) == [last]


async def test_a_log_pruned_past_a_lagging_subscriber_ends_it(journal: Log) -> None:
    begin = await journal.last()
    tails, wanted = journal.tails, journal.filter()
    async with tails.subscribe(wanted, begin) as lagging, tails.subscribe(wanted, begin) as quick:
        last = await journal.append(10)
        await taken(quick, last)
        await journal.prune(last)
        with pytest.raises(NoLongerAvailable):
            await taken(lagging, last)


async def test_a_log_pruned_past_the_tail_itself_ends_those_whom_it_feeds(
    journal: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with journal.tails.subscribe(journal.filter(), None) as subscription:
        while not subscription.live:
            await subscription.next(0.01)
        tail = journal.tails._tails[journal.caller.workspace_id]
        read_on, pruned = tail._advance, asyncio.Event()

        async def held_back() -> None:
            await pruned.wait()
            await read_on()

        monkeypatch.setattr(tail, "_advance", held_back)
        last = await journal.append(5)
        await journal.prune(last)
        pruned.set()
        tail.wake()
        with pytest.raises(NoLongerAvailable) as gone:
            await taken(subscription, last + 1)
        assert gone.value.details["oldest_seq"] == last


class BehindLog:
    """A tail that is behind a subscriber which read the log up to its end itself."""

    position = 3

    def join(self, listener: object) -> None:
        """Nothing is to be done."""

    async def read(self, wanted: EventFilter, after: int, caller_id: str) -> LogSlice:
        raise AssertionError("the subscriber is ahead")


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_what_was_read_from_the_log_is_not_taken_from_the_tail_once_more(journal: Log) -> None:
    first = await journal.append(4)
    workspace_id = journal.caller.workspace_id
    stored = await journal.store.read(
        journal.caller, lambda tx: log.read_after(tx.connection, workspace_id, first - 4, 4, 10_000).events
    )
    subscription = Subscription(BehindLog(), journal.filter(), after=stored[1].seq)
    assert await subscription.next(0) == []
    assert subscription.take(stored) == 2
    assert [event.seq for event in await subscription.next(1)] == [event.seq for event in stored[2:]]


@pytest.mark.parametrize(("callers", "at_once"), [(1, 1), (2, 2), (4, limits.LOG_READS_AT_ONCE)])
async def test_subscribers_that_lag_read_the_log_in_turns(
    journal: Log, monkeypatch: pytest.MonkeyPatch, callers: int, at_once: int
) -> None:
    """Each read takes a reading thread and a megabyte; the log's new events come to all at once."""
    await journal.append(10)
    reading, most, lock = 0, 0, threading.Lock()

    def read(*arguments: Any) -> LogSlice:
        nonlocal reading, most
        with lock:
            reading += 1
            most = max(most, reading)
        time.sleep(0.005)
        with lock:
            reading -= 1
        return filters.read_matching(*arguments)

    monkeypatch.setattr(tail, "read_matching", read)
    last = await journal.last()

    async def subscribe(number: int) -> list[int]:
        caller_id = f"caller {number % callers}"
        async with journal.tails.subscribe(journal.filter("test"), last - 10, caller_id) as subscription:
            return await taken(subscription, last)

    assert set(map(len, await asyncio.gather(*map(subscribe, range(16))))) == {10}
    assert most == at_once
