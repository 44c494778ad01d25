"""kill -9 of a real server under 16 writers: what it acknowledged is there when it comes back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
import pytest

from fault.running import AT_FULL_SIZE, Process
from repomesh.domains.workspaces.operations import home_workspace
from repomesh.kernel import data_folder
from repomesh.kernel.clock import system_clock
from repomesh.kernel.identity import system_caller
from repomesh.kernel.settings import Settings
from repomesh.kernel.telemetry import Metrics
from repomesh.store.log import bounds, read_after
from repomesh.store.open import open_store

pytestmark = [pytest.mark.anyio, pytest.mark.fault]

KILLS = 10 if AT_FULL_SIZE else 3
ACKNOWLEDGED_MIN = 150  # in each life, before it ends


@dataclass
class Acknowledged:
    """What the server said was done."""

    messages: dict[str, str] = field(default_factory=dict)
    claims: dict[str, int] = field(default_factory=dict)
    locks: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.messages) + len(self.claims) + len(self.locks)


class Writer:
    """An agent that sends, claims and locks without a pause, and comes back when the server does."""

    def __init__(self, url: str, number: int, done: Acknowledged) -> None:
        self.name = f"writer-{number}"
        self._done = done
        self._count = 0
        self._http = httpx.AsyncClient(base_url=url, timeout=10)

    async def join(self, token: str) -> None:
        made = await self._post("/v1/agents/register", token, name=self.name)
        self.token = made["token"]

    async def write_for_ever(self) -> None:
        while True:
            with suppress(httpx.TransportError):
                await self._write()
                continue
            await asyncio.sleep(0.05)

    async def _write(self) -> None:
        # A message that was not acknowledged is sent again under its key, however often the server dies.
        mark = f"{self.name}/{self._count}"
        sent = await self._post("/v1/messages", self.token, key=mark, to=["reader"], body=mark)
        self._done.messages[sent["id"]] = mark
        self._count += 1
        held = await self._post("/v1/locks/acquire", self.token, resources=[mark], ttl_s=600)
        self._done.locks[mark] = held["fencing_token"]
        task = await self._post("/v1/tasks", self.token, goal=mark)
        claim = await self._post(f"/v1/tasks/{task['id']}/claim", self.token, ttl_s=600)
        self._done.claims[task["id"]] = claim["fencing_token"]

    async def _post(self, path: str, token: str, key: str | None = None, **body: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token}"} | ({"Idempotency-Key": key} if key else {})
        answer = await self._http.post(path, json=body, headers=headers)
        assert answer.status_code in (200, 201), answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def close(self) -> None:
        await self._http.aclose()


@pytest.fixture
async def process(settings: Settings) -> AsyncIterator[Process]:
    made = Process(
        settings.data,
        settings.database_url,
        messages_per_minute=1_000_000,
        agent_inactive_after_s=3_600,  # on a busy machine a writer may have been silent for long at the end
        log_level="debug",
    )
    made.start()
    yield made
    made.stop()


async def test_what_was_acknowledged_survives_kill_9(process: Process, settings: Settings) -> None:
    done = Acknowledged()
    reader = Writer(process.url, 0, done)
    reader.name = "reader"
    writers = [Writer(process.url, number, done) for number in range(16)]
    for writer in (reader, *writers):
        await writer.join(process.token)
    load = [asyncio.create_task(writer.write_for_ever()) for writer in writers]
    for _ in range(KILLS):
        enough = len(done) + ACKNOWLEDGED_MIN
        while len(done) < enough:  # noqa: ASYNC110 - the writers count
            await asyncio.sleep(0.005)
        process.kill()
        await asyncio.to_thread(process.start)
    for task in load:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.gather(*load)
    for writer in (reader, *writers):
        await writer.close()
    await assert_present(process, done)
    await asyncio.to_thread(process.stop)
    assert_log_is_whole(settings, done)
    written = (settings.data / data_folder.LOG).read_text()
    assert not any(token in written for token in (process.token, *(writer.token for writer in writers)))


async def assert_present(process: Process, done: Acknowledged) -> None:
    """Every acknowledged message, claim and lock is what the restarted server shows."""
    headers = {"Authorization": f"Bearer {process.token}"}
    async with httpx.AsyncClient(base_url=process.url, headers=headers, timeout=30) as http:

        async def everything(path: str) -> list[dict[str, Any]]:
            items: list[dict[str, Any]] = []
            cursor: dict[str, str] = {}
            while True:
                page = (await http.get(path, params={"limit": "200", **cursor})).json()
                items += page["items"]
                if page["next_cursor"] is None:
                    return items
                cursor = {"cursor": page["next_cursor"]}

        messages = {message["id"]: message["body"] for message in await everything("/v1/messages")}
        assert not missing(done.messages, messages)
        assert set(Counter(messages.values()).values()) == {1}
        locks = {lock["resource"]: lock["fencing_token"] for lock in await everything("/v1/locks")}
        assert not missing(done.locks, locks)
        tasks = {task["id"]: task["status"] for task in await everything("/v1/tasks")}
        assert {tasks[id_] for id_ in done.claims} == {"claimed"}


def missing(acknowledged: dict[str, Any], found: dict[str, Any]) -> list[tuple[str, Any]]:
    """The first of what was acknowledged and is not there: all of it would be too much to show."""
    return [item for item in acknowledged.items() if found.get(item[0]) != item[1]][:10]


def assert_log_is_whole(settings: Settings, done: Acknowledged) -> None:
    """No number of the log is missing or double, and nothing was done twice."""
    store = open_store(settings, Metrics(), system_clock)
    home = store.read_now(system_caller(""), home_workspace)
    assert home is not None
    events = store.read_now(
        system_caller(home.id), lambda tx: read_after(tx.connection, home.id, 0, 10_000_000).events
    )
    last = store.read_now(system_caller(home.id), lambda tx: bounds(tx.connection, home.id))[1]
    store.close()
    assert len(events) == last
    assert not [event.seq for place, event in enumerate(events, 1) if event.seq != place][:10]
    sent = Counter(orjson.loads(event.json)["subject"] for event in events if event.type == "message.sent")
    assert not [id_ for id_ in done.messages if f"message/{id_}" not in sent][:10]
    assert set(sent.values()) == {1}
