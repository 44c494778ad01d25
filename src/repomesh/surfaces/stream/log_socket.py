"""`WS /v1/ws`: the log over a WebSocket, several subscriptions on one socket."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

from repomesh.kernel import limits
from repomesh.kernel.errors import Conflict, NotFound, RepomeshError, TooLarge
from repomesh.kernel.identity import Caller, RequestContext
from repomesh.store.filters import EventFilter
from repomesh.store.log import StoredEvent
from repomesh.store.subscription import SlowConsumer, Subscription
from repomesh.surfaces.gateway import Gateway
from repomesh.surfaces.http.asgi_messages import Receive, Scope, Send
from repomesh.surfaces.stream.frames import error_frame, frame_id_of, server_frame
from repomesh.surfaces.stream.log_frames import LOG_FRAMES, ResumeFrame, Subscribe, event_frame_start
from repomesh.surfaces.stream.socket import Socket
from repomesh.surfaces.stream.wire import FRAMES, takes_frames, text_frame


class SubscriptionTaken(Conflict):
    """This socket already has a subscription of that name."""

    code = "subscription_taken"
    hint = "Send another 'id', or 'unsubscribe' or 'resume' for the existing one."


class TooManySubscriptions(Conflict):
    """A socket carries a bounded number of subscriptions."""

    code = "too_many_subscriptions"
    hint = "Send 'unsubscribe' for one, name several 'types' in one subscription, or open another socket."


class SubscriptionNotFound(NotFound):
    """This socket has no subscription of that name."""

    code = "subscription_not_found"
    hint = "Send a 'subscribe' frame first."


@dataclass(slots=True)
class _RunningPush:
    """A subscription of the socket: its filter, its task, and the position up to which all is sent."""

    event_filter: EventFilter
    task: asyncio.Task[None]
    position: int | None


class LogSocket(Socket):
    """A client's subscriptions to the log."""

    frames = LOG_FRAMES

    def __init__(self, gateway: Gateway, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(gateway, scope, receive, send)
        self._running: dict[str, _RunningPush] = {}

    async def run(self, caller: Caller) -> None:
        """Serve the client until the end, then close with the reason."""
        identity = {"workspace_id": caller.workspace_id, "role": caller.role, "agent_id": caller.agent_id}
        await self._send_frame(server_frame("ready", **identity))
        await self._serve(caller)

    # -- what the client sends ---------------------------------------------------------------------

    async def _handle_frame(self, frame: Any, caller: Caller) -> None:
        if isinstance(frame, Subscribe):
            await self._subscribe(frame, caller)
        elif isinstance(frame, ResumeFrame):
            event_filter = (await self._stop_subscription(frame.id)).event_filter
            self._start_subscription(frame.id, event_filter, frame.after, caller)
        else:
            await self._stop_subscription(frame.id)
            await self._send_frame(server_frame("unsubscribed", subscription=frame.id))

    def _refusal_frame(self, error: RepomeshError, text: str) -> str:
        subscription_id = None if isinstance(error, TooLarge) else frame_id_of(text)
        return error_frame(error, self._trace_id, subscription=subscription_id)

    async def _subscribe(self, frame: Subscribe, caller: Caller) -> None:
        if frame.id in self._running:
            raise SubscriptionTaken(f"this socket has a subscription '{frame.id}' already")
        if len(self._running) >= limits.SOCKET_SUBSCRIPTIONS_MAX:
            raise TooManySubscriptions(f"this socket has {limits.SOCKET_SUBSCRIPTIONS_MAX} subscriptions")
        context = RequestContext(trace_id=self._trace_id)
        answer = await self._gateway.call("event.stream", caller, frame.request(), context)
        self._start_subscription(frame.id, cast(EventFilter, answer.result), frame.after, caller)

    def _start_subscription(
        self, id_: str, event_filter: EventFilter, after: int | None, caller: Caller
    ) -> None:
        task = self.start(self._push(id_, event_filter, after, caller))
        self._running[id_] = _RunningPush(event_filter, task, after)

    async def _stop_subscription(self, id_: str) -> _RunningPush:
        running = self._running.pop(id_, None)
        if running is None:
            raise SubscriptionNotFound(f"this socket has no subscription '{id_}'")
        running.task.cancel()
        await asyncio.wait([running.task])
        return running

    # -- what the client gets ----------------------------------------------------------------------

    async def _push(self, id_: str, event_filter: EventFilter, after: int | None, caller: Caller) -> None:
        """Push one subscription until it is stopped; an error of it alone does not end the socket."""
        tails = self._gateway.tails
        try:
            async with tails.subscribe(event_filter, after, caller.actor_id) as subscription:
                self._running[id_].position = subscription.position
                subscription.on_failure = self._handle_failure
                await self._send_frame(
                    server_frame("subscribed", subscription=id_, position=subscription.position)
                )
                await self._pump(id_, subscription)
        except SlowConsumer:
            raise
        except RepomeshError as error:
            self._running.pop(id_, None)
            await self._send_frame(error_frame(error, self._trace_id, subscription=id_))

    async def _pump(self, id_: str, subscription: Subscription) -> None:
        running = self._running[id_]
        start = event_frame_start(id_)
        push = self._push_frames if takes_frames(self._scope) else self._push_texts
        while True:
            events = await subscription.next(limits.STREAM_POSITION_EVERY_S)
            if events:
                await push(start, events, running)
            else:
                running.position = subscription.position
                await self._send_frame(server_frame("position", subscription=id_, seq=running.position))

    async def _push_texts(self, start: str, events: list[StoredEvent], running: _RunningPush) -> None:
        for event in events:
            await self._send_frame(f"{start}{event.json}}}")
            running.position = event.seq

    async def _push_frames(self, start: str, events: list[StoredEvent], running: _RunningPush) -> None:
        frames, size = [], 0
        for event in events:
            frame = text_frame(f"{start}{event.json}}}".encode())
            frames.append(frame)
            size += len(frame)
            if size >= limits.STREAM_WRITE_BYTES or event is events[-1]:
                await self._send({"type": FRAMES, "frames": b"".join(frames)})
                running.position = event.seq
                frames, size = [], 0

    def _delivered_position(self) -> int:
        return min(running.position for running in self._running.values() if running.position is not None)
