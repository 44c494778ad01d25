"""What can go wrong with posted events and the log."""

from __future__ import annotations

from repomesh.kernel.errors import InvalidRequest, NotFound


class ReservedEventType(InvalidRequest):
    """The type, or its part before the dot, is reserved for the server."""

    code = "reserved_event_type"
    hint = "Post a type of your own, such as 'chat.line' or 'plan.updated'."


class TwoAudiences(InvalidRequest):
    """An event goes to one agent or to one channel, not to both."""

    code = "two_audiences"
    hint = "Send 'recipient_id' or 'channel', or post the event twice."


class EventNotFound(NotFound):
    """No event with this number, or none that the caller may see."""

    code = "event_not_found"
    hint = "List the events with GET /v1/events; 'last_seq' is the newest number."
