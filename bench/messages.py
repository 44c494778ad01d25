"""Durable messages: one at a time and from sixteen senders, over HTTP and over MCP, beside their floors.

Sixteen senders are measured beside two bare routes. The limit was set beside a route of FastAPI, at 8,200
requests/s: that is Starlette with the validation and the documents that our own surface adds to it, too.
Starlette alone answers three times as many; what that ratio is stands in the table without a limit.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.load import Check, Connection, Figures, request, run
from bench.mcp import rpc
from bench.report import Report
from bench.servers import Running

SECONDS = 3.0
ROUNDS = 3  # interleaved, so that a neighbour on the machine falls on both sides alike
SENDERS = 16
_BODY = "The parser now accepts trailing commas; please look at the error path before I merge it. " * 4


def measure(report: Report, server: Running, floor: Running, api: Running, folder: Path) -> None:
    """One sender, sixteen senders, MCP, and the bare group commit."""
    agents = [register(server, f"sender-{number}") for number in range(SENDERS)]
    register(server, "receiver")
    sends = [_http(token) for token in agents]
    bare = [_bare(floor)] * SENDERS
    one, one_floor = _interleaved((server, sends[:1]), (floor, bare[:1]))
    report.add(
        "durable message, one at a time, p50", one.p50_ms, "ms", "bare route", one_floor.p50_ms, at_most=8
    )
    report.note("durable message, one at a time, p99", one.p99_ms, "ms")
    many, api_floor, many_floor = _interleaved((server, sends), (api, bare), (floor, bare))
    name = f"durable messages, {SENDERS} senders"
    report.add(name, many.per_s, "/s", "bare route of FastAPI", api_floor.per_s, at_least=0.15)
    report.add(f"{name} (the same)", many.per_s, "/s", "bare route of Starlette", many_floor.per_s)
    report.note("durable messages, 16 senders, p99", many.p99_ms, "ms")
    report.require("errors among the sent messages", one.errors + many.errors, 0)
    tool, noop = _interleaved((server, [_tool(agents[0])]), (floor, [_noop(floor)]), check=_accepted)
    report.add("durable message over MCP, p50", tool.p50_ms, "ms", "a tool that does nothing", noop.p50_ms)
    report.require("errors among the tool calls", tool.errors, 0)
    report.note("bare group commit, one insert, p50", _commit_p50_ms(folder), "ms")


Side = tuple[Running, list[Callable[[int], bytes]]]


def _accepted(status: int, _body: bytes) -> bool:
    return status < 400


def _identified(status: int, body: bytes) -> bool:
    return status < 400 and "id" in json.loads(body)


def _interleaved(*sides: Side, check: Check = _identified) -> list[Figures]:
    """The medians of several short runs of each, taken in turn."""
    taken: list[list[Figures]] = [[] for _ in sides]
    for _ in range(ROUNDS):
        for (server, senders), figures in zip(sides, taken, strict=True):
            figures.append(asyncio.run(run(server.port, senders, SECONDS, check)))
    return [_median(figures) for figures in taken]


def _median(figures: list[Figures]) -> Figures:
    return Figures(
        statistics.median(one.p50_ms for one in figures),
        statistics.median(one.p95_ms for one in figures),
        statistics.median(one.p99_ms for one in figures),
        statistics.median(one.per_s for one in figures),
        sum(one.errors for one in figures),
    )


def register(server: Running, name: str) -> str:
    """Register an agent; answers its token."""
    token: str = ask(server, "/v1/agents/register", server.token, {"name": name})["token"]
    return token


def ask(server: Running, path: str, token: str, body: dict[str, object] | None = None) -> Any:
    """What the server answers: to a POST of `body`, or to a GET without one."""
    sent = b"" if body is None else json.dumps(body).encode()
    raw = request("GET" if body is None else "POST", path, token, sent)
    status, answer = asyncio.run(once(server.port, raw))
    assert status < 300, answer
    return json.loads(answer)


async def once(port: int, raw: bytes) -> tuple[int, bytes]:
    """The answer to one request over a connection of its own."""
    connection = await Connection.open("127.0.0.1", port)
    try:
        return await connection.request(raw)
    finally:
        connection.close()


def _message(number: int = 0) -> dict[str, object]:
    return {"to": ["receiver"], "subject": f"Parser {number}", "body": _BODY}


def _http(token: str) -> Callable[[int], bytes]:
    return lambda number: request("POST", "/v1/messages", token, json.dumps(_message(number)).encode())


def _bare(floor: Running) -> Callable[[int], bytes]:
    return lambda number: request("POST", "/bare", floor.token, json.dumps(_message(number)).encode())


def _tool(token: str) -> Callable[[int], bytes]:
    return _call("send_message", _message(), token)


def _noop(floor: Running) -> Callable[[int], bytes]:
    return _call("noop", {}, floor.token)


def _call(tool: str, arguments: dict[str, object], token: str) -> Callable[[int], bytes]:
    headers, body = rpc("tools/call", {"name": tool, "arguments": arguments})
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    raw = request("POST", "/mcp", token, body, lines)
    return lambda _number: raw


def _commit_p50_ms(folder: Path) -> float:
    """One insert of 400 bytes in a transaction of its own, with `synchronous=FULL`, on the same disk."""
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, body TEXT)")
    latencies = []
    for _ in range(2_000):
        begun = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO rows (body) VALUES (?)", (_BODY,))
        connection.execute("COMMIT")
        latencies.append(time.perf_counter() - begun)
    connection.close()
    return statistics.median(latencies) * 1e3
