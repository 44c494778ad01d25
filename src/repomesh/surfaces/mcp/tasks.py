"""The tasks extension: a wait that a client polls, instead of holding a call open.

The protocol's tasks are waits for messages (`domains/messaging/waits/`). Further sources of tasks can be
added; the conformance suite's fixtures do so.
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
    """The state of a task. `further` holds the fields of its status only: a result, an error, requests."""

    id: str
    status: str
    created_at: datetime
    updated_at: datetime
    ttl_ms: int
    poll_ms: int = WAIT_POLL_MS
    further: Mapping[str, Any] | None = None

    @property
    def base(self) -> Json:
        """The fields that every answer about the task has."""
        return {
            "taskId": self.id,
            "status": self.status,
            "createdAt": rfc3339(self.created_at),
            "lastUpdatedAt": rfc3339(self.updated_at),
            "ttlMs": self.ttl_ms,
            "pollIntervalMs": self.poll_ms,
        }


class TaskSource(Protocol):
    """A source of tasks. Each method returns None when the caller has no such task here."""

    async def get(self, context: Context, task_id: str) -> McpTask | None:
        """The state of a task."""
        ...

    async def update(self, context: Context, task_id: str, answers: Json) -> bool | None:
        """Take a client's answers to a task's requests; True when they are taken."""
        ...

    async def cancel(self, context: Context, task_id: str) -> bool | None:
        """Cancel a task; True when it is cancelled."""
        ...


class WaitTasks:
    """The waits for messages, as tasks."""

    def __init__(self, calls: Calls, request_of: Callable[[Context], McpRequest]) -> None:
        self._calls = calls
        self._request_of = request_of

    async def begin(self, context: Context, arguments: Arguments) -> ToolOutput | Json:
        """Return unread messages at once; else create a task, which outlives this call."""
        outcome = await self._calls.begin_wait(arguments, self._request_of(context), context.meta or {})
        return outcome if isinstance(outcome, ToolOutput) else task_created_result(_task(outcome, None))

    async def get(self, context: Context, task_id: str) -> McpTask | None:
        """The state of a wait; the messages that it found are its result."""
        wait_result = await self._run(context, "wait.look", task_id)
        return None if wait_result is None else _task(*wait_result)

    async def update(self, context: Context, task_id: str, answers: Json) -> bool | None:
        """Accept and ignore answers: a wait has no requests."""
        return None if await self._run(context, "wait.look", task_id) is None else True

    async def cancel(self, context: Context, task_id: str) -> bool | None:
        """Cancel a wait."""
        return None if await self._run(context, "wait.cancel", task_id) is None else True

    async def _run(
        self, context: Context, operation: str, task_id: str
    ) -> tuple[Wait, ToolOutput | None] | None:
        mcp_request, meta = self._request_of(context), context.meta or {}
        try:
            return await self._calls.call_wait_operation(operation, task_id, mcp_request, meta)
        except RepomeshError as error:
            if error.failure in (Failure.NOT_FOUND, Failure.INVALID):
                return None
            is_internal = error.failure in (Failure.INTERNAL, Failure.UNAVAILABLE)
            code = types.INTERNAL_ERROR if is_internal else types.INVALID_PARAMS
            raise MCPError(code, f"{error.message}. {error.hint}", {"code": error.code}) from None


def _task(wait: Wait, output: ToolOutput | None) -> McpTask:
    status = {"waiting": "working", "over": "completed"}.get(wait.status, wait.status)
    ttl_ms = int((wait.expires_at - wait.created_at).total_seconds() * 1_000)
    further = None
    if output is not None:
        further = {"result": {"content": [{"type": "text", "text": output.text}], "isError": output.is_error}}
    return McpTask(wait.id, status, wait.created_at, wait.updated_at, ttl_ms, further=further)


class McpTasks:
    """The extension's methods, over all sources of tasks."""

    def __init__(self, waits: WaitTasks) -> None:
        self.waits = waits
        self.sources: list[TaskSource] = [waits]

    def add_to(self, server: Server[Any]) -> None:
        """Register the extension and its methods with a server."""
        server.extensions[EXTENSION] = {}
        server.add_request_handler("tasks/get", TaskParams, self._get)
        server.add_request_handler("tasks/update", UpdateTaskParams, self._update)
        server.add_request_handler("tasks/cancel", TaskParams, self._cancel)

    async def _get(self, context: Context, params: TaskParams) -> Json:
        _check_request(context, "tasks/get", params.task_id)
        for source in self.sources:
            task = await source.get(context, params.task_id)
            if task is not None:
                return {"resultType": "complete", **task.base, **(task.further or {})}
        raise _task_not_found(params.task_id)

    async def _update(self, context: Context, params: UpdateTaskParams) -> Json:
        _check_request(context, "tasks/update", params.task_id)
        for source in self.sources:
            if await source.update(context, params.task_id, params.input_responses) is not None:
                return {"resultType": "complete"}
        raise _task_not_found(params.task_id)

    async def _cancel(self, context: Context, params: TaskParams) -> Json:
        _check_request(context, "tasks/cancel", params.task_id)
        for source in self.sources:
            if await source.cancel(context, params.task_id) is not None:
                return {"resultType": "complete"}
        raise _task_not_found(params.task_id)


def task_created_result(task: McpTask) -> Json:
    """The answer to a call that became a task."""
    return {"resultType": "task", **task.base}


def declares_tasks(context: Context) -> bool:
    """Whether the request declares the tasks extension, in a revision that has it."""
    if context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        return False
    capabilities = (context.meta or {}).get(types.CLIENT_CAPABILITIES_META_KEY)
    extensions = capabilities.get("extensions") if isinstance(capabilities, dict) else None
    return isinstance(extensions, dict) and EXTENSION in extensions


def require_task_capability(context: Context) -> None:
    """Raise MCPError unless the request declares the tasks extension."""
    if not declares_tasks(context):
        requirement: Json = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
        raise MCPError(
            types.MISSING_REQUIRED_CLIENT_CAPABILITY, "Missing required client capability", requirement
        )


def _check_request(context: Context, method: str, task_id: str) -> None:
    """Raise MCPError for another revision, a client without tasks, or a header that names another task."""
    if context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        raise MCPError(types.METHOD_NOT_FOUND, "Method not found", method)
    require_task_capability(context)
    assert context.request is not None
    named_task_id = decode_header_value(header(context.request.scope, b"mcp-name"))
    if named_task_id != task_id:
        raise MCPError(
            types.HEADER_MISMATCH, "Mcp-Name header does not match the request body's 'taskId' parameter"
        )


def _task_not_found(task_id: str) -> MCPError:
    return MCPError(types.INVALID_PARAMS, f"Task not found: {task_id[:100]}")
