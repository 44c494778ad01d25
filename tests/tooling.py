"""Speaks MCP: plain requests of both revisions, and the official client over HTTP and through the proxy."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import httpx2
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import Implementation

from harness import Speaker

STATELESS = "2026-07-28"
OLDER = "2025-06-18"
MODES = (STATELESS, "legacy", "auto")
"""How the official client may connect: pinned, with the older handshake, by asking the server."""

_ACCEPT = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
_META = {
    "io.modelcontextprotocol/protocolVersion": STATELESS,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "tester", "version": "1"},
}


class ToolRefused(Exception):
    """A tool answered an error."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(f"{body['code']}: {body['message']}")
        self.body = body
        self.code = body["code"]


def told(result: dict[str, Any]) -> Any:
    """What the result of a call says; raises ToolRefused."""
    body = json.loads(result["content"][0]["text"])
    if result.get("isError"):
        raise ToolRefused(body)
    return body


def line(method: str, *, stateless: bool = True, id_: int = 1, meta: Any = None, **params: Any) -> Any:
    """One JSON-RPC request."""
    if stateless or meta:
        params["_meta"] = (_META if stateless else {}) | (meta or {})
    return {"jsonrpc": "2.0", "id": id_, "method": method, "params": params}


async def ask(
    speaker: Speaker, method: str, *, headers: dict[str, str] | None = None, meta: Any = None, **params: Any
) -> httpx.Response:
    """A request of the stateless revision."""
    addressed = {"MCP-Protocol-Version": STATELESS, "Mcp-Method": method}
    if "name" in params:
        addressed["Mcp-Name"] = params["name"]
    body = line(method, meta=meta, **params)
    return await speaker.request("POST", "/mcp", json=body, headers=_ACCEPT | addressed | (headers or {}))


async def call(
    speaker: Speaker, tool: str, /, headers: dict[str, str] | None = None, meta: Any = None, **arguments: Any
) -> Any:
    """Call a tool in the stateless revision; raises ToolRefused."""
    answer = await ask(speaker, "tools/call", headers=headers, meta=meta, name=tool, arguments=arguments)
    assert answer.status_code == 200, answer.text
    return told(answer.json()["result"])


class Session:
    """A session of the older handshake, spoken by hand."""

    def __init__(self, speaker: Speaker, headers: dict[str, str]) -> None:
        self.speaker = speaker
        self.headers = headers

    @classmethod
    async def open(cls, speaker: Speaker, headers: dict[str, str] | None = None) -> Session:
        who = {"name": "tester", "version": "1"}
        hello = line("initialize", stateless=False, protocolVersion=OLDER, capabilities={}, clientInfo=who)
        answer = await speaker.request("POST", "/mcp", json=hello, headers=_ACCEPT | (headers or {}))
        assert answer.status_code == 200, answer.text
        session = {
            "Mcp-Session-Id": answer.headers["mcp-session-id"],
            "MCP-Protocol-Version": OLDER,
            **(headers or {}),
        }
        ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        await speaker.request("POST", "/mcp", json=ready, headers=_ACCEPT | session)
        return cls(speaker, session)

    async def ask(self, method: str, *, speaker: Speaker | None = None, **params: Any) -> httpx.Response:
        """A request in the session, by its opener or by somebody else."""
        body = line(method, stateless=False, **params)
        who = speaker or self.speaker
        return await who.request("POST", "/mcp", json=body, headers=_ACCEPT | self.headers)

    async def call(self, tool: str, /, meta: Any = None, **arguments: Any) -> Any:
        """Call a tool; raises ToolRefused."""
        answer = await self.ask("tools/call", meta=meta, name=tool, arguments=arguments)
        assert answer.status_code == 200, answer.text
        data = [part[6:] for part in answer.text.splitlines() if part.startswith("data: {")]
        return told(json.loads(data[-1])["result"])

    async def close(self) -> httpx.Response:
        """End it."""
        return await self.speaker.request("DELETE", "/mcp", headers=_ACCEPT | self.headers)


@asynccontextmanager
async def over_http(url: str, token: str, mode: str, **headers: str) -> AsyncIterator[Client]:
    """The official client, over HTTP."""
    sent = {"Authorization": f"Bearer {token}"} | {name.replace("_", "-"): v for name, v in headers.items()}
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx2.AsyncClient(headers=sent, timeout=60, trust_env=False))
        streams: Any = streamable_http_client(f"{url}/mcp", http_client=http)
        yield await stack.enter_async_context(Client(streams, mode=mode, client_info=_WHO))


@asynccontextmanager
async def through_proxy(url: str, token: str, mode: str, agent: str | None = None) -> AsyncIterator[Client]:
    """The official client, through `repomesh mcp`."""
    streams: Any = stdio_client(StdioServerParameters(**proxy_command(url, token, agent)))
    async with Client(streams, mode=mode, client_info=_WHO) as client:
        yield client


def proxy_command(url: str, token: str, agent: str | None = None) -> dict[str, Any]:
    """How the proxy is started."""
    named = ["--agent", agent] if agent is not None else []
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REPOMESH_")}
    return {
        "command": sys.executable,
        "args": ["-m", "repomesh.cli.main", "mcp", *named],
        "env": environment | {"REPOMESH_URL": url, "REPOMESH_TOKEN": token},
    }


async def use(client: Client, tool: str, /, **arguments: Any) -> Any:
    """Call a tool with the official client; raises ToolRefused."""
    result = await client.call_tool(tool, arguments)
    body = json.loads(result.content[0].text)  # type: ignore[union-attr]
    if result.is_error:
        raise ToolRefused(body)
    return body


_WHO = Implementation(name="Test Client", version="1")
