"""The tasks extension: a wait that a client asks about again, instead of holding a call open.

What a task of the protocol is here is a wait for messages (`domains/messaging/waits/`). A further source of
tasks can stand beside it; the conformance suite's fixtures do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import decode_header_value
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import Field

from repomesh.domains.messaging.waits.models import Wait
from repomesh.kernel.clock import rfc3339
from repomesh.kernel.errors import Failure, RepomeshError
from repomesh.kernel.limits import WAIT_POLL_MS
from repomesh.surfaces.http.asgi_messages import header
from repomesh.surfaces.mcp.calls import Arguments, Calls, McpRequest
from repomesh.surfaces.mcp.tool_output import ToolOutput

EXTENSION: Final = "io.modelcontextprotocol/tasks"

Context = ServerRequestContext[Any, Any]
Json = dict[str, Any]


class TaskParams(types.RequestParams):
    """Which task a request is about."""

    task_id: str


class UpdateTaskParams(TaskParams):
    """What a client answers to the requests of a task."""

    input_responses: Json = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class McpTask:
    """How a task stands. `further` holds what only its status has: a result, an error, requests."""

    id: str
    status: str
    created_at: datetime
    updated_at: datetime
    ttl_ms: int
    poll_ms: int = WAIT_POLL_MS
    further: Mapping[str, Any] | None = None

    @property
    def base(self) -> Json:
        """What is said of it when it is made."""
        return {
            "taskId": self.id,
            "status": self.status,
            "createdAt": rfc3339(self.created_at),
            "lastUpdatedAt": rfc3339(self.updated_at),
            "ttlMs": self.ttl_ms,
            "pollIntervalMs": self.poll_ms,
        }


class TaskSource(Protocol):
    """Where tasks are. Each method answers None when it knows no such task of the caller's."""

    async def get(self, context: Context, task_id: str) -> McpTask | None:
        """How a task stands."""
        ...

    async def update(self, context: Context, task_id: str, answers: Json) -> bool | None:
        """Take a client's answers."""
        ...

    async def cancel(self, context: Context, task_id: str) -> bool | None:
        """Give a task up."""
        ...


class WaitTasks:
    """The waits for messages, as tasks."""

    def __init__(self, calls: Calls, exchange_of: Callable[[Context], McpRequest]) -> None:
        self._calls = calls
        self._exchange_of = exchange_of

    async def begin(self, context: Context, arguments: Arguments) -> ToolOutput | Json:
        """Answer what is unread at once; else a task, which outlives this call."""
        told = await self._calls.begin_wait(arguments, self._exchange_of(context), context.meta or {})
        return told if isinstance(told, ToolOutput) else created(_task(told, None))

    async def get(self, context: Context, task_id: str) -> McpTask | None:
        """How a wait stands; what it found is its result."""
        found = await self._run(context, "wait.look", task_id)
        return None if found is None else _task(*found)

    async def update(self, context: Context, task_id: str, answers: Json) -> bool | None:
        """A wait asks nothing, so there is nothing to answer."""
        return None if await self._run(context, "wait.look", task_id) is None else True

    async def cancel(self, context: Context, task_id: str) -> bool | None:
        """Give a wait up."""
        return None if await self._run(context, "wait.cancel", task_id) is None else True

    async def _run(
        self, context: Context, operation: str, task_id: str
    ) -> tuple[Wait, ToolOutput | None] | None:
        mcp_request, meta = self._exchange_of(context), context.meta or {}
        try:
            return await self._calls.on_wait(operation, task_id, mcp_request, meta)
        except RepomeshError as error:
            if error.failure in (Failure.NOT_FOUND, Failure.INVALID):
                return None
            internal = error.failure in (Failure.INTERNAL, Failure.UNAVAILABLE)
            code = types.INTERNAL_ERROR if internal else types.INVALID_PARAMS
            raise MCPError(code, f"{error.message}. {error.hint}", {"code": error.code}) from None


def _task(wait: Wait, told: ToolOutput | None) -> McpTask:
    status = {"waiting": "working", "over": "completed"}.get(wait.status, wait.status)
    ttl_ms = int((wait.expires_at - wait.created_at).total_seconds() * 1_000)
    further = None
    if told is not None:
        further = {"result": {"content": [{"type": "text", "text": told.text}], "isError": told.is_error}}
    return McpTask(wait.id, status, wait.created_at, wait.updated_at, ttl_ms, further=further)


class McpTasks:
    """The extension's methods, over all sources of tasks."""

    def __init__(self, waits: WaitTasks) -> None:
        self.waits = waits
        self.sources: list[TaskSource] = [waits]

    def add_to(self, server: Server[Any]) -> None:
        """Have a server offer the extension."""
        server.extensions[EXTENSION] = {}
        server.add_request_handler("tasks/get", TaskParams, self._get)
        server.add_request_handler("tasks/update", UpdateTaskParams, self._update)
        server.add_request_handler("tasks/cancel", TaskParams, self._cancel)

    async def _get(self, context: Context, params: TaskParams) -> Json:
        _admit(context, "tasks/get", params.task_id)
        for source in self.sources:
            task = await source.get(context, params.task_id)
            if task is not None:
                return {"resultType": "complete", **task.base, **(task.further or {})}
        raise _unknown(params.task_id)

    async def _update(self, context: Context, params: UpdateTaskParams) -> Json:
        _admit(context, "tasks/update", params.task_id)
        for source in self.sources:
            if await source.update(context, params.task_id, params.input_responses) is not None:
                return {"resultType": "complete"}
        raise _unknown(params.task_id)

    async def _cancel(self, context: Context, params: TaskParams) -> Json:
        _admit(context, "tasks/cancel", params.task_id)
        for source in self.sources:
            if await source.cancel(context, params.task_id) is not None:
                return {"resultType": "complete"}
        raise _unknown(params.task_id)


def created(task: McpTask) -> Json:
    """The answer to a call that became a task."""
    return {"resultType": "task", **task.base}


def declared(context: Context) -> bool:
    """Whether this request says that its client knows tasks, in a revision that has them."""
    if context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        return False
    capabilities = (context.meta or {}).get(types.CLIENT_CAPABILITIES_META_KEY)
    extensions = capabilities.get("extensions") if isinstance(capabilities, dict) else None
    return isinstance(extensions, dict) and EXTENSION in extensions


def require_declared(context: Context) -> None:
    """Raise the protocol's error unless this request says that its client knows tasks."""
    if not declared(context):
        needed: Json = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
        raise MCPError(types.MISSING_REQUIRED_CLIENT_CAPABILITY, "Missing required client capability", needed)


def _admit(context: Context, method: str, task_id: str) -> None:
    """Refuse what another revision, another client or another header asks."""
    if context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        raise MCPError(types.METHOD_NOT_FOUND, "Method not found", method)
    require_declared(context)
    assert context.request is not None
    named = decode_header_value(header(context.request.scope, b"mcp-name"))
    if named != task_id:
        raise MCPError(
            types.HEADER_MISMATCH, "Mcp-Name header does not match the request body's 'taskId' parameter"
        )


def _unknown(task_id: str) -> MCPError:
    return MCPError(types.INVALID_PARAMS, f"Task not found: {task_id[:100]}")
