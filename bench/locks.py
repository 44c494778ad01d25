"""What a check of locks costs with 10,000 locks held: patterns beside a literal path, on both engines."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bench.databases import analyze, new_database
from bench.load import Connection, request
from bench.messages import register
from bench.report import Report
from bench.servers import Running, repomesh
from repomesh.kernel.limits import LIST_ITEMS_MAX, WAIT_S_MAX

LOCKS, PATTERNS, WAITING = 10_000, 100, 500
CALLS = 60
LIMIT_MS = 5.0  # of the median
_HOLDERS, _WAITERS = 6, 3
_LITERAL = "src/part5/new.py"
_CHECKS = (
    *(_LITERAL, "docs/**", "src/**", "src/*", "**/*.md", "**/*.py", "**/file77.py"),
    *("**/Makefile", "src/**/test_*", "**/exact.py", "**/*_test.py", "src/*.py", "**/tests/**", "*.md"),
)


def measure(report: Report, folder: Path) -> None:
    """Both engines, each with the same locks."""
    folder.mkdir()
    with repomesh(folder / "sqlite") as server:
        _measure(report, server, "SQLite")
    with new_database() as url:
        if url is not None:
            with repomesh(folder / "postgresql", database_url=url) as server:
                _measure(report, server, "PostgreSQL", url)


def _measure(report: Report, server: Running, engine: str, url: str | None = None) -> None:
    holders = [register(server, f"holder-{number}") for number in range(_HOLDERS)]
    waiters = [register(server, f"waiter-{number}") for number in range(_WAITERS)]
    asyncio.run(_compare_all(report, server, engine, holders, waiters, register(server, "me"), url))


async def _compare_all(
    report: Report,
    server: Running,
    engine: str,
    holders: Sequence[str],
    waiters: Sequence[str],
    me: str,
    url: str | None,
) -> None:
    files = [f"src/part{number % 97}/file{number}.py" for number in range(LOCKS)]
    await _lock(server, holders, files[:-PATTERNS])
    if url is not None:
        analyze(url)
    await _compare(report, server, me, f"with {LOCKS:,} locks on {engine}")
    await _lock(server, holders[-1:], [f"lib/part{number}/**/*.rs" for number in range(PATTERNS)])
    await _compare(report, server, me, f"{PATTERNS} of them patterns, on {engine}")
    async with _waiting(server, waiters, files[:WAITING]):
        await _compare(report, server, me, f"and {WAITING} waiting, on {engine}")


async def _compare(report: Report, server: Running, token: str, when: str) -> None:
    p50s = await _p50s(server, token)
    floor = p50s.pop(_LITERAL)
    report.bound(f"check of a path {when}, p50", floor, "ms", LIMIT_MS)
    for pattern, p50 in p50s.items():
        report.bound(f"check of {pattern} {when}, p50", p50, "ms", LIMIT_MS, "the path's", floor)


async def _p50s(server: Running, token: str) -> dict[str, float]:
    """The p50 of each check in ms; they take turns, so that noise falls on all."""
    connection = await Connection.open("127.0.0.1", server.port)
    latencies: dict[str, list[float]] = {pattern: [] for pattern in _CHECKS}
    for _ in range(CALLS):
        for pattern, taken in latencies.items():
            body = json.dumps({"resources": [pattern]}).encode()
            start = time.perf_counter()
            status, answer = await connection.request(request("POST", "/v1/locks/check", token, body))
            taken.append(time.perf_counter() - start)
            assert status < 300, answer
    connection.close()
    return {pattern: statistics.median(taken) * 1e3 for pattern, taken in latencies.items()}


async def _lock(server: Running, tokens: Sequence[str], paths: Sequence[str]) -> None:
    connection = await Connection.open("127.0.0.1", server.port)
    for number, start in enumerate(range(0, len(paths), LIST_ITEMS_MAX)):
        body = {"resources": paths[start : start + LIST_ITEMS_MAX], "ttl_s": 3_600}
        status, answer = await connection.request(_acquire(tokens[number % len(tokens)], body))
        assert status < 300, answer
    connection.close()


@asynccontextmanager
async def _waiting(server: Running, tokens: Sequence[str], paths: Sequence[str]) -> AsyncIterator[None]:
    """Requests in the queue for paths that are held, a hundred each, until the block ends."""
    connections, requests = [], []
    for number, start in enumerate(range(0, len(paths), LIST_ITEMS_MAX)):
        connections.append(await Connection.open("127.0.0.1", server.port))
        body = {"resources": paths[start : start + LIST_ITEMS_MAX], "wait_s": WAIT_S_MAX}
        raw = _acquire(tokens[number % len(tokens)], body)
        requests.append(asyncio.create_task(connections[-1].request(raw)))
    await asyncio.sleep(1)
    assert not any(one.done() for one in requests), "a request does not wait"
    try:
        yield
    finally:
        for one in requests:
            one.cancel()
        for connection in connections:
            connection.close()


def _acquire(token: str, body: dict[str, object]) -> bytes:
    return request("POST", "/v1/locks/acquire", token, json.dumps(body).encode())
