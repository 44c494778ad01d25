"""Two hundred reconnects under load: each subscriber ends up with its filter applied to the log."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from harness import Speaker
from live import LiveMesh, socket, stream

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SUBSCRIBERS = 20
RECONNECTS = 10
EVENTS_PER_WRITER = 150
TYPES = ["load.even", "load.odd", "load.odd.deep", "other"]


class Subscriber:
    """Somebody who loses the line again and again and each time goes on behind what it saw last."""

    def __init__(self, live: LiveMesh, speaker: Speaker, criteria: dict[str, Any], seed: int) -> None:
        self.live = live
        self.speaker = speaker
        self.criteria = criteria
        self.chance = random.Random(seed)
        self.seen: list[tuple[int, str]] = []
        self.known: set[int] = set()
        self.position = 0
        self.reconnects = 0

    async def run(self, done: asyncio.Event, last: list[int]) -> None:
        """Read piece by piece until the writers are done, then up to the log's end."""
        while self.reconnects < RECONNECTS or not done.is_set():
            await self._piece(self.chance.randrange(1, 30), None)
            self.reconnects += 1
        await self._piece(None, last[0])

    async def _piece(self, count: int | None, upto: int | None) -> None:
        read = self._over_socket if self.chance.random() < 0.5 else self._over_stream
        try:
            async with asyncio.timeout(None if count is None else 0.5):
                await read(count, upto)
        except TimeoutError:
            return  # nothing came for it in the meantime

    async def _over_socket(self, count: int | None, upto: int | None) -> None:
        async with socket(self.live, self.speaker) as wire:
            criteria = {"types" if name == "type" else name: value for name, value in self.criteria.items()}
            await wire.subscribe(after=self.position, **criteria)
            while not self._enough(count, upto):
                frame = await wire.next("event", "position", timeout_s=20)
                if frame["type"] == "event":
                    self._take(frame["event"])
                    count = None if count is None else count - 1
                else:
                    self.position = max(self.position, frame["seq"])
            wire.raw.transport.abort()

    async def _over_stream(self, count: int | None, upto: int | None) -> None:
        resume = {"Last-Event-ID": str(self.position)}
        async with stream(self.speaker, resume, **self.criteria) as events:
            while not self._enough(count, upto):
                frame = await anext(events)
                assert frame["event"] != "closed", frame
                if frame["event"] != "position":
                    self._take(frame["data"])
                    count = None if count is None else count - 1
                self.position = max(self.position, int(frame["id"]))

    def _enough(self, count: int | None, upto: int | None) -> bool:
        return count == 0 or (upto is not None and self.position >= upto)

    def _take(self, event: dict[str, Any]) -> None:
        if event["seq"] not in self.known:
            self.known.add(event["seq"])
            self.seen.append((event["seq"], event["id"]))
        self.position = max(self.position, event["seq"])


async def applied(speaker: Speaker, criteria: dict[str, Any]) -> list[tuple[int, str]]:
    """The log as the list shows it to the speaker."""
    found: list[tuple[int, str]] = []
    cursor: dict[str, str] = {}
    while True:
        page = await speaker.get("/v1/events", limit=200, after=0, **criteria, **cursor)
        found += [(event["seq"], event["id"]) for event in page["items"]]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


@pytest.mark.settings(messages_per_minute=1_000_000)
async def test_nothing_is_lost_or_out_of_order(live: LiveMesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repomesh.kernel.limits.STREAM_POSITION_EVERY_S", 0.2)
    agents = [await live.agent(f"agent-{number}") for number in range(4)]
    speakers = [*agents, await live.observer(), live]
    criteria: list[dict[str, Any]] = [
        {"type": ["load", "other"]},
        {"type": ["load.odd"]},
        {"agent_id": agents[0].id},
        {"recipient_id": agents[1].id},
        {"type": ["load"], "severity": "error"},
    ]
    subscribers = [
        Subscriber(live, speakers[number % len(speakers)], criteria[number % len(criteria)], number)
        for number in range(SUBSCRIBERS)
    ]

    async def write(agent: Speaker, seed: int) -> None:
        chance = random.Random(seed)
        for n in range(EVENTS_PER_WRITER):
            recipient = {"recipient_id": chance.choice(agents).id} if chance.random() < 0.4 else {}
            severity = chance.choice(["info", "error"])
            await agent.post(
                "/v1/events", type=chance.choice(TYPES), severity=severity, data={"n": n}, **recipient
            )

    done, last = asyncio.Event(), [0]
    reading = [asyncio.create_task(subscriber.run(done, last)) for subscriber in subscribers]
    await asyncio.gather(*(write(agent, seed) for seed, agent in enumerate(agents)))
    last[0] = (await live.get("/v1/events", limit=1))["last_seq"]
    done.set()
    await asyncio.gather(*reading)
    assert sum(subscriber.reconnects for subscriber in subscribers) >= 200
    for subscriber in subscribers:
        assert subscriber.seen == await applied(subscriber.speaker, subscriber.criteria)
