"""Tails: one reader of the log per workspace and process, and the subscribers that it feeds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import structlog

from repomesh.kernel import limits
from repomesh.kernel.computing import ComputeQueue
from repomesh.kernel.errors import InternalError, InvalidRequest, NoLongerAvailable, RepomeshError
from repomesh.kernel.identity import Caller, system_caller
from repomesh.kernel.telemetry import Metrics, tracer
from repomesh.kernel.wakeup import Wakeup
from repomesh.store import log as event_log
from repomesh.store.base import Store
from repomesh.store.filters import EventFilter, LogSlice, filter_for, read_matching
from repomesh.store.log import EventsRead, StoredEvent
from repomesh.store.subscription import EventListener, SlowConsumer, Subscription

log = structlog.get_logger("repomesh.tail")

__all__ = ["PositionAhead", "SlowConsumer", "Subscription", "Tail", "Tails", "WaitHandle"]


class PositionAhead(InvalidRequest):
    """The position is beyond the end of this log: it belongs to another log, or to a later backup."""

    code = "position_ahead"
    hint = "Read from 'last_seq', or from the start: this log does not hold the event that 'after' names."


class Tail:
    """Reads one workspace's new events once and delivers them to every subscriber that is up to date.

    `idle` is called when it stops by itself, after TAIL_LINGER_S without users; `turns` are those of the
    subscribers that lag, of all tails.
    """

    def __init__(
        self,
        workspace_id: str,
        store: Store,
        metrics: Metrics,
        turns: ComputeQueue,
        idle: Callable[[Tail], None],
    ) -> None:
        self.workspace_id = workspace_id
        self.position = 0
        self.users = 0
        self._idle = idle
        self._caller = system_caller(workspace_id)
        self._store = store
        self._metrics = metrics
        self._turns = turns
        self._live: dict[EventFilter, set[EventListener]] = {}  # so that each filter is matched once
        self._wakeup = Wakeup()
        self._opening = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin at the log's present end, unless that is done; raises Unavailable when it can't be read."""
        async with self._opening:
            if self._task is None:
                _oldest, self.position = await self._store.read(
                    self._caller, lambda tx: event_log.bounds(tx.connection, self.workspace_id)
                )
                self._task = asyncio.create_task(self._run(), name=f"tail {self.workspace_id}")

    def wake(self) -> None:
        """Read the log again: it may have grown."""
        self._wakeup.set()

    async def stop(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def start_position(self, after: int) -> int:
        """`after`, if the log holds all that comes after it; raises NoLongerAvailable or PositionAhead."""
        oldest, last = await self._store.read(
            self._caller, lambda tx: event_log.bounds(tx.connection, self.workspace_id)
        )
        event_log.require_kept(after, oldest)
        if after > last:
            raise PositionAhead(f"after: the log ends at {last}", last_seq=last)
        return after

    async def read(self, event_filter: EventFilter, after: int, caller_id: str) -> LogSlice:
        """A bounded read for a subscriber of `caller_id` that lags, when it is that caller's turn.

        Raises NoLongerAvailable if the log was pruned, and TooManyCalls when too many of its reads wait.
        """
        async with self._turns.turn(caller_id):
            return await self._store.read(
                self._caller, lambda tx: read_matching(tx.connection, event_filter, after)
            )

    def join(self, listener: EventListener) -> None:
        """Deliver new events to a listener that has all events up to this tail's position."""
        self._live.setdefault(listener.filter, set()).add(listener)

    def leave(self, listener: EventListener) -> None:
        """Deliver no more events to the listener."""
        listeners = self._live.get(listener.filter, set())
        listeners.discard(listener)
        if not listeners:
            self._live.pop(listener.filter, None)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        used_at = loop.time()
        while loop.time() - used_at < limits.TAIL_LINGER_S:
            try:
                await self._advance()
            except RepomeshError as error:
                log.warning("tail waits", workspace_id=self.workspace_id, reason=error.message)
            except Exception:  # whatever it was, every stream of the workspace would stand still for ever
                log.exception("tail failed, and goes on", workspace_id=self.workspace_id)
            await self._wakeup.wait(limits.LOG_POLL_S)
            if self.users:
                used_at = loop.time()
        self._idle(self)

    async def _advance(self) -> None:
        while True:
            new_events = await self._store.read(
                self._caller,
                lambda tx: event_log.read_after(
                    tx.connection,
                    self.workspace_id,
                    self.position,
                    limits.STREAM_READ_EVENTS,
                    limits.STREAM_READ_CHARS,
                ),
            )
            if not new_events.count:
                return
            with tracer.span("push"):
                self._deliver(new_events)
            if new_events.count < limits.STREAM_READ_EVENTS and new_events.chars < limits.STREAM_READ_CHARS:
                return

    def _deliver(self, new_events: EventsRead) -> None:
        first = new_events.first
        if first != self.position + 1:
            for listeners in self._live.values():
                for listener in listeners:
                    listener.fail(NoLongerAvailable(f"the log begins at {first}", oldest_seq=first))
        self.position = new_events.last
        delivered = 0
        for event_filter, listeners in self._live.items():
            matching = [event for event in new_events.events if event_filter.matches(event)]
            if matching:
                delivered += sum([self._deliver_to(listener, matching) for listener in tuple(listeners)])
        self._metrics.delivered.inc(delivered)

    def _deliver_to(self, listener: EventListener, events: list[StoredEvent]) -> int:
        """Deliver events to one listener; an error ends this one, and none of the others."""
        try:
            return listener.take(events)
        except Exception:  # whatever it was: it missed these events, and must read them again
            log.exception("a listener failed", workspace_id=self.workspace_id)
            listener.fail(InternalError("the stream failed inside the server"))
            return 0


class Tails:
    """The tails of this process, made on demand, and the signals that waiting operations listen to."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._turns = ComputeQueue(
            limits.LOG_READS_AT_ONCE, limits.LOG_READS_WAITING_MAX, "reads of the event log"
        )
        self._tails: dict[str, Tail] = {}

    def wake(self, workspace_id: str, seq: int) -> None:
        """Wake the tail of a workspace unless it has read up to `seq`. Called by the bus."""
        tail = self._tails.get(workspace_id)
        if tail is not None and seq > tail.position:
            tail.wake()

    async def stop(self) -> None:
        """Stop every tail."""
        tails, self._tails = self._tails, {}
        for tail in tails.values():
            await tail.stop()

    @asynccontextmanager
    async def subscribe(
        self, event_filter: EventFilter, after: int | None, caller_id: str = ""
    ) -> AsyncIterator[Subscription]:
        """A subscription from after `after`, or from now on when it is None.

        While it lags it reads the log in turns with the other subscriptions of `caller_id`.

        Raises NoLongerAvailable if the log was pruned beyond `after`, PositionAhead if it ends before.
        """
        async with self._tail(event_filter.workspace_id) as tail:
            begin = tail.position if after is None else await tail.start_position(after)
            subscription = Subscription(tail, event_filter, begin, caller_id)
            try:
                yield subscription
            finally:
                tail.leave(subscription)

    @asynccontextmanager
    async def listen(self, caller: Caller, types: frozenset[str]) -> AsyncIterator[WaitHandle]:
        """Listen for events of `types` that `caller` may see."""
        handle = WaitHandle(filter_for(caller, types=tuple(sorted(types))))
        async with self._tail(caller.workspace_id) as tail:
            tail.join(handle)
            try:
                yield handle
            finally:
                tail.leave(handle)

    @asynccontextmanager
    async def _tail(self, workspace_id: str) -> AsyncIterator[Tail]:
        """The open tail of a workspace, in use."""
        tail = self._tails.get(workspace_id)
        if tail is None:
            tail = Tail(workspace_id, self._store, self._metrics, self._turns, self._forget)
            self._tails[workspace_id] = tail
        tail.users += 1
        try:
            await tail.open()
            yield tail
        finally:
            tail.users -= 1

    def _forget(self, tail: Tail) -> None:
        self._tails.pop(tail.workspace_id, None)


class WaitHandle:
    """Wakes an operation that waits when an event matches; which one, does not matter."""

    def __init__(self, event_filter: EventFilter) -> None:
        self.filter = event_filter
        self._wakeup = Wakeup()

    def take(self, events: Sequence[StoredEvent]) -> int:
        """Wake the operation. Returns 0, since no event is sent to anybody."""
        self._wakeup.set()
        return 0

    def fail(self, error: RepomeshError) -> None:
        """Wake the operation: what was missed may have been what it waits for."""
        self._wakeup.set()

    async def wait(self, timeout_s: float) -> bool:
        """Whether a matching event arrived within `timeout_s`, or since the last call."""
        return await self._wakeup.wait(timeout_s)
