"""The frames that every socket takes and sends, and parsing of a client's text as one of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Union, get_args

import orjson
import pydantic_core
from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from repomesh.domains.agents.models import AgentRef
from repomesh.kernel.errors import InvalidRequest, RepomeshError, TooLarge
from repomesh.kernel.fields import Label
from repomesh.kernel.json_text import check_json_structure
from repomesh.kernel.limits import NAME_CHARS_MAX
from repomesh.kernel.operation import Model, invalid_request
from repomesh.surfaces.http.problems import problem

FrameId = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]+$", min_length=1, max_length=NAME_CHARS_MAX)
]
"""The client's own name for something that it sends, which the frames about it carry."""

_UTF8_BYTES_MAX = 4  # of one character


class Auth(Model):
    """Authentication: the first frame, unless the upgrade carried an Authorization header."""

    type: Literal["auth"]
    token: Label
    agent: AgentRef | None = Field(None, description="The agent that the owner's token acts as.")


class Ping(Model):
    """Asks for a pong."""

    type: Literal["ping"]


class Pong(Model):
    """Answers a ping; nothing follows from it."""

    type: Literal["pong"]


class Frames:
    """The frames that a client may send on one kind of socket, besides those of every socket."""

    def __init__(self, *kinds: type[Model], chars_max: int) -> None:
        models: tuple[type[Model], ...] = (Auth, Ping, Pong, *kinds)
        self._chars_max = chars_max
        self.bytes_max = chars_max * _UTF8_BYTES_MAX
        """The web server's limit for a frame; a frame with too many characters gets an error frame."""
        self._prefixes = tuple(f"{get_args(kind.model_fields['type'].annotation)[0]}." for kind in models)
        frame_union: Any = Union[models]  # noqa: UP007 (made of a tuple)
        self._any: TypeAdapter[Any] = TypeAdapter(Annotated[frame_union, Field(discriminator="type")])

    def read(self, text: str) -> Any:
        """Parse a client's text as a frame; raises InvalidRequest or TooLarge."""
        if len(text) > self._chars_max:
            raise TooLarge(f"the frame has {len(text)} characters, the limit is {self._chars_max}")
        check_json_structure(text.encode(errors="replace"))
        try:
            return self._any.validate_json(text, strict=True)
        except ValidationError as error:
            raise self._invalid_frame(error) from None

    def _invalid_frame(self, error: ValidationError) -> InvalidRequest:
        """The error of an invalid frame, with field names that do not begin with the frame's type."""
        invalid = invalid_request(error)
        for field in invalid.details["errors"]:
            if f"{field['field']}.".startswith(self._prefixes):
                field["field"] = field["field"].partition(".")[2] or "body"
        first = invalid.details["errors"][0]
        return InvalidRequest(f"{first['field']}: {first['message']}", errors=invalid.details["errors"])


def frame_id_of(text: str) -> str | None:
    """The `id` in a client's frame, even if the rest is invalid; None without a usable one."""
    try:
        id_ = pydantic_core.from_json(text)["id"]
    except (ValueError, KeyError, TypeError):
        return None
    return id_ if isinstance(id_, str) and len(id_) <= NAME_CHARS_MAX else None


def server_frame(type_: str, **fields: object) -> str:
    """A frame for the client, as JSON."""
    return orjson.dumps({"type": type_} | fields).decode()


def error_frame(error: RepomeshError, trace_id: str, **references: str | None) -> str:
    """An error as a problem document, with the ids in `references` that are not None."""
    present = {name: value for name, value in references.items() if value is not None}
    return orjson.dumps(problem(error, trace_id) | {"type": "error"} | present, default=str).decode()
