"""An MCP server without tools, for a CLI's entry in repositories that are not connected.

It supports the older handshake only; any other method is answered with an error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

_LINE_CHARS_MAX = 1_000_000  # requests to a server without tools are short
_NO_METHOD = -32601
_INVALID = -32600


def run() -> None:
    """Serve standard input until it ends."""
    for answer in answers(iter(lambda: sys.stdin.readline(_LINE_CHARS_MAX), "")):
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def answers(lines: Iterable[str]) -> Iterable[dict[str, Any]]:
    """The response to each line that is a request."""
    for line in lines:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(message, dict) or "method" not in message or "id" not in message:
            continue
        yield {"jsonrpc": "2.0", "id": message["id"]} | _answer(message)


def _answer(message: dict[str, Any]) -> dict[str, Any]:
    method, params = message["method"], message.get("params")
    if method == "initialize":
        version = params.get("protocolVersion") if isinstance(params, dict) else None
        if not isinstance(version, str):
            return {"error": {"code": _INVALID, "message": "protocolVersion is missing"}}
        info = {"name": "repomesh", "version": "0", "title": "repomesh (not connected in this folder)"}
        return {"result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}}
    if method == "tools/list":
        return {"result": {"tools": []}}
    if method == "ping":
        return {"result": {}}
    return {"error": {"code": _NO_METHOD, "message": f"there is no method {method!r} here"}}
