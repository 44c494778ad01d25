"""How soon a revoked token's socket is closed and its leases are free."""

from __future__ import annotations

import asyncio
import json
import time

import httpx
import websockets

from bench.messages import register
from bench.report import Report
from bench.servers import Running

AGENTS = 10
LIMIT_MS = 1_000
WAIT_S = 20


def measure(report: Report, server: Running) -> None:
    """Revoke the tokens of several agents, one after the other; the slowest counts."""
    heir = {"Authorization": f"Bearer {register(server, 'heir')}"}
    closed_ms, freed_ms = asyncio.run(_revoke_all(server, heir))
    report.bound(f"socket closed after a revocation, slowest of {AGENTS}", closed_ms, "ms", LIMIT_MS)
    report.bound(f"leases free after a revocation, slowest of {AGENTS}", freed_ms, "ms", LIMIT_MS)


async def _revoke_all(server: Running, heir: dict[str, str]) -> tuple[float, float]:
    owner = {"Authorization": f"Bearer {server.token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=owner, timeout=2 * WAIT_S) as http:
        took = [await _revoke(server, http, f"revoked-{number}", heir) for number in range(AGENTS)]
    return max(closed for closed, _ in took) * 1e3, max(freed for _, freed in took) * 1e3


async def _revoke(
    server: Running, http: httpx.AsyncClient, name: str, heir: dict[str, str]
) -> tuple[float, float]:
    """Seconds from the revocation to the close of the agent's socket, and until another has its lock."""
    made = (await http.post("/v1/agents/register", json={"name": name})).raise_for_status().json()
    bearer = {"Authorization": f"Bearer {made['token']}"}
    path = f"src/{name}.py"
    (await http.post("/v1/locks/acquire", json={"resources": [path]}, headers=bearer)).raise_for_status()
    url = f"ws://127.0.0.1:{server.port}/v1/ws"
    async with websockets.connect(url, additional_headers=bearer) as socket:
        await socket.send(json.dumps({"type": "subscribe"}))
        await socket.recv()
        begun = time.perf_counter()
        (await http.delete(f"/v1/tokens/{made['token_id']}")).raise_for_status()
        await socket.wait_closed()
        closed = time.perf_counter() - begun
    wanted = {"resources": [path], "wait_s": WAIT_S}
    (await http.post("/v1/locks/acquire", json=wanted, headers=heir)).raise_for_status()
    return closed, time.perf_counter() - begun
