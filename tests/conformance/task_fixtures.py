"""The tools that the suite expects to become tasks. Their tasks live in memory, beside the server's own."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import mcp_types as types
from mcp.shared.exceptions import MCPError

from repomesh.surfaces.mcp.tasks import (
    Context,
    McpTask,
    McpTasks,
    declares_tasks,
    require_task_capability,
    task_created_result,
)

Json = dict[str, Any]
Body = Callable[["Running"], Awaitable[Json]]

TTL_MS: Final = 600_000
POLL_MS: Final = 200


def _result(text: str, *, error: bool = False) -> Json:
    return {"content": [{"type": "text", "text": text}], "isError": error}


def _form(message: str) -> Json:
    schema = {"type": "object", "properties": {"confirm": {"type": "boolean"}}}
    return {
        "method": "elicitation/create",
        "params": {"mode": "form", "message": message, "requestedSchema": schema},
    }


@dataclass
class Running:
    """A task and what it waits for."""

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "working"
    made: datetime = field(default_factory=lambda: datetime.now(UTC))
    changed: datetime = field(default_factory=lambda: datetime.now(UTC))
    outcome: Json = field(default_factory=dict)
    asked: Json = field(default_factory=dict)
    answers: Json = field(default_factory=dict)
    work: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self._answered = asyncio.Event()

    @property
    def task(self) -> McpTask:
        further = {"inputRequests": dict(self.asked)} if self.status == "input_required" else self.outcome
        return McpTask(self.id, self.status, self.made, self.changed, TTL_MS, POLL_MS, further)

    def become(self, status: str, **outcome: Any) -> None:
        self.status, self.outcome, self.changed = status, outcome, datetime.now(UTC)

    async def ask(self, requests: Json) -> Json:
        """Wait until each request is answered."""
        self.asked = dict(requests)
        self.become("input_required")
        while self.asked:
            self._answered.clear()
            await self._answered.wait()
        self.become("working")
        return self.answers

    def answer(self, answers: Json) -> None:
        for key in self.asked.keys() & answers.keys():
            self.answers[key] = answers[key]
            del self.asked[key]
        self._answered.set()

    async def run(self, body: Body) -> None:
        try:
            self.become("completed", result=await body(self))
        except MCPError as error:
            self.become("failed", error={"code": error.code, "message": error.message})
        except asyncio.CancelledError:
            self.become("cancelled")


class Source:
    """The suite's tasks."""

    def __init__(self) -> None:
        self._tasks: dict[str, Running] = {}

    def start(self, body: Body) -> Json:
        running = Running()
        self._tasks[running.id] = running
        running.work = asyncio.create_task(running.run(body))
        return task_created_result(running.task)

    async def get(self, _context: Context, task_id: str) -> McpTask | None:
        running = self._tasks.get(task_id)
        return running.task if running else None

    async def update(self, _context: Context, task_id: str, answers: Json) -> bool | None:
        running = self._tasks.get(task_id)
        if running is None:
            return None
        running.answer(answers)
        return True

    async def cancel(self, _context: Context, task_id: str) -> bool | None:
        running = self._tasks.get(task_id)
        if running is None:
            return None
        assert running.work is not None
        running.work.cancel()
        return True


def _computes(seconds: float) -> Body:
    async def body(_running: Running) -> Json:
        await asyncio.sleep(seconds)
        return _result(f"Computed for {seconds} s.")

    return body


async def _fails(_running: Running) -> Json:
    await asyncio.sleep(1)
    return _result("The job failed.", error=True)


async def _breaks(_running: Running) -> Json:
    raise MCPError(types.INTERNAL_ERROR, "The job broke.")


async def _confirms(running: Running) -> Json:
    answers = await running.ask({"confirm-1": _form("Delete it?")})
    return _result(f"Answered: {answers}")


async def _asks_twice(running: Running) -> Json:
    answers = await running.ask({"name-1": _form("Your name?"), "confirm-1": _form("Are you sure?")})
    return _result(f"Answered: {answers}")


def _schema(**properties: str) -> Json:
    return {"type": "object", "properties": {name: {"type": type_} for name, type_ in properties.items()}}


SCHEMAS: Final[dict[str, Json]] = {
    "greet": _schema(name="string"),
    "slow_compute": _schema(seconds="number", label="string"),
    "failing_job": _schema(),
    "protocol_error_job": _schema(),
    "confirm_delete": _schema(filename="string"),
    "multi_input": _schema(),
    "test_tool_with_task": _schema(),
}
_REQUIRED: Final[dict[str, Body]] = {
    "failing_job": _fails,
    "protocol_error_job": _breaks,
    "confirm_delete": _confirms,
    "multi_input": _asks_twice,
}


class TaskFixtures:
    """Calls the fixtures that may become tasks."""

    def __init__(self, tasks: McpTasks) -> None:
        self._source = Source()
        tasks.sources.append(self._source)

    async def call(self, context: Context, params: types.CallToolRequestParams) -> Json:
        arguments = params.arguments or {}
        if params.name == "greet":
            return {"resultType": "complete", **_result(f"Hello, {arguments['name']}!")}
        if params.name == "slow_compute":
            body = _computes(arguments["seconds"])
            if not declares_tasks(context):
                return {"resultType": "complete", **await body(Running())}
            return self._source.start(body)
        require_task_capability(context)
        if params.name == "test_tool_with_task":
            return self._after_asking(params)
        return self._source.start(_REQUIRED[params.name])

    def _after_asking(self, params: types.CallToolRequestParams) -> Json:
        answers = params.input_responses or {}
        if "user_name" not in answers:
            return {"resultType": "input_required", "inputRequests": {"user_name": _form("Your name?")}}
        said = answers["user_name"].model_dump_json()

        async def body(_running: Running) -> Json:
            return _result(f"Hello: {said}")

        return self._source.start(body)
