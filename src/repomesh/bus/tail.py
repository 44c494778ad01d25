"""Tails: one reader of the log per workspace and process, and the subscribers that it feeds."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from repomesh.bus.port import Bus
from repomesh.kernel import limits
from repomesh.kernel.errors import Failure, Gone, RepomeshError
from repomesh.kernel.identity import Caller, system_caller
from repomesh.kernel.telemetry import Metrics, tracer
from repomesh.store import log as event_log
from repomesh.store.base import Store
from repomesh.store.filters import EventFilter, filter_for
from repomesh.store.log import StoredEvent
from repomesh.store.transaction import Transaction

log = structlog.get_logger("repomesh.tail")


class SlowConsumer(RepomeshError):
    """The subscriber did not keep up; `resume_after` says where to go on."""

    code = "slow_consumer"
    failure = Failure.UNAVAILABLE
    hint = "Connect again with 'after' set to resume_after; nothing is lost."


class Subscription:
    """One reader's place in the log: events that match its filter, in order, none left out.

    `position` is the last number that is dealt with, whether it matched or not.
    """

    def __init__(self, tail: Tail, wanted: EventFilter, after: int) -> None:
        self.filter = wanted
        self.position = after
        self.live = False
        self._tail = tail
        self._buffer: deque[StoredEvent] = deque()
        self._overflow = False
        self._arrived = asyncio.Event()

    def offer(self, event: StoredEvent) -> None:
        """Called by the tail with each event in order while the subscription is live."""
        if not self.filter.matches(event):
            return
        if len(self._buffer) >= limits.STREAM_BUFFER_EVENTS:
            self._overflow = True
        else:
            self._buffer.append(event)
        self._arrived.set()

    async def next(self, timeout_s: float) -> list[StoredEvent]:
        """The events since the last call, or an empty list when `timeout_s` passes without one.

        Raises SlowConsumer when the buffer overflowed, and Gone when the log was pruned beyond it.
        """
        if not self.live:
            events = await self._catch_up()
            if events:
                return events
        if not self._buffer and not self._overflow:
            self._arrived.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), timeout_s)
        if self._overflow:
            raise SlowConsumer(
                f"more than {limits.STREAM_BUFFER_EVENTS} events waited", resume_after=self.position
            )
        events, self._buffer = list(self._buffer), deque()
        if events:
            self.position = events[-1].seq
        elif self.live:
            self.position = max(self.position, self._tail.position)
        return events

    async def _catch_up(self) -> list[StoredEvent]:
        """Read the log up to where the tail is, then join those whom it feeds."""
        while True:
            if self.position >= self._tail.position:
                self._tail.join(self)
                return []
            events = await self._tail.read(self.position)
            if not events:
                self._tail.join(self)
                return []
            # What the tail has not handed out yet, it will hand out after the joining.
            self.position = events[-1].seq
            matching = [event for event in events if self.filter.matches(event)]
            if matching:
                return matching


class Tail:
    """Reads one workspace's new events once and hands them to every subscriber that is up to date."""

    def __init__(self, workspace_id: str, store: Store, metrics: Metrics) -> None:
        self.workspace_id = workspace_id
        self.position = 0
        self._caller = system_caller(workspace_id)
        self._store = store
        self._metrics = metrics
        self._live: set[Subscription] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    def start(self) -> None:
        """Begin at the log's present end."""
        self._task = asyncio.create_task(self._run(), name=f"tail {self.workspace_id}")

    def wake(self) -> None:
        """The log may have grown."""
        self._wake.set()

    async def stop(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def ready(self) -> None:
        """Wait until the tail knows the log's end."""
        await self._ready.wait()

    async def read(self, after: int) -> list[StoredEvent]:
        """A bounded read of the log for a subscriber that lags; raises Gone before its oldest event."""

        def work(tx: Transaction) -> list[StoredEvent]:
            oldest, _last = event_log.bounds(tx.connection, self.workspace_id)
            if after + 1 < oldest:
                raise Gone(f"the log begins at {oldest}", oldest_seq=oldest)
            return event_log.read_after(tx.connection, self.workspace_id, after, limits.STREAM_READ_EVENTS)

        return await self._store.read(self._caller, work)

    def join(self, subscription: Subscription) -> None:
        """Feed a subscription that has read up to this tail's position."""
        subscription.live = True
        self._live.add(subscription)

    def leave(self, subscription: Subscription) -> None:
        """Feed it no more."""
        self._live.discard(subscription)

    async def _run(self) -> None:
        _oldest, self.position = await self._store.read(
            self._caller, lambda tx: event_log.bounds(tx.connection, self.workspace_id)
        )
        self._ready.set()
        while True:
            try:
                await self._advance()
            except RepomeshError as error:
                log.warning("tail waits", workspace_id=self.workspace_id, reason=error.message)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), limits.LOG_POLL_S)

    async def _advance(self) -> None:
        while True:
            self._wake.clear()
            events = await self._store.read(
                self._caller,
                lambda tx: event_log.read_after(
                    tx.connection, self.workspace_id, self.position, limits.STREAM_READ_EVENTS
                ),
            )
            if not events:
                return
            with tracer.start_as_current_span("push"):
                self._hand_out(events)
            if len(events) < limits.STREAM_READ_EVENTS:
                return

    def _hand_out(self, events: list[StoredEvent]) -> None:
        for event in events:
            self.position = event.seq
            for subscription in self._live:
                # One that joined while ahead of the tail has read these from the log itself.
                if event.seq > subscription.position:
                    subscription.offer(event)


class Tails:
    """The tails of this process, made on demand, and the signals that waiting operations listen to."""

    def __init__(self, store: Store, bus: Bus, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._tails: dict[str, Tail] = {}
        bus.subscribe(self._hint)

    async def stop(self) -> None:
        """Stop every tail."""
        for tail in self._tails.values():
            await tail.stop()
        self._tails.clear()

    @asynccontextmanager
    async def subscribe(self, wanted: EventFilter, after: int | None) -> AsyncIterator[Subscription]:
        """A subscription from behind `after`, or from now on when it is None."""
        tail = self._tails.get(wanted.workspace_id)
        if tail is None:
            tail = self._tails[wanted.workspace_id] = Tail(wanted.workspace_id, self._store, self._metrics)
            tail.start()
        await tail.ready()
        subscription = Subscription(tail, wanted, tail.position if after is None else after)
        if after is None:
            tail.join(subscription)
        try:
            yield subscription
        finally:
            tail.leave(subscription)

    @asynccontextmanager
    async def listen(self, caller: Caller, types: frozenset[str]) -> AsyncIterator[Alarm]:
        """Listen for events of `types` that `caller` may see."""
        wanted = filter_for(caller, types=tuple(sorted(types)))
        async with self.subscribe(wanted, None) as subscription:
            yield Alarm(subscription)

    def _hint(self, workspace_id: str, seq: int) -> None:
        tail = self._tails.get(workspace_id)
        if tail is not None and seq > tail.position:
            tail.wake()


class Alarm:
    """Rings when its subscription receives something; what, does not matter."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription

    async def wait(self, timeout_s: float) -> bool:
        """Whether something arrived within `timeout_s`."""
        try:
            return bool(await self._subscription.next(timeout_s))
        except SlowConsumer:
            return True
