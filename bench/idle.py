"""What 1,000 workspaces cost while nobody calls the server, and how late leases expire, on both engines."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from bench.databases import new_database
from bench.load import Connection, request
from bench.report import Report
from bench.servers import Running, repomesh

WORKSPACES = 1_000
IDLE_S = 30.0
CPU_PERCENT = 2.0  # of one core
LATE_S = 1.0
_SETTLING_S = 10.0  # what making the workspaces left to do
_LEASES = 20  # in as many workspaces
_TTL_S = 5.0
_EXPIRED_S_MAX = 180.0


def measure(report: Report, folder: Path) -> None:
    """Both engines, each with the same workspaces."""
    folder.mkdir()
    with repomesh(folder / "sqlite") as server:
        asyncio.run(_measure(report, server, "SQLite"))
    with new_database() as url:
        if url is not None:
            with repomesh(folder / "postgresql", database_url=url) as server:
                asyncio.run(_measure(report, server, "PostgreSQL"))


async def _measure(report: Report, server: Running, engine: str) -> None:
    connection = await Connection.open("127.0.0.1", server.port)
    tokens = [
        (await _post(connection, "/v1/workspaces", server.token, name=f"idle-{number}"))["token"]
        for number in range(WORKSPACES - 1)
    ]
    connection.close()
    await asyncio.sleep(_SETTLING_S)
    percent = await _cpu_percent(server)
    report.bound(f"{WORKSPACES:,} idle workspaces on {engine}, of a core", percent, "%", CPU_PERCENT)
    connection = await Connection.open(
        "127.0.0.1", server.port
    )  # the server closes one that was idle so long
    late = await _lateness(connection, tokens[:: len(tokens) // _LEASES][:_LEASES])
    name = f"expiry of {_LEASES} leases behind their time on {engine}"
    report.note(f"{name}, p50", statistics.median(late), "s")
    report.bound(f"{name}, longest", max(late), "s", LATE_S)
    connection.close()


async def _cpu_percent(server: Running) -> float:
    """The share of one core that the server uses while nobody calls it."""
    process = psutil.Process(server.process.pid)
    before, begun = process.cpu_times(), time.perf_counter()
    await asyncio.sleep(IDLE_S)
    after = process.cpu_times()
    used_s = after.user + after.system - before.user - before.system
    return 100 * used_s / (time.perf_counter() - begun)


async def _lateness(connection: Connection, tokens: Sequence[str]) -> list[float]:
    """How many seconds behind its end each lease expired, one in each workspace."""
    for token in tokens:
        agent = (await _post(connection, "/v1/agents/register", token, name="holder"))["token"]
        await _post(connection, "/v1/locks/acquire", agent, resources=["src/app.py"], ttl_s=_TTL_S)
    return [await _expired(connection, token) for token in tokens]


async def _expired(connection: Connection, token: str) -> float:
    ends = time.perf_counter() + _EXPIRED_S_MAX
    while time.perf_counter() < ends:
        await asyncio.sleep(0.5)
        found = await _answer(connection, request("GET", "/v1/events?type=lease.expired", token))
        for event in found["items"]:
            (lease,) = event["data"]["leases"]
            return (_moment(event["at"]) - _moment(lease["expires_at"])).total_seconds()
    raise RuntimeError(f"a lease did not expire within {_EXPIRED_S_MAX:g} s")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def _post(connection: Connection, path: str, token: str, **body: object) -> Any:
    return await _answer(connection, request("POST", path, token, json.dumps(body).encode()))


async def _answer(connection: Connection, raw: bytes) -> Any:
    status, answer = await connection.request(raw)
    assert status < 300, answer
    return json.loads(answer)
