"""Whether what an agent does all day costs the same in a full store as in an empty one."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

from bench.fill import Filled, fill
from bench.load import Connection, Figures, request
from bench.report import Report
from bench.servers import Running, repomesh

SMALL = (10_000, 10_000, 1_000)  # messages, tasks, messages that the measured agent received
LARGE = (1_000_000, 100_000, 100_000)
_CALLS = 300


def measure(report: Report, folder: Path) -> None:
    """Inbox, claim and lock at both sizes, and the plans of their queries at the larger."""
    folder.mkdir()
    small = _at(report, folder / "small", *SMALL)
    large = _at(report, folder / "large", *LARGE)
    for name in small:
        beside = f"at {SMALL[0]:,} messages"
        report.add(f"{name} at {LARGE[0]:,} messages, p50", large[name], "ms", beside, small[name], at_most=2)


def _at(report: Report, data: Path, messages: int, tasks: int, received: int) -> dict[str, float]:
    begun = time.perf_counter()
    filled = fill(data, messages, tasks, received)
    report.note(f"filling with {messages:,} messages and {tasks:,} tasks", time.perf_counter() - begun, "s")
    report.plans = filled.plans
    with repomesh(data) as server:
        return {name: asyncio.run(_p50(server, raw)) for name, raw in _calls(server, filled).items()}


def _calls(server: Running, filled: Filled) -> dict[str, Callable[[int], bytes]]:
    acting = f"X-Repomesh-Agent: {filled.agent}\r\n"

    def inbox(_number: int) -> bytes:
        return request("GET", "/v1/messages/inbox?unread=true&limit=20", server.token, headers=acting)

    def claim(_number: int) -> bytes:
        return request("POST", "/v1/tasks/next/claim", server.token, b'{"ttl_s":60}', acting)

    def lock(number: int) -> bytes:
        body = json.dumps({"resources": [f"src/locked/{number}.py"], "ttl_s": 60}).encode()
        return request("POST", "/v1/locks/acquire", server.token, body, acting)

    return {"inbox of 20 unread": inbox, "claim of the next task": claim, "lock of a path": lock}


async def _p50(server: Running, raw: Callable[[int], bytes]) -> float:
    connection = await Connection.open("127.0.0.1", server.port)
    latencies = []
    begun = time.perf_counter()
    for number in range(_CALLS):
        start = time.perf_counter()
        status, answer = await connection.request(raw(number))
        latencies.append(time.perf_counter() - start)
        assert status < 300, answer
    connection.close()
    return Figures.of(latencies, time.perf_counter() - begun).p50_ms
