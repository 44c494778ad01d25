"""The commands of a webhook as operations: unwrapped, read, and named with their requests. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, Field, JsonValue, StringConstraints, ValidationError

from repomesh.kernel import limits
from repomesh.kernel.errors import InvalidRequest
from repomesh.kernel.operation import Model, invalid_request

_Model = TypeVar("_Model", bound=BaseModel)

OPERATIONS: Mapping[str, str] = {
    "create_session": "session.create",
    "conversation_chunk": "chunk.add",
    "store_memory": "memory.store",
    "query_memories": "memory.list",
    "delegate_task": "session.delegate",
    "add_artifact": "artifact.add",
    "pause_session": "session.pause",
    "resume_session": "session.resume",
    "complete_session": "session.complete",
    "delete_session": "session.delete",
    "list_sessions": "session.list",
    "get_session_summary": "session.summary",
    "search": "search.find",
}
"""What each command does. `query_memories` with `text` searches them."""

COMMANDS = (*OPERATIONS, "batch")

_WITHOUT_SESSION = frozenset({"list_sessions"})

_COMMAND = "collaborative_session_command"

WebhookId = Annotated[
    str, StringConstraints(pattern=r"^[\x21-\x7e]+$", min_length=1, max_length=limits.WEBHOOK_ID_CHARS_MAX)
]


class Command(Model):
    """One command, as it came."""

    type: Literal["collaborative_session_command"] = "collaborative_session_command"
    command: str
    session_id: str | None = None
    data: dict[str, JsonValue] = {}
    webhook_id: WebhookId | None = Field(None, description="Of this delivery; a resend is answered alike.")


class Batch(Model):
    """The data of a batch."""

    commands: Annotated[tuple[Command, ...], Field(min_length=1, max_length=limits.BATCH_STEPS_MAX)]
    on_error: Literal["stop", "continue"] = "stop"


@dataclass(frozen=True, slots=True)
class Step:
    """An operation and its request."""

    command: str
    operation: str
    request: dict[str, JsonValue]


def read(body: bytes) -> Command:
    """The command in a body, without what relays wrapped around it; raises InvalidRequest."""
    said = _json(body)
    for _ in range(limits.WEBHOOK_WRAPPINGS_MAX):
        if not isinstance(said, dict) or said.get("type") != "webhook":
            break
        said = said.get("payload")
        if isinstance(said, str):
            said = _json(said.encode())
    if not isinstance(said, dict):
        raise _wrong("body", "must be a JSON object, or one in 'payload' of a relay's", "type")
    if said.get("type") != _COMMAND:
        raise _wrong("type", f"must be '{_COMMAND}', or 'webhook' around such a payload", "literal_error")
    return _validated(Command, said)


def batch(command: Command) -> tuple[list[Step], bool]:
    """The steps of a batch, and whether it goes on after one that is refused; raises InvalidRequest."""
    said = _validated(Batch, command.data, "data")
    steps = []
    for number, one in enumerate(said.commands):
        inherited = (
            one if one.session_id is not None else one.model_copy(update={"session_id": command.session_id})
        )
        if one.command == "batch":
            raise _wrong(f"data.commands.{number}.command", "a batch can't hold another", "literal_error")
        steps.append(step(inherited, f"data.commands.{number}."))
    return steps, said.on_error == "continue"


def step(command: Command, place: str = "") -> Step:
    """The operation that a command stands for, and its request; raises InvalidRequest."""
    operation = OPERATIONS.get(command.command)
    if operation is None:
        known = ", ".join(COMMANDS)
        raise _wrong(f"{place}command", f"'{command.command[:64]}' is none of: {known}", "literal_error")
    request: dict[str, JsonValue] = dict(command.data)
    if command.command == "query_memories" and "text" in request:
        operation = "search.find"
        if "what" in request:
            raise _wrong(f"{place}data.what", "is 'memory' for this command", "extra_forbidden")
        request["what"] = ["memory"]
    if "session_id" in request:
        raise _wrong(f"{place}data.session_id", "stands beside 'data', not in it", "extra_forbidden")
    if command.session_id is not None and command.command not in _WITHOUT_SESSION:
        request["session_id"] = command.session_id
    return Step(command.command, operation, request)


def placed(error: InvalidRequest, place: str = "") -> InvalidRequest:
    """A refusal of an operation's request, with each field named as it stands in the webhook."""
    errors = [one | {"field": _placed(str(one["field"]), place)} for one in error.details.get("errors", [])]
    if not errors:
        return error
    details: dict[str, Any] = error.details | {"errors": errors}
    return InvalidRequest(f"{errors[0]['field']}: {errors[0]['message']}", hint=error.hint, **details)


def _placed(field: str, place: str) -> str:
    return f"{place}{field}" if field == "session_id" else f"{place}data.{field}"


def _json(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except ValueError as error:
        raise _wrong("body", f"is no JSON: {error}", "json_invalid") from None


def _validated(model: type[_Model], said: Any, place: str = "") -> _Model:
    try:
        return model.model_validate_json(orjson.dumps(said), strict=True)
    except ValidationError as error:
        wrong = invalid_request(error)
        if not place:
            raise wrong from None
        errors = [one | {"field": f"{place}.{one['field']}"} for one in wrong.details["errors"]]
        raise InvalidRequest(f"{errors[0]['field']}: {errors[0]['message']}", errors=errors) from None


def _wrong(field: str, message: str, type_: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {message}", errors=[{"field": field, "message": message, "type": type_}])
