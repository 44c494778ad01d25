"""`WS /v1/ws/meetings/{meeting_id}`: a meeting over a WebSocket, for one of its participants."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, cast

import orjson
from pydantic import ValidationError

from repomesh.domains.agents.rules import name_key
from repomesh.domains.meetings.errors import NotAParticipant
from repomesh.domains.meetings.events import MEETING_OPINION_REQUESTED, MEETING_VOTE_REQUESTED
from repomesh.domains.meetings.models import Meeting, MeetingRequest, ShowRequest
from repomesh.domains.messaging.messages.models import MESSAGE_SENT, MessageIds
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
from repomesh.surfaces.stream.frames import error_frame, frame_id_of, server_frame
from repomesh.surfaces.stream.meeting_frames import (
    EVENTS,
    MEETING_FRAMES,
    MeetingQuery,
    ParticipantFrame,
    accepted_frame,
    connected_frame,
    direct_message_frame,
    meeting_event_frame,
    request_frame,
    topic_of,
)
from repomesh.surfaces.stream.socket import Socket

_BEATS_PER_LIMIT = 4  # heartbeats within the time after which an agent counts as inactive


class AnotherMeeting(InvalidRequest):
    """A socket serves only the meeting in its URL."""

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
        self._last_request_id: str | None = None  # the message id of the request that was sent last

    async def authenticate(self) -> Caller:
        """Authenticate the caller as the agent that the URL names; raises InvalidRequest for a bad URL."""
        try:
            self._query = MeetingQuery.model_validate(query_values(self._scope, frozenset()))
        except ValidationError as error:
            raise invalid_request(error) from None
        return await super().authenticate()

    async def run(self, caller: Caller) -> None:
        """Serve the client until the end, then close with the reason."""
        event_filter = _meeting_filter(caller, self._meeting_id)
        tails = self._gateway.tails
        async with tails.subscribe(event_filter, self._query.after, caller.actor_id) as subscription:
            subscription.on_failure = self._handle_failure
            self._position = subscription.position
            # Read after the subscription began, so that nothing falls between the two.
            answer = await self._gateway.call(
                "meeting.show", caller, {"meeting_id": self._meeting_id}, self._context
            )
            meeting = cast(Meeting, answer.result)
            await self._send_frame(connected_frame(caller, meeting, self._position))
            self.start(self._push(caller, subscription))
            await self._serve(caller)

    # -- what the client sends ---------------------------------------------------------------------

    async def _identify(self, authorization: str, agent: str | None) -> Caller:
        caller = await super()._identify(authorization, self._query.agent_id or agent)
        agent_names = {caller.agent_id, name_key(caller.agent_name or "")}
        if agent is not None and not {agent, name_key(agent)} & agent_names:
            raise Forbidden(
                f"the URL names '{self._query.agent_id}' and the request '{agent}'",
                hint="Name one agent, by agent_id in the URL or beside the token.",
            )
        return caller

    async def _handle_frame(self, frame: ParticipantFrame, caller: Caller) -> None:
        if frame.meeting_id != self._meeting_id:
            raise AnotherMeeting(f"this socket is for the meeting {self._meeting_id}")
        context = RequestContext(trace_id=self._trace_id, idempotency_key=frame.idempotency_key)
        answer = await self._gateway.call(frame.operation, caller, frame.request(), context)
        await self._send_frame(accepted_frame(frame, answer))

    def _refusal_frame(self, error: RepomeshError, text: str) -> str:
        frame_id = None if isinstance(error, TooLarge) else frame_id_of(text)
        return error_frame(error, self._trace_id, id=frame_id)

    # -- what the client gets ----------------------------------------------------------------------

    async def _push(self, caller: Caller, subscription: Subscription) -> None:
        """Send events as they happen; once the client has caught up, repeat the request that is open."""
        inactive_after_s = self._gateway.settings.agent_inactive_after_s
        pause_s = min(limits.STREAM_POSITION_EVERY_S, inactive_after_s / _BEATS_PER_LIMIT)
        is_catching_up = True
        while True:
            events = await subscription.next(0 if is_catching_up else pause_s)
            self._gateway.dispatch.notify_called(caller)  # an open socket counts as a sign of life
            for event in events:
                await self._send_event(event, caller)
                self._position = event.seq
            if events:
                continue
            if is_catching_up:
                is_catching_up = False
                await self._send_request(caller)
            else:
                self._position = subscription.position
                await self._send_frame(server_frame("position", seq=self._position))

    async def _send_event(self, event: StoredEvent, caller: Caller) -> None:
        if event.type == MESSAGE_SENT:
            if event.recipient_id == caller.agent_id:
                await self._send_direct_message(orjson.loads(event.json), caller)
        elif event.correlation_id != self._meeting_id:
            return
        elif event.type in EVENTS:
            await self._send_frame(meeting_event_frame(EVENTS[event.type], self._meeting_id, event.json))
        elif event.type == MEETING_VOTE_REQUESTED or (
            event.type == MEETING_OPINION_REQUESTED and event.recipient_id == caller.agent_id
        ):
            await self._send_request(caller)

    async def _send_direct_message(self, event: dict[str, Any], caller: Caller) -> None:
        """Send a message to the participant, if it belongs to the meeting."""
        if event["data"]["topic"] == topic_of(self._meeting_id):
            await self._send_frame(direct_message_frame(self._meeting_id, event))
            self._mark_offered(event["data"]["id"], caller)

    async def _send_request(self, caller: Caller) -> None:
        """Send the request that is open for the participant, unless it was the last one sent."""
        if caller.agent_id is None:
            return
        try:
            request = ShowRequest(meeting_id=self._meeting_id)
            answer = await self._gateway.call("meeting.request", caller, request, self._context)
        except NotAParticipant:
            return
        pending_request = cast(MeetingRequest, answer.result)
        if pending_request.message_id is not None and pending_request.message_id != self._last_request_id:
            self._last_request_id = pending_request.message_id
            await self._send_frame(request_frame(pending_request))
            self._mark_offered(pending_request.message_id, caller)

    def _mark_offered(self, message_id: str, caller: Caller) -> None:
        request = MessageIds(message_ids=(message_id,))
        self._gateway.dispatch.queue("message.mark_offered", caller, request)

    def _delivered_position(self) -> int:
        return self._position


def _meeting_filter(caller: Caller, meeting_id: str) -> EventFilter:
    """The meeting's events, and for an agent the messages to it, whose topic names their meeting."""
    if caller.agent_id is None:
        return filter_for(caller, types=("meeting",), correlation_id=meeting_id)
    return filter_for(caller, types=("meeting", MESSAGE_SENT))
