"""`GET /openapi-actions.json`: the webhook as one action, for assistants that call tools by OpenAPI."""

from __future__ import annotations

import re
from typing import Any

import orjson
from starlette.routing import Route

from repomesh.kernel.telemetry import trace_id_of
from repomesh.operations import registry
from repomesh.surfaces.gateway import Gateway
from repomesh.surfaces.http.asgi_messages import Receive, Scope, Send, header
from repomesh.surfaces.http.documents import BuiltOnce, JsonDocument, respond_document
from repomesh.surfaces.http.routes import refuse_method
from repomesh.surfaces.inbound.commands import COMMAND, COMMANDS, OPERATIONS

PATH = "/openapi-actions.json"

OFFERED = [name for name in COMMANDS if name != "delete_session"]
"""The commands that an assistant is offered: all but the one that can't be undone."""

_TEXT = {"type": "string"}

_DESCRIPTION = (
    "Keeps conversations, memories, tasks and artifacts in named sessions that other agents read. Read "
    "before you write: get_session_summary or search. Give reading commands a max_chars of 50000 or less. "
    "An answer with status 'error' says in 'hint' what to do."
)
_SESSION = "The session's id. Without it store_memory, query_memories and search concern the whole workspace."


def servers(url: str) -> list[dict[str, str]]:
    """The `servers` entry of the document."""
    return [{"url": url.rstrip("/")}]


def actions_document(version: str, url: str) -> dict[str, Any]:
    """Build the OpenAPI document; it holds nothing that needs a key to be read."""
    key = {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "repomesh sessions", "version": version},
        "servers": servers(url),
        "security": [{"key": []}],
        "paths": {"/v1/webhook": {"post": _operation()}},
        "components": {"schemas": {}, "securitySchemes": {"key": key}},
    }


def _operation() -> dict[str, Any]:
    command = _object(
        {
            "type": {"type": "string", "enum": [COMMAND]},
            "command": {"type": "string", "enum": OFFERED, "description": _command_descriptions()},
            "session_id": {"type": "string", "description": _SESSION, "pattern": "^[a-z0-9_-]{1,64}$"},
            "data": _object(_fields(), description="The fields of the command."),
            "webhook_id": {"type": "string", "description": "Send a retry with the same id."},
        },
        required=["type", "command"],
    )
    error = {
        "code": {"type": "string"},
        "message": {"type": "string"},
        "hint": {"type": "string", "description": "What to do about it."},
    }
    answer = _object(
        {
            "status": {"type": "string", "enum": ["success", "error"]},
            "data": _object({}, additionalProperties=True),
            "error": _object(error, additionalProperties=True),
            "request_id": {"type": "string"},
        },
        required=["status", "request_id"],
    )
    content = {"application/json": {"schema": answer}}
    return {
        "operationId": "sessionCommand",
        "summary": "Run a command on a collaborative session",
        "description": _DESCRIPTION,
        "x-openai-isConsequential": False,
        "requestBody": {"required": True, "content": {"application/json": {"schema": command}}},
        "responses": {
            "200": {"description": "Done.", "content": content},
            "default": {"description": "Refused; 'hint' says what to do.", "content": content},
        },
    }


def _object(properties: dict[str, Any], **keywords: Any) -> dict[str, Any]:
    """An object's schema; it lists its properties even when empty, as assistants demand."""
    return {"type": "object", "properties": properties, **keywords}


def _command_descriptions() -> str:
    """One sentence for each command."""
    descriptions = [
        f"{name}: {re.split('[.,:]', registry[OPERATIONS[name]].summary)[0]}" for name in OFFERED[:-1]
    ]
    return ". ".join((*descriptions, "batch: Run several in their order"))


def _fields() -> dict[str, Any]:
    """The fields of all offered commands, described for each command that has them."""
    fields_by_name: dict[str, dict[str, dict[str, Any]]] = {}
    for command in OFFERED:
        if command != "batch":
            for name, field in (
                registry[OPERATIONS[command]].request.model_json_schema()["properties"].items()
            ):
                fields_by_name.setdefault(name, {})[command] = field
    del fields_by_name["session_id"], fields_by_name["agent_may_be_new"]
    step = {"command": _TEXT, "session_id": _TEXT, "data": _object({}, additionalProperties=True)}
    return {name: _field(uses) for name, uses in fields_by_name.items()} | {
        "commands": {"type": "array", "items": _object(step), "description": "batch: what to do, in order."},
        "on_error": {"type": "string", "description": "batch: 'continue' goes on behind what is refused."},
    }


def _field(uses: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """One property for a field of several commands; a string where their types differ."""
    types = [_simple_type(field) for field in uses.values()]
    commands_by_text: dict[str, list[str]] = {}
    for command, field in uses.items():
        commands_by_text.setdefault(_field_description(field), []).append(command)
    descriptions = [
        f"{', '.join(commands)}: {text}" if text else ", ".join(commands)
        for text, commands in commands_by_text.items()
    ]
    type_schema = types[0] if all(field_type == types[0] for field_type in types) else {"type": "string"}
    return type_schema | {"description": ". ".join(word.rstrip(".") for word in descriptions)}


def _field_description(field: dict[str, Any]) -> str:
    inner = field.get("anyOf", [])
    words = next((schema["description"] for schema in (field, *inner) if "description" in schema), "")
    choices = [choice for choice in (field, *inner) if "enum" in choice]
    return f"{words} {' | '.join(choices[0]['enum'])}".strip() if choices else words


def _simple_type(field: dict[str, Any]) -> dict[str, Any]:
    """The type of a field without its bounds, which refusals name; a string where it may be anything."""
    choices = [choice for choice in field.get("anyOf", [field]) if choice.get("type") != "null"]
    type_ = choices[0].get("type") if len(choices) == 1 else "string"
    if type_ == "array":
        items = choices[0]["items"]
        inner = {"type": _TEXT, "id": _TEXT} if "$ref" in items else None
        return {"type": "array", "items": _TEXT if inner is None else _object(inner)}
    return _object({}, additionalProperties=True) if type_ == "object" else {"type": type_ or "string"}


class Actions:
    """The document's endpoint; the document names the public URL, else the requested address."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._document = BuiltOnce(lambda: actions_document(gateway.version, ""))

    def route(self) -> Route:
        """The route of the document."""
        return Route(PATH, self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the document."""
        if scope["method"] not in ("GET", "HEAD"):
            await refuse_method(scope, send, ["GET"], trace_id_of(header(scope, b"traceparent")))
            return
        requested_url = f"{scope.get('scheme', 'http')}://{header(scope, b'host')}"
        url = self._gateway.settings.public_url or requested_url
        document = await self._document.get()
        named_document = JsonDocument.of(orjson.dumps(document | {"servers": servers(url)}))
        await respond_document(scope, send, named_document)
