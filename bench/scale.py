"""Whether what an agent does all day costs the same in a full store as in an empty one."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from bench.fill import Filled, fill
from bench.load import Connection, request
from bench.report import Report
from bench.servers import Running, repomesh

SMALL = (10_000, 10_000, 1_000)  # messages, tasks, messages that the measured agent received
LARGE = (1_000_000, 100_000, 100_000)
CALLS = 500


def measure(report: Report, folder: Path) -> None:
    """Inbox, claim and lock at both sizes in turn, and the plans of the queries at the larger."""
    folder.mkdir()
    small, large = _filled(report, folder / "small", *SMALL), _filled(report, folder / "large", *LARGE)
    report.plans = large.plans
    with repomesh(folder / "small") as few, repomesh(folder / "large") as many:
        for name in _CALLS:
            p50s = asyncio.run(_p50s(name, (few, small), (many, large)))
            beside = f"at {SMALL[0]:,} messages"
            report.add(f"{name} at {LARGE[0]:,} messages, p50", p50s[1], "ms", beside, p50s[0], at_most=2)
        report.note(f"resident memory at {LARGE[0]:,} messages", many.resident_mb(), "MB")


def _filled(report: Report, data: Path, messages: int, tasks: int, received: int) -> Filled:
    begun = time.perf_counter()
    filled = fill(data, messages, tasks, received)
    report.note(f"filling with {messages:,} messages and {tasks:,} tasks", time.perf_counter() - begun, "s")
    return filled


def _inbox(server: Running, acting: str, _number: int) -> bytes:
    return request("GET", "/v1/messages/inbox?unread=true&limit=20", server.token, headers=acting)


def _claim(server: Running, acting: str, _number: int) -> bytes:
    return request("POST", "/v1/tasks/next/claim", server.token, b'{"ttl_s":60}', acting)


def _lock(server: Running, acting: str, number: int) -> bytes:
    body = json.dumps({"resources": [f"src/locked/{number}.py"], "ttl_s": 60}).encode()
    return request("POST", "/v1/locks/acquire", server.token, body, acting)


_CALLS: dict[str, Callable[[Running, str, int], bytes]] = {
    "inbox of 20 unread": _inbox,
    "claim of the next task": _claim,
    "lock of a path": _lock,
}


async def _p50s(name: str, *stores: tuple[Running, Filled]) -> list[float]:
    """The p50 of one call on each store, in ms; the stores take turns, so that noise falls on both."""
    connections = [await Connection.open("127.0.0.1", server.port) for server, _ in stores]
    latencies: list[list[float]] = [[] for _ in stores]
    for number in range(CALLS):
        for (server, filled), connection, taken in zip(stores, connections, latencies, strict=True):
            raw = _CALLS[name](server, f"X-Repomesh-Agent: {filled.agent}\r\n", number)
            start = time.perf_counter()
            status, answer = await connection.request(raw)
            taken.append(time.perf_counter() - start)
            assert status < 300, answer
    for connection in connections:
        connection.close()
    return [statistics.median(taken) * 1e3 for taken in latencies]
