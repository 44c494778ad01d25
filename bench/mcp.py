"""Requests of the stateless revision of MCP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MODERN = "2026-07-28"


def rpc(method: str, params: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
    """The headers and the body of a request; `Content-Type` and who speaks are its sender's to add."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": MODERN,
        "Mcp-Method": method,
    }
    if "name" in params:
        headers["Mcp-Name"] = params["name"]
    return headers, json.dumps(body).encode()
