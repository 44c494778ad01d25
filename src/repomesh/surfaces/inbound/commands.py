"""The commands of a webhook as operations: unwrapped, read, and named with their requests. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import pydantic_core
from pydantic import BaseModel, Field, JsonValue, StringConstraints, ValidationError

from repomesh.kernel import limits
from repomesh.kernel.errors import InvalidRequest
from repomesh.kernel.json_text import parse_json
from repomesh.kernel.operation import Model, invalid_request
from repomesh.operations import registry
from repomesh.surfaces.leniency import corrected

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

_OTHER_NAMES: Mapping[str, Mapping[str, str]] = {
    "delegate_task": {"agent_name": "agent", "task_type": "type"},
    "add_artifact": {"name": "title"},
}
"""What senders call fields of a command, and what it calls them."""

_KEY = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._:-]{{0,{limits.KEY_CHARS_MAX - 1}}}")

_WITHOUT_SESSION = frozenset({"list_sessions"})

COMMAND = "collaborative_session_command"
"""The type of every command."""

WebhookId = Annotated[
    str, StringConstraints(pattern=r"^[\x21-\x7e]+$", min_length=1, max_length=limits.WEBHOOK_ID_CHARS_MAX)
]


class WebhookCommand(Model):
    """One command, as it came."""

    type: Literal["collaborative_session_command"] = Field(
        "collaborative_session_command", description="Always this. Only inside a batch it may be left out."
    )
    command: str = Field(description="What to do.")
    session_id: str | None = Field(None, description="The session that it is about.")
    data: dict[str, JsonValue] = Field({}, description="The fields of the command.")
    webhook_id: WebhookId | None = Field(None, description="Of this delivery; a resend is answered alike.")


class WebhookBatch(Model):
    """The data of a batch."""

    commands: Annotated[list[JsonValue], Field(min_length=1, max_length=limits.BATCH_STEPS_MAX)] = Field(
        description="In their order; one without a `session_id` has that of the batch."
    )
    on_error: Literal["stop", "continue"] = Field(
        "stop", description="'stop': all of them or none; 'continue': each on its own."
    )


@dataclass(frozen=True, slots=True)
class WebhookStep:
    """An operation, its request, and what was read in it otherwise than it came."""

    command: str
    operation: str
    request: dict[str, Any]
    understood: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MalformedStep:
    """A command of a batch that could not be read."""

    command: str
    error: InvalidRequest


def read(body: bytes) -> WebhookCommand:
    """The command in a body, without what relays wrapped around it; raises InvalidRequest."""
    said = _json(body)
    for _ in range(limits.WEBHOOK_WRAPPINGS_MAX):
        if not isinstance(said, dict) or said.get("type") != "webhook":
            break
        said = said.get("payload")
        if isinstance(said, str):
            said = _json(said.encode())
    if not isinstance(said, dict):
        raise wrong("body", "must be a JSON object, or one in 'payload' of a relay's", "type")
    if said.get("type") != COMMAND:
        raise wrong("type", f"must be '{COMMAND}', or 'webhook' around such a payload", "literal_error")
    return _validated(WebhookCommand, corrected(WebhookCommand, said)[0])


def batch(command: WebhookCommand) -> tuple[list[WebhookStep | MalformedStep], bool]:
    """The steps of a batch, and whether it goes on behind one that is refused.

    Raises InvalidRequest for a malformed batch, and for a malformed command unless the batch goes on.
    """
    said = _validated(WebhookBatch, corrected(WebhookBatch, command.data)[0], "data")
    goes_on = said.on_error == "continue"
    steps: list[WebhookStep | MalformedStep] = []
    for number, one in enumerate(said.commands):
        try:
            steps.append(_step(one, command.session_id, f"data.commands.{number}"))
        except InvalidRequest as error:
            if not goes_on:
                raise
            name = one.get("command") if isinstance(one, dict) else None
            steps.append(MalformedStep(name[:64] if isinstance(name, str) else "", error))
    return steps, goes_on


def _step(said: JsonValue, session_id: str | None, place: str) -> WebhookStep:
    """A command inside a batch."""
    one = _validated(
        WebhookCommand,
        corrected(WebhookCommand, said)[0] if isinstance(said, dict) else said,
        place,
    )
    if one.command == "batch":
        raise wrong(f"{place}.command", "a batch can't hold another", "literal_error")
    if one.webhook_id is not None:
        raise wrong(f"{place}.webhook_id", "belongs to the batch, beside its 'data'", "extra_forbidden")
    if one.session_id is None:
        one = one.model_copy(update={"session_id": session_id})
    return step(one, f"{place}.")


def step(command: WebhookCommand, place: str = "") -> WebhookStep:
    """The operation that a command stands for, and its request; raises InvalidRequest."""
    operation = OPERATIONS.get(command.command)
    if operation is None:
        known = ", ".join(COMMANDS)
        raise wrong(f"{place}command", f"'{command.command[:64]}' is none of: {known}", "literal_error")
    request: dict[str, Any] = dict(command.data)
    for name, ours in _OTHER_NAMES.get(command.command, {}).items():
        if name in request:
            if ours in request:
                raise wrong(f"{place}data.{name}", f"says what '{ours}' says already", "extra_forbidden")
            request[ours] = request.pop(name)
            if ours == "title":
                _as_name(request)
    if command.command == "query_memories" and request.get("text") is not None:
        operation = "search.find"
        if "what" in request:
            raise wrong(f"{place}data.what", "is 'memory' for this command", "extra_forbidden")
        request["what"] = ["memory"]
        if "tags" not in request and request.get("tag") is not None:
            request["tags"] = [request.pop("tag")]
    request, said = corrected(registry[operation].request, request)
    if command.command == "delegate_task":
        said += _as_goal(request)
        request.setdefault("agent_may_be_new", True)
    if "session_id" in request:
        raise wrong(f"{place}data.session_id", "stands beside 'data', not in it", "extra_forbidden")
    if command.session_id is not None and command.command not in _WITHOUT_SESSION:
        request["session_id"] = command.session_id
    return WebhookStep(command.command, operation, request, tuple(said))


def _as_goal(request: dict[str, Any]) -> list[str]:
    """Take the first line of a description for the goal where there is none."""
    description = request.get("description")
    if request.get("goal") is not None or not isinstance(description, str) or not description.strip():
        return []
    lines = description.strip().splitlines()
    request["goal"] = lines[0].strip()[: limits.LABEL_CHARS_MAX]
    return ["goal: the first line of 'description' was taken for it"]


def _as_name(request: dict[str, Any]) -> None:
    """Take the title of an artifact for its name in the session too, where it can be one."""
    title = request.get("title")
    if "artifact_id" not in request and isinstance(title, str) and _KEY.fullmatch(title):
        request["artifact_id"] = title


def placed(error: InvalidRequest, place: str = "") -> InvalidRequest:
    """A refusal of an operation's request, with each field named as it stands in the webhook."""
    errors = [one | {"field": _placed(str(one["field"]), place)} for one in error.details.get("errors", [])]
    if not errors:
        return error
    details: dict[str, Any] = error.details | {"errors": errors}
    return InvalidRequest(f"{errors[0]['field']}: {errors[0]['message']}", hint=error.hint, **details)


def _placed(field: str, place: str) -> str:
    if field == "session_id":
        return f"{place}{field}"
    return f"{place}data" if field == "body" else f"{place}data.{field}"


def _json(text: bytes) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        raise wrong("body", f"is no JSON: {error}", "json_invalid") from None


def _validated(model: type[_Model], said: Any, place: str = "") -> _Model:
    try:
        return model.model_validate_json(pydantic_core.to_json(said), strict=True)
    except ValidationError as error:
        problem = invalid_request(error)
        if not place:
            raise problem from None
        errors = [
            one | {"field": place if one["field"] == "body" else f"{place}.{one['field']}"}
            for one in problem.details["errors"]
        ]
        raise InvalidRequest(f"{errors[0]['field']}: {errors[0]['message']}", errors=errors) from None


def wrong(field: str, message: str, type_: str) -> InvalidRequest:
    """The refusal of one field."""
    return InvalidRequest(f"{field}: {message}", errors=[{"field": field, "message": message, "type": type_}])
