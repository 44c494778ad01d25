"""The typed client against a real server, asynchronous and blocking, and its callers under a type checker."""

from __future__ import annotations

import asyncio
import inspect
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Generator, Mapping
from concurrent.futures import CancelledError
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from live import LiveMesh, live
from repomesh.client import (
    AsyncMesh,
    RemoteError,
    ServerNotFound,
    ServerUnreachable,
    SyncMesh,
    connect,
    connect_sync,
)
from repomesh.client.client import Client
from repomesh.client.groups import EventLoopThread
from repomesh.domains.messaging.events.models import Event
from repomesh.domains.messaging.messages.models import SentMessage
from repomesh.domains.tasks.models import CreateTask, ListedTask, Task
from repomesh.kernel.operation import Kind
from repomesh.operations import registry

__all__ = ["live"]

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.anyio


@pytest.fixture
async def mesh(live: LiveMesh) -> AsyncIterator[AsyncMesh]:
    """The owner's client, in the name of 'ann'; 'bob' is there, too."""
    await live.agent("ann")
    await live.agent("bob")
    async with connect(url=live.url, token=live.token, agent="ann") as opened:
        yield opened


async def test_a_message_is_sent_and_read_with_types(mesh: AsyncMesh) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    sent = await mesh.messages.send(to=["bob"], body="The build is green.", expires_at=soon)
    assert isinstance(sent, SentMessage)
    mesh.act_as("bob")
    inbox = await mesh.messages.inbox()
    assert [(message.id, message.body, message.sender_name) for message in inbox.items] == [
        (sent.id, "The build is green.", "ann")
    ]
    assert (await mesh.messages.ack(message_id=sent.id)).status == "acked"


async def test_a_field_that_is_left_out_takes_the_servers_default(mesh: AsyncMesh) -> None:
    task = await mesh.tasks.create(goal="Write it", tags=("a", "b"))
    assert (task.type, task.priority, task.tags) == ("feature", 0, ["a", "b"])
    claimed = await mesh.tasks.claim()  # the next one
    assert claimed.task.id == task.id
    done = await mesh.tasks.complete(task_id=task.id, fencing_token=claimed.fencing_token)
    assert done.status == "done"


async def test_a_request_may_hold_other_requests(mesh: AsyncMesh) -> None:
    mesh.act_as(None)  # the owner
    decision = await mesh.decisions.record(
        topic="Indentation", decision="Spaces.", tasks=[CreateTask(goal="Reformat", priority=3)]
    )
    (task,) = [task async for task in mesh.tasks.iterate(status="open")]
    assert (task.goal, task.priority) == ("Reformat", 3)
    assert task.id in str(decision)


async def test_iterate_follows_the_cursor(mesh: AsyncMesh) -> None:
    for number in range(5):
        await mesh.tasks.create(goal=f"Task {number}", priority=-number)
    tasks = [task async for task in mesh.tasks.iterate(status="open", limit=2)]
    assert all(isinstance(task, ListedTask) for task in tasks)
    assert sorted(task.goal for task in tasks) == [f"Task {number}" for number in range(5)]


async def test_events_stream_as_models(mesh: AsyncMesh) -> None:
    task = await mesh.tasks.create(goal="Write it")
    async with asyncio.timeout(10):
        async for event in mesh.events.stream(after=0, type=["task"]):
            assert isinstance(event, Event)
            assert (event.type, event.subject) == ("task.created", f"task/{task.id}")
            break


async def test_a_refusal_is_typed(mesh: AsyncMesh) -> None:
    task = await mesh.tasks.create(goal="Write it")
    claimed = await mesh.tasks.claim(task_id=task.id)
    with pytest.raises(RemoteError) as refused:
        await mesh.tasks.complete(task_id=task.id, fencing_token=claimed.fencing_token + 1)
    error = refused.value
    assert (error.status, error.code) == (409, "not_holder")
    assert error.message
    assert error.hint
    assert error.details["trace_id"]


async def test_a_repeated_idempotency_key_acts_once(mesh: AsyncMesh) -> None:
    first = await mesh.tasks.create(goal="Once", idempotency_key="k-1")
    assert await mesh.tasks.create(goal="Once", idempotency_key="k-1") == first
    with pytest.raises(RemoteError) as refused:
        await mesh.tasks.create(goal="Other", idempotency_key="k-1")
    assert refused.value.status == 409


async def test_blocking_code_gets_the_same(mesh: AsyncMesh, live: LiveMesh) -> None:
    def story() -> None:
        with connect_sync(url=live.url, token=live.token, agent="ann") as blocking:
            made = [blocking.tasks.create(goal=f"Task {number}") for number in range(3)]
            assert all(type(task) is Task for task in made)
            listed = {task.id for task in blocking.tasks.iterate(limit=2)}
            assert listed == {task.id for task in made}
            for event in blocking.events.stream(after=0, type=["task.created"]):
                assert event.subject == f"task/{made[0].id}"
                break
            with pytest.raises(RemoteError) as refused:
                blocking.tasks.show(task_id=made[0].id[::-1])
            assert refused.value.hint
            unfinished = blocking.tasks.iterate(limit=1)
            next(unfinished)
        with pytest.raises(RuntimeError, match="outside its 'with' block"):
            blocking.tasks.list()
        with pytest.raises(RuntimeError):
            next(unfinished)
        assert "repomesh-client" not in {thread.name for thread in threading.enumerate()}

    await asyncio.to_thread(story)


async def test_threads_share_a_blocking_client(mesh: AsyncMesh, live: LiveMesh) -> None:
    with connect_sync(url=live.url, token=live.token) as blocking:
        calls = (asyncio.to_thread(blocking.tasks.create, goal=f"Task {number}") for number in range(8))
        tasks = await asyncio.gather(*calls)
        assert len({task.id for task in tasks}) == 8


def test_a_call_under_way_ends_with_the_loop() -> None:
    thread = EventLoopThread()
    thread.start()
    threading.Timer(0.2, thread.stop).start()
    with pytest.raises(CancelledError):
        thread.run(asyncio.sleep(60))


def test_no_server_is_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REPOMESH_URL", "REPOMESH_TOKEN", "REPOMESH_AGENT", "REPOMESH_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ServerNotFound) as missing:
        connect()
    assert "repomesh up" in missing.value.hint
    with connect_sync(url="http://127.0.0.1:1", token="rpm_x") as blocking, pytest.raises(ServerUnreachable):
        blocking.tasks.list()


class Recorder(Client):
    """A client that writes down what it is asked, and answers an empty page."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1", None)
        self.calls: list[tuple[str, dict[str, Any], str | None]] = []

    async def call_model(
        self, name: str, fields: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Any:
        self.calls.append((name, dict(fields), idempotency_key))
        return SimpleNamespace(items=[], next_cursor=None)


def test_every_operation_has_a_method_in_both_forms_that_sends_each_of_its_fields() -> None:
    recorder = Recorder()
    with SyncMesh(AsyncMesh(recorder)) as mesh:
        for name, group in vars(mesh).items():
            for method in () if name.startswith("_") else dir(group):
                if not method.startswith("_") and (name, method) != ("events", "stream"):
                    call = getattr(group, method)
                    answered = call(**{each: f"<{each}>" for each in inspect.signature(call).parameters})
                    assert not isinstance(answered, Generator) or list(answered) == []
    called = set()
    for name, fields, key in recorder.calls:
        called.add(name)
        assert {each: value.replace("_>", ">") for each, value in fields.items()} == {
            each: f"<{each}>" for each in fields
        }
        known = {field.alias or each for each, field in registry[name].request.model_fields.items()}
        assert known - {"cursor"} <= fields.keys() <= known
        assert key == ("<idempotency_key>" if registry[name].kind is Kind.COMMAND else None)
    assert called == {each.name for each in registry if each.http and each.kind is not Kind.SUBSCRIPTION}


def test_the_generated_files_are_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "typed_client.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_an_operation_runs_without_the_server_loaded(live: LiveMesh) -> None:
    code = f"""
        import sys
        from repomesh.client import connect_sync
        assert "pydantic" not in sys.modules
        with connect_sync(url={live.url!r}, token={live.token!r}) as mesh:
            task = mesh.tasks.create(goal="Write it")
            assert task.goal == "Write it"
            mesh.webhooks.list(), mesh.ids.find(part=task.id[:8]), mesh.events.list()
        print(*sys.modules)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    modules = {name.partition(".")[0] for name in done.stdout.split()}
    assert not modules & {
        "sqlalchemy",
        "alembic",
        "mcp",
        "uvicorn",
        "starlette",
        "structlog",
        "opentelemetry",
    }
    assert not {
        name for name in done.stdout.split() if name.startswith(("repomesh.store", "repomesh.surfaces"))
    }


_RIGHT = """
from datetime import datetime
from repomesh.client import RemoteError, connect, connect_sync
from repomesh.domains.tasks.models import ListedTask

async def story() -> str:
    async with connect(agent="ann") as mesh:
        message = await mesh.messages.send(to=["bob"], body="Hello", priority="high")
        moment: datetime = (await mesh.tasks.show(task_id=message.id)).created_at
        tasks: list[ListedTask] = [task async for task in mesh.tasks.iterate(status="open")]
        async for event in mesh.events.stream(after=0):
            return f"{event.seq} {moment} {tasks[0].goal}"
    return message.id

def blocking() -> int:
    with connect_sync() as mesh:
        try:
            locks = mesh.locks.acquire(resources=["src/**"], ttl_s=60, idempotency_key="k")
        except RemoteError as error:
            return error.status
        for task in mesh.tasks.iterate(ready=True):
            print(task.goal)
        return locks.fencing_token
"""

_WRONG = """
from repomesh.client import connect, connect_sync

async def story() -> None:
    async with connect() as mesh:
        await mesh.messages.send(to="bob", body="Hello")  # error: arg-type
        await mesh.messages.send(text="Hello")  # error: call-arg
        await mesh.messages.send(body="Hello", priority="hihg")  # error: arg-type
        (await mesh.tasks.create(goal="x")).gaol  # error: attr-defined
        number: int = (await mesh.tasks.create(goal="x")).goal  # error: assignment
        mesh.taks  # error: attr-defined
        await mesh.tasks.list(idempotency_key="k")  # error: call-arg

def blocking() -> None:
    with connect_sync() as mesh:
        mesh.tasks.create()  # error: call-arg
        mesh.tasks.progress(task_id="t", fencing_token="1")  # error: arg-type
        mesh.tasks.create(goal="x").gaol  # error: attr-defined
        for task in mesh.tasks.iterate(status="opne"):  # error: arg-type
            print(task.gaol)  # error: attr-defined
"""


def test_a_type_checker_accepts_right_callers_and_finds_what_is_wrong(tmp_path: Path) -> None:
    right = [
        _RIGHT,
        *re.findall(r"```python\n(.*?)```", (ROOT / "docs/python-client.md").read_text(), re.DOTALL),
    ]
    for number, code in enumerate(right):
        (tmp_path / f"right_{number}.py").write_text(code)
    (tmp_path / "wrong.py").write_text(_WRONG)
    settings = ["--strict", "--config-file", "", "--no-error-summary", "--follow-imports=silent"]
    cache = ["--cache-dir", str(ROOT / ".mypy_cache" / "callers")]
    command = [
        sys.executable,
        "-m",
        "mypy",
        *settings,
        *cache,
        *sorted(path.name for path in tmp_path.glob("*.py")),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    expected = {
        (number, line.rpartition("# error: ")[2])
        for number, line in enumerate(_WRONG.splitlines(), 1)
        if "# error: " in line
    }
    lines = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert not [line for line in lines if not line.startswith("wrong.py")], done.stdout + done.stderr
    found = {(int(line.split(":")[1]), line.rpartition("[")[2].rstrip("]")) for line in lines}
    assert found == expected, done.stdout
