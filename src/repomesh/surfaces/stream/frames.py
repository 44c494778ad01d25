"""The frames that a client may send on a socket, and those that it gets."""

from __future__ import annotations

from typing import Annotated, Literal

import orjson
import pydantic_core
from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from repomesh.domains.agents.models import AgentRef
from repomesh.domains.messaging.event_models import Criteria, EventTypes, StreamEvents
from repomesh.kernel.errors import InvalidRequest, RepomeshError, TooLarge
from repomesh.kernel.fields import Label, Position
from repomesh.kernel.limits import LIST_ITEMS_MAX, NAME_CHARS_MAX, SOCKET_FRAME_CHARS_MAX
from repomesh.kernel.operation import Model, invalid_request
from repomesh.surfaces.http.problems import problem

SubscriptionId = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]+$", min_length=1, max_length=NAME_CHARS_MAX)
]
"""The client's own name for a subscription, which each of its frames carries."""


class Auth(Model):
    """Who speaks: the first frame, unless the upgrade carried an Authorization header."""

    type: Literal["auth"]
    token: Label
    agent: AgentRef | None = Field(None, description="The agent that the owner's token acts as.")


class Subscribe(Criteria):
    """Push events that match, from behind `after` or from now on."""

    type: Literal["subscribe"]
    id: SubscriptionId
    types: Annotated[tuple[EventTypes, ...], Field(max_length=LIST_ITEMS_MAX)] = Field(
        (), description="These event types and those below them."
    )
    after: Position | None = None

    def request(self) -> StreamEvents:
        """The same as the operation takes it."""
        criteria = self.model_dump(include=set(Criteria.model_fields))
        return StreamEvents(**criteria, type=self.types, after=self.after)


class Resume(Model):
    """Begin a subscription again behind `after`."""

    type: Literal["resume"]
    id: SubscriptionId
    after: Position


class Unsubscribe(Model):
    """End a subscription."""

    type: Literal["unsubscribe"]
    id: SubscriptionId


class Ping(Model):
    """Asks for a pong."""

    type: Literal["ping"]


class Pong(Model):
    """Answers a ping; nothing follows from it."""

    type: Literal["pong"]


ClientFrame = Auth | Subscribe | Resume | Unsubscribe | Ping | Pong

_frames: TypeAdapter[ClientFrame] = TypeAdapter(Annotated[ClientFrame, Field(discriminator="type")])


def client_frame(text: str) -> ClientFrame:
    """The frame in a client's text; raises InvalidRequest or TooLarge."""
    if len(text) > SOCKET_FRAME_CHARS_MAX:
        raise TooLarge(f"the frame has {len(text)} characters, the limit is {SOCKET_FRAME_CHARS_MAX}")
    try:
        return _frames.validate_json(text, strict=True)
    except ValidationError as error:
        raise _named(error) from None


def subscription_of(text: str) -> str | None:
    """The subscription that a frame is about, even when the rest of it makes no sense."""
    try:
        id_ = pydantic_core.from_json(text)["id"]
    except (ValueError, KeyError, TypeError):
        return None
    return id_ if isinstance(id_, str) and len(id_) <= NAME_CHARS_MAX else None


def server_frame(type_: str, **fields: object) -> str:
    """A frame for the client."""
    return orjson.dumps({"type": type_} | fields).decode()


def event_frame_start(subscription_id: str) -> str:
    """What stands before an event's own text in a frame of this subscription; a brace ends the frame."""
    return f'{{"type":"event","subscription":"{subscription_id}","event":'


def error_frame(error: RepomeshError, trace_id: str, subscription_id: str | None) -> str:
    """An error as the problem that it is on other surfaces, with the subscription that it concerns."""
    about = {} if subscription_id is None else {"subscription": subscription_id}
    return orjson.dumps(problem(error, trace_id) | {"type": "error"} | about, default=str).decode()


def _named(error: ValidationError) -> InvalidRequest:
    """The problem with a frame; the fields' names come without that of the frame before them."""
    refused = invalid_request(error)
    known = tuple(f"{name}." for name in ("auth", "subscribe", "resume", "unsubscribe", "ping", "pong"))
    for field in refused.details["errors"]:
        if field["field"].startswith(known):
            field["field"] = field["field"].partition(".")[2]
    first = refused.details["errors"][0]
    return InvalidRequest(f"{first['field']}: {first['message']}", errors=refused.details["errors"])
