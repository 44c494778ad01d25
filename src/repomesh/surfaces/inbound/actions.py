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
"""What an assistant is offered: all but the one command that can't be made good again."""

_TEXT = {"type": "string"}

_ABOUT = (
    "Keeps conversations, memories, tasks and artifacts in named sessions that other agents read. Read "
    "before you write: get_session_summary or search. Give reading commands a max_chars of 50000 or less. "
    "An answer with status 'error' says in 'hint' what to do."
)
_SESSION = "The session's id. Without it store_memory, query_memories and search concern the whole workspace."


def servers(url: str) -> list[dict[str, str]]:
    """Where the operations of the document are, as it names that."""
    return [{"url": url.rstrip("/")}]


def document(version: str, url: str) -> dict[str, Any]:
    """The OpenAPI document; it tells nothing that only a key's holder should know."""
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
            "command": {"type": "string", "enum": OFFERED, "description": _does()},
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
        "description": _ABOUT,
        "x-openai-isConsequential": False,
        "requestBody": {"required": True, "content": {"application/json": {"schema": command}}},
        "responses": {
            "200": {"description": "Done.", "content": content},
            "default": {"description": "Refused; 'hint' says what to do.", "content": content},
        },
    }


def _object(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A schema of an object; it says its properties even where it has none, as assistants demand."""
    return {"type": "object", "properties": properties, **more}


def _does() -> str:
    """What each command does, in a line each."""
    told = [f"{name}: {re.split('[.,:]', registry[OPERATIONS[name]].summary)[0]}" for name in OFFERED[:-1]]
    return ". ".join((*told, "batch: Run several in their order"))


def _fields() -> dict[str, Any]:
    """The fields of every command that is offered, each with what it means to which."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for command in OFFERED:
        if command != "batch":
            for name, field in (
                registry[OPERATIONS[command]].request.model_json_schema()["properties"].items()
            ):
                found.setdefault(name, {})[command] = field
    del found["session_id"], found["agent_may_be_new"]
    step = {"command": _TEXT, "session_id": _TEXT, "data": _object({}, additionalProperties=True)}
    return {name: _field(uses) for name, uses in found.items()} | {
        "commands": {"type": "array", "items": _object(step), "description": "batch: what to do, in order."},
        "on_error": {"type": "string", "description": "batch: 'continue' goes on behind what is refused."},
    }


def _field(uses: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """One property for a field of that name in several commands; a text where they differ."""
    types = [_simple(field) for field in uses.values()]
    said: dict[str, list[str]] = {}
    for command, field in uses.items():
        said.setdefault(_described(field), []).append(command)
    words = [
        f"{', '.join(commands)}: {text}" if text else ", ".join(commands) for text, commands in said.items()
    ]
    chosen = types[0] if all(one == types[0] for one in types) else {"type": "string"}
    return chosen | {"description": ". ".join(word.rstrip(".") for word in words)}


def _described(field: dict[str, Any]) -> str:
    inner = field.get("anyOf", [])
    words = next((one["description"] for one in (field, *inner) if "description" in one), "")
    choices = [choice for choice in (field, *inner) if "enum" in choice]
    return f"{words} {' | '.join(choices[0]['enum'])}".strip() if choices else words


def _simple(field: dict[str, Any]) -> dict[str, Any]:
    """The type of a field without its bounds, which refusals tell; a text where it may be anything."""
    choices = [choice for choice in field.get("anyOf", [field]) if choice.get("type") != "null"]
    type_ = choices[0].get("type") if len(choices) == 1 else "string"
    if type_ == "array":
        items = choices[0]["items"]
        inner = {"type": _TEXT, "id": _TEXT} if "$ref" in items else None
        return {"type": "array", "items": _TEXT if inner is None else _object(inner)}
    return _object({}, additionalProperties=True) if type_ == "object" else {"type": type_ or "string"}


class Actions:
    """The document's endpoint; it names the public URL, else the address that was asked."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._document = BuiltOnce(lambda: document(gateway.version, ""))

    def route(self) -> Route:
        """Where the document is."""
        return Route(PATH, self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the document."""
        if scope["method"] not in ("GET", "HEAD"):
            await refuse_method(scope, send, ["GET"], trace_id_of(header(scope, b"traceparent")))
            return
        asked = f"{scope.get('scheme', 'http')}://{header(scope, b'host')}"
        url = self._gateway.settings.public_url or asked
        made = await self._document.get()
        named = JsonDocument.of(orjson.dumps(made | {"servers": servers(url)}))
        await respond_document(scope, send, named)
