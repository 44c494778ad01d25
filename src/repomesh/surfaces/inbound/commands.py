"""Parses the commands of a webhook into operations and their requests. No I/O."""

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
from repomesh.surfaces.leniency import correct_fields

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
"""The operation of each command. `query_memories` with `text` becomes a search."""

COMMANDS = (*OPERATIONS, "batch")

_OTHER_NAMES: Mapping[str, Mapping[str, str]] = {
    "delegate_task": {"agent_name": "agent", "task_type": "type"},
    "add_artifact": {"name": "title"},
}
"""Other names that senders use for fields of a command, with the field's own name."""

_KEY = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._:-]{{0,{limits.KEY_CHARS_MAX - 1}}}")

_WITHOUT_SESSION = frozenset({"list_sessions"})

COMMAND = "collaborative_session_command"
"""The `type` of every command."""

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
        description="Run in their order; one without a `session_id` has that of the batch."
    )
    on_error: Literal["stop", "continue"] = Field(
        "stop", description="'stop': all of them or none; 'continue': each on its own."
    )


@dataclass(frozen=True, slots=True)
class WebhookStep:
    """An operation, its request, and a sentence about each field that was corrected."""

    command: str
    operation: str
    request: dict[str, Any]
    corrections: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MalformedStep:
    """A command of a batch that could not be read."""

    command: str
    error: InvalidRequest


def read(body: bytes) -> WebhookCommand:
    """Parse the command in a body, without the wrappings of relays; raises InvalidRequest."""
    payload = _parse_body(body)
    for _ in range(limits.WEBHOOK_WRAPPINGS_MAX):
        if not isinstance(payload, dict) or payload.get("type") != "webhook":
            break
        payload = payload.get("payload")
        if isinstance(payload, str):
            payload = _parse_body(payload.encode())
    if not isinstance(payload, dict):
        raise field_error("body", "must be a JSON object, or one in 'payload' of a relay's", "type")
    if payload.get("type") != COMMAND:
        raise field_error("type", f"must be '{COMMAND}', or 'webhook' around such a payload", "literal_error")
    return _validate(WebhookCommand, correct_fields(WebhookCommand, payload)[0])


def read_batch(command: WebhookCommand) -> tuple[list[WebhookStep | MalformedStep], bool]:
    """Parse the steps of a batch; returns them and whether it goes on after a refused one.

    Raises InvalidRequest for a malformed batch, and for a malformed command unless the batch goes on.
    """
    batch_data = _validate(WebhookBatch, correct_fields(WebhookBatch, command.data)[0], "data")
    continues_on_error = batch_data.on_error == "continue"
    steps: list[WebhookStep | MalformedStep] = []
    for number, command_data in enumerate(batch_data.commands):
        try:
            steps.append(_read_batch_step(command_data, command.session_id, f"data.commands.{number}"))
        except InvalidRequest as error:
            if not continues_on_error:
                raise
            name = command_data.get("command") if isinstance(command_data, dict) else None
            steps.append(MalformedStep(name[:64] if isinstance(name, str) else "", error))
    return steps, continues_on_error


def _read_batch_step(command_data: JsonValue, session_id: str | None, prefix: str) -> WebhookStep:
    """Parse a command inside a batch; `prefix` is its path in the body."""
    step_command = _validate(
        WebhookCommand,
        correct_fields(WebhookCommand, command_data)[0] if isinstance(command_data, dict) else command_data,
        prefix,
    )
    if step_command.command == "batch":
        raise field_error(f"{prefix}.command", "a batch can't hold another", "literal_error")
    if step_command.webhook_id is not None:
        raise field_error(
            f"{prefix}.webhook_id", "belongs to the batch, beside its 'data'", "extra_forbidden"
        )
    if step_command.session_id is None:
        step_command = step_command.model_copy(update={"session_id": session_id})
    return read_step(step_command, f"{prefix}.")


def read_step(command: WebhookCommand, prefix: str = "") -> WebhookStep:
    """Parse a command into its operation and request; raises InvalidRequest."""
    operation = OPERATIONS.get(command.command)
    if operation is None:
        command_names = ", ".join(COMMANDS)
        raise field_error(
            f"{prefix}command", f"'{command.command[:64]}' is none of: {command_names}", "literal_error"
        )
    request: dict[str, Any] = dict(command.data)
    for name, field in _OTHER_NAMES.get(command.command, {}).items():
        if name in request:
            if field in request:
                raise field_error(
                    f"{prefix}data.{name}", f"says what '{field}' says already", "extra_forbidden"
                )
            request[field] = request.pop(name)
            if field == "title":
                _fill_artifact_id(request)
    if command.command == "query_memories" and request.get("text") is not None:
        operation = "search.find"
        if "what" in request:
            raise field_error(f"{prefix}data.what", "is 'memory' for this command", "extra_forbidden")
        request["what"] = ["memory"]
        if "tags" not in request and request.get("tag") is not None:
            request["tags"] = [request.pop("tag")]
    request, corrections = correct_fields(registry[operation].request, request)
    if command.command == "delegate_task":
        corrections += _fill_goal(request)
        request.setdefault("agent_may_be_new", True)
    if "session_id" in request:
        raise field_error(f"{prefix}data.session_id", "stands beside 'data', not in it", "extra_forbidden")
    if command.session_id is not None and command.command not in _WITHOUT_SESSION:
        request["session_id"] = command.session_id
    return WebhookStep(command.command, operation, request, tuple(corrections))


def _fill_goal(request: dict[str, Any]) -> list[str]:
    """Use the first line of the description as the goal where there is none."""
    description = request.get("description")
    if request.get("goal") is not None or not isinstance(description, str) or not description.strip():
        return []
    lines = description.strip().splitlines()
    request["goal"] = lines[0].strip()[: limits.LABEL_CHARS_MAX]
    return ["goal: the first line of 'description' was taken for it"]


def _fill_artifact_id(request: dict[str, Any]) -> None:
    """Use the title of an artifact as its `artifact_id`, too, where it is a valid one."""
    title = request.get("title")
    if "artifact_id" not in request and isinstance(title, str) and _KEY.fullmatch(title):
        request["artifact_id"] = title


def locate_errors(error: InvalidRequest, prefix: str = "") -> InvalidRequest:
    """The refusal of an operation's request, with each field's path in the webhook's body."""
    errors = [
        item | {"field": _field_path(str(item["field"]), prefix)} for item in error.details.get("errors", [])
    ]
    if not errors:
        return error
    details: dict[str, Any] = error.details | {"errors": errors}
    return InvalidRequest(f"{errors[0]['field']}: {errors[0]['message']}", hint=error.hint, **details)


def _field_path(field: str, prefix: str) -> str:
    if field == "session_id":
        return f"{prefix}{field}"
    return f"{prefix}data" if field == "body" else f"{prefix}data.{field}"


def _parse_body(text: bytes) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        raise field_error("body", f"is no JSON: {error}", "json_invalid") from None


def _validate(model: type[_Model], value: Any, prefix: str = "") -> _Model:
    try:
        return model.model_validate_json(pydantic_core.to_json(value), strict=True)
    except ValidationError as error:
        problem = invalid_request(error)
        if not prefix:
            raise problem from None
        errors = [
            item | {"field": prefix if item["field"] == "body" else f"{prefix}.{item['field']}"}
            for item in problem.details["errors"]
        ]
        raise InvalidRequest(f"{errors[0]['field']}: {errors[0]['message']}", errors=errors) from None


def field_error(field: str, message: str, type_: str) -> InvalidRequest:
    """Build the error for one field."""
    return InvalidRequest(f"{field}: {message}", errors=[{"field": field, "message": message, "type": type_}])
