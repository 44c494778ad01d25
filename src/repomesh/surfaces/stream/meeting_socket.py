"""`WS /v1/ws/meetings/{meeting_id}`: a meeting, as one of its participants sees and holds it."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, cast

import orjson
from pydantic import ValidationError

from repomesh.domains.agents.rules import name_key
from repomesh.domains.meetings.errors import NotAParticipant
from repomesh.domains.meetings.events import MEETING_OPINION_REQUESTED, MEETING_VOTE_REQUESTED
from repomesh.domains.meetings.models import Meeting, MeetingRequest, ShowRequest
from repomesh.domains.messaging.messages.models import MESSAGE_SENT, MessagesSeen
from repomesh.kernel import limits
from repomesh.kernel.errors import Failure, Forbidden, InvalidRequest, RepomeshError, TooLarge
from repomesh.kernel.identity import Caller, RequestContext
from repomesh.kernel.operation import invalid_request
from repomesh.store.filters import EventFilter, filter_for
from repomesh.store.log import StoredEvent
from repomesh.store.subscription import Subscription
from repomesh.surfaces.gateway import Gateway
from repomesh.surfaces.http.asgi_messages import Receive, Scope, Send
from repomesh.surfaces.http.routes import query_values
from repomesh.surfaces.stream.frames import error_frame, id_of, server_frame
from repomesh.surfaces.stream.meeting_frames import (
    EVENTS,
    MEETING_FRAMES,
    MeetingQuery,
    SaidFrame,
    accepted_frame,
    connected_frame,
    direct_message_frame,
    meeting_event_frame,
    request_frame,
    topic_of,
)
from repomesh.surfaces.stream.socket import Socket

_BEATS_PER_LIMIT = 4  # signs of life within the time after which an agent counts as inactive


class AnotherMeeting(InvalidRequest):
    """A socket is for the meeting in its URL."""

    code = "another_meeting"
    hint = "Send this meeting's 'meeting_id', or open another socket for the other meeting."


class MeetingSocket(Socket):
    """One client's socket to one meeting."""

    frames = MEETING_FRAMES
    close_codes = MappingProxyType(
        {
            **Socket.close_codes,
            Failure.INVALID: 4400,
            Failure.NOT_FOUND: 4404,
            Failure.GONE: 4410,
        }
    )

    def __init__(self, gateway: Gateway, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(gateway, scope, receive, send)
        self._meeting_id: str = scope["path_params"]["meeting_id"]
        self._query = MeetingQuery()
        self._context = RequestContext(trace_id=self._trace_id)
        self._position = 0
        self._asked: str | None = None  # the message of the request that was told last

    async def authenticate(self) -> Caller:
        """The caller, who speaks as the agent that the URL names; raises what stands against it."""
        try:
            self._query = MeetingQuery.model_validate(query_values(self._scope, frozenset()))
        except ValidationError as error:
            raise invalid_request(error) from None
        return await super().authenticate()

    async def run(self, caller: Caller) -> None:
        """Serve the client until the end, then close with the reason."""
        wanted = _wanted(caller, self._meeting_id)
        async with self._gateway.tails.subscribe(wanted, self._query.after) as subscription:
            subscription.on_failure = self._failed
            self._position = subscription.position
            # Read after the subscription began, so that nothing falls between the two.
            shown = await self._gateway.call(
                "meeting.show", caller, {"meeting_id": self._meeting_id}, self._context
            )
            meeting = cast(Meeting, shown.result)
            await self._send_frame(connected_frame(caller, meeting, self._position))
            self.start(self._push(caller, subscription))
            await self._serve(caller)

    # -- what the client sends ---------------------------------------------------------------------

    async def _identify(self, authorization: str, agent: str | None) -> Caller:
        caller = await super()._identify(authorization, self._query.agent_id or agent)
        known = {caller.agent_id, name_key(caller.agent_name or "")}
        if agent is not None and not {agent, name_key(agent)} & known:
            raise Forbidden(
                f"the URL names '{self._query.agent_id}' and the request '{agent}'",
                hint="Name one agent, by agent_id in the URL or beside the token.",
            )
        return caller

    async def _take(self, frame: SaidFrame, caller: Caller) -> None:
        if frame.meeting_id != self._meeting_id:
            raise AnotherMeeting(f"this socket is for the meeting {self._meeting_id}")
        context = RequestContext(trace_id=self._trace_id, idempotency_key=frame.idempotency_key)
        answer = await self._gateway.call(frame.operation, caller, frame.request(), context)
        await self._send_frame(accepted_frame(frame, answer))

    def _refusal(self, error: RepomeshError, text: str) -> str:
        about = None if isinstance(error, TooLarge) else id_of(text)
        return error_frame(error, self._trace_id, id=about)

    # -- what the client gets ----------------------------------------------------------------------

    async def _push(self, caller: Caller, subscription: Subscription) -> None:
        """Tell what happens; what is asked of the participant is asked again when it knows the rest."""
        limit_s = self._gateway.settings.agent_inactive_after_s
        pause_s = min(limits.STREAM_POSITION_EVERY_S, limit_s / _BEATS_PER_LIMIT)
        behind = True
        while True:
            events = await subscription.next(0 if behind else pause_s)
            self._gateway.dispatch.notify_called(caller)  # who keeps the line open is there
            for event in events:
                await self._show(event, caller)
                self._position = event.seq
            if events:
                continue
            if behind:
                behind = False
                await self._ask(caller)
            else:
                self._position = subscription.position
                await self._send_frame(server_frame("position", seq=self._position))

    async def _show(self, event: StoredEvent, caller: Caller) -> None:
        if event.type == MESSAGE_SENT:
            if event.recipient_id == caller.agent_id:
                await self._hand_over(orjson.loads(event.json), caller)
        elif event.correlation_id != self._meeting_id:
            return
        elif event.type in EVENTS:
            await self._send_frame(meeting_event_frame(EVENTS[event.type], self._meeting_id, event.json))
        elif event.type == MEETING_VOTE_REQUESTED or (
            event.type == MEETING_OPINION_REQUESTED and event.recipient_id == caller.agent_id
        ):
            await self._ask(caller)

    async def _hand_over(self, event: dict[str, Any], caller: Caller) -> None:
        """Tell of a message to the participant, if it belongs to the meeting."""
        if event["data"]["topic"] == topic_of(self._meeting_id):
            await self._send_frame(direct_message_frame(self._meeting_id, event))
            self._offered(event["data"]["id"], caller)

    async def _ask(self, caller: Caller) -> None:
        """Tell the participant what is asked of it now, unless it knows."""
        if caller.agent_id is None:
            return
        try:
            request = ShowRequest(meeting_id=self._meeting_id)
            answer = await self._gateway.call("meeting.request", caller, request, self._context)
        except NotAParticipant:
            return
        asked = cast(MeetingRequest, answer.result)
        if asked.message_id is not None and asked.message_id != self._asked:
            self._asked = asked.message_id
            await self._send_frame(request_frame(asked))
            self._offered(asked.message_id, caller)

    def _offered(self, message_id: str, caller: Caller) -> None:
        seen = MessagesSeen(message_ids=(message_id,))
        self._gateway.dispatch.queue("message.mark_offered", caller, seen)

    def _reached(self) -> int:
        return self._position


def _wanted(caller: Caller, meeting_id: str) -> EventFilter:
    """The meeting's events, and for an agent the messages to it, each of which tells its meeting itself."""
    if caller.agent_id is None:
        return filter_for(caller, types=("meeting",), correlation_id=meeting_id)
    return filter_for(caller, types=("meeting", MESSAGE_SENT))
