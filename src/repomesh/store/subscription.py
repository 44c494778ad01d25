"""A subscription: one reader's place in the log, fed by a tail while it keeps up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from repomesh.kernel import limits
from repomesh.kernel.errors import Failure, RepomeshError
from repomesh.kernel.wakeup import Wakeup
from repomesh.store.filters import EventFilter, LogSlice
from repomesh.store.log import StoredEvent


class SlowConsumer(RepomeshError):
    """The subscriber did not keep up; `resume_after` says where to go on."""

    code = "slow_consumer"
    failure = Failure.UNAVAILABLE
    hint = "Connect again with 'after' set to resume_after; nothing is lost."


class SubscriptionSource(Protocol):
    """Where a subscription gets its events: by reading the log while it lags, afterwards by delivery."""

    position: int

    async def read(self, event_filter: EventFilter, after: int, caller_id: str) -> LogSlice:
        """A bounded read of the log for a subscriber of `caller_id` that lags."""
        ...

    def join(self, listener: EventListener) -> None:
        """Deliver every event from now on."""
        ...


class EventListener(Protocol):
    """A receiver to which a tail delivers the events that match its filter."""

    filter: EventFilter

    def take(self, events: Sequence[StoredEvent]) -> int:
        """Accept new events, in order, without blocking; returns how many will be sent to a client."""
        ...

    def fail(self, error: RepomeshError) -> None:
        """Note that no further event will be delivered, because of `error`."""
        ...


class Subscription:
    """Events that match a filter, in order, none left out: each at least once.

    `position` is the number of the last event that was checked, matching or not; `next` has returned all
    matching ones up to it. `on_failure` is called at once with the error that `next` will raise, for a reader
    that does not wait there.
    """

    def __init__(
        self, source: SubscriptionSource, event_filter: EventFilter, after: int, caller_id: str = ""
    ) -> None:
        self.filter = event_filter
        self.position = after
        self.live = False
        self.on_failure: Callable[[RepomeshError], None] | None = None
        self._source = source
        self._caller_id = caller_id
        self._buffer: list[StoredEvent] = []
        self._buffered_chars = 0
        self._failure: RepomeshError | None = None
        self._wakeup = Wakeup()

    def take(self, events: Sequence[StoredEvent]) -> int:
        """Buffer new matching events for `next`; returns how many. Called by the tail, in order."""
        if self._failure is not None:
            return 0
        if events[0].seq <= self.position:  # joined while ahead of the tail: these were read from the log
            events = [event for event in events if event.seq > self.position]
            if not events:
                return 0
        self._buffer += events
        self._buffered_chars += sum([len(event.json) for event in events])
        if (
            len(self._buffer) > limits.STREAM_BUFFER_EVENTS
            or self._buffered_chars > limits.STREAM_BUFFER_CHARS
        ):
            self.fail(
                SlowConsumer(f"{len(self._buffer)} events waited to be taken", resume_after=self.position)
            )
        else:
            self._wakeup.set()
        return len(events)

    def fail(self, error: RepomeshError) -> None:
        """Let `next` raise `error` from now on, and drop the buffer."""
        self._failure = error
        self._buffer, self._buffered_chars = [], 0
        self._wakeup.set()
        if self.on_failure is not None:
            self.on_failure(error)

    async def next(self, timeout_s: float) -> list[StoredEvent]:
        """The events since the last call, or an empty list when `timeout_s` passes without one.

        Raises SlowConsumer when the buffer overflowed, and NoLongerAvailable when the log was pruned beyond
        the position.
        """
        if not self.live and self._failure is None:
            events = await self._catch_up()
            if events:
                return events
        if not self._buffer and self._failure is None:
            await self._wakeup.wait(timeout_s)
        if self._failure is not None:
            raise self._failure
        events, self._buffer, self._buffered_chars = self._buffer, [], 0
        self._wakeup.clear()
        if events:
            self.position = events[-1].seq
        else:
            self.position = max(self.position, self._source.position)
        return events

    async def _catch_up(self) -> list[StoredEvent]:
        """Read the log up to the tail's position, then join its listeners.

        Nothing is awaited between the comparison and the joining, so no event falls between them.
        """
        while self.position < self._source.position:
            log_slice = await self._source.read(self.filter, self.position, self._caller_id)
            self.position = log_slice.upto
            if log_slice.events:
                return log_slice.events
        self._source.join(self)
        self.live = True
        return []
