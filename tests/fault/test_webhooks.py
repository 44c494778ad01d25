"""kill -9 of a server that sends webhooks: every event that was acknowledged arrives all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from fault.running import AT_FULL_SIZE, Process
from receiver import Answer, eventually, receiving
from repomesh.kernel.limits import WEBHOOK_BATCH, WEBHOOK_CLAIM_S, WEBHOOK_RETRIES_S
from repomesh.kernel.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.fault]

EVENTS = 100
KILLS = 4 if AT_FULL_SIZE else 1
SOON = {"WEBHOOK_CLAIM_S": 2.0, "WEBHOOK_RETRIES_S": [1.0] * len(WEBHOOK_RETRIES_S)}
"""Limits with which nobody waits long for what the killed one held, and for what failed."""
WITHIN_S = 90.0 + KILLS * WEBHOOK_CLAIM_S  # retries and the claims of the killed included


@pytest.fixture
async def process(settings: Settings) -> AsyncIterator[Process]:
    made = Process(
        settings.data,
        settings.database_url,
        limits=None if AT_FULL_SIZE else SOON,
        webhook_hosts='["127.0.0.1"]',
        messages_per_minute=1_000_000,
    )
    made.start()
    yield made
    made.stop()


async def test_every_event_arrives_though_its_server_is_killed(process: Process) -> None:
    acknowledged: set[str] = set()
    async with receiving() as receiver, httpx.AsyncClient(base_url=process.url, timeout=30) as http:
        http.headers["Authorization"] = f"Bearer {process.token}"
        made = (await http.post("/v1/webhooks", json={"url": receiver.url, "types": ["chat"]})).json()
        await http.post("/v1/agents/register", json={"name": "alice"})
        http.headers["X-Repomesh-Agent"] = "alice"
        receiver.answers = [Answer(500)] * 3  # so that some wait for a retry when it is killed
        for life in range(KILLS + 1):
            for _ in range(EVENTS // (KILLS + 1)):
                answer = await http.post("/v1/events", json={"type": "chat.message"})
                acknowledged.add(answer.json()["id"])
            if life < KILLS:
                await receiver.arrived(min(len(receiver.got) + 5, len(acknowledged)))  # all may have come
                process.kill()
                await asyncio.to_thread(process.start)

        def arrived() -> set[str]:
            return {got.headers["webhook-id"] for got in receiver.got}

        await eventually(lambda: acknowledged <= arrived(), WITHIN_S)
        assert arrived() == acknowledged
        for got in receiver.got:
            assert got.verified(made["secret"])["id"] == got.headers["webhook-id"]
        twice = len(receiver.got) - len(acknowledged)
        assert twice <= 3 + KILLS * WEBHOOK_BATCH
