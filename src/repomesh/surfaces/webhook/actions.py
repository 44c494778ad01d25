"""`GET /openapi-actions.json`: the webhook as one action, for assistants that call tools by OpenAPI."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.routing import Route

from repomesh.kernel.telemetry import trace_id_of
from repomesh.surfaces.gateway import Gateway
from repomesh.surfaces.http.asgi import Receive, Scope, Send, header, respond
from repomesh.surfaces.http.routes import refuse_method
from repomesh.surfaces.webhook.commands import COMMANDS

PATH = "/openapi-actions.json"


def document(version: str, url: str) -> dict[str, Any]:
    """The OpenAPI document; it tells nothing that only a key's holder should know."""
    key = {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "repomesh sessions", "version": version},
        "servers": [{"url": url.rstrip("/")}],
        "security": [{"key": []}],
        "paths": {"/v1/webhook": {"post": _operation()}},
        "components": {"schemas": {}, "securitySchemes": {"key": key}},
    }


def _operation() -> dict[str, Any]:
    command = {
        "type": "object",
        "required": ["type", "command"],
        "properties": {
            "type": {"type": "string", "enum": ["collaborative_session_command"]},
            "command": {"type": "string", "enum": list(COMMANDS)},
            "session_id": {"type": "string", "pattern": "^[a-z0-9_-]{1,64}$"},
            "data": {"type": "object", "additionalProperties": True},
            "webhook_id": {"type": "string", "description": "Send a retry with the same id."},
        },
    }
    answer = {
        "type": "object",
        "required": ["status", "request_id"],
        "properties": {
            "status": {"type": "string", "enum": ["success", "error"]},
            "data": {"type": "object", "additionalProperties": True},
            "error": {"type": "object", "additionalProperties": True},
            "request_id": {"type": "string"},
        },
    }
    content = {"application/json": {"schema": answer}}
    return {
        "operationId": "sessionCommand",
        "summary": "Run a command on a collaborative session",
        "x-openai-isConsequential": False,
        "requestBody": {"required": True, "content": {"application/json": {"schema": command}}},
        "responses": {
            "200": {"description": "Done.", "content": content},
            "default": {"description": "Refused; 'hint' says what to do.", "content": content},
        },
    }


class Actions:
    """The document's endpoint; it names the public URL, else the address that was asked."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

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
        await respond(send, 200, orjson.dumps(document(self._gateway.version, url)))
