"""An MCP server that offers nothing: what a CLI's entry is in repositories that are not connected.

It knows the older handshake alone; a client that asks for more is told that there is no such method.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

_LINE_CHARS_MAX = 1_000_000  # what is asked of a server without tools is short
_NO_METHOD = -32601
_INVALID = -32600


def run() -> None:
    """Serve standard input until it ends."""
    for answer in answers(iter(lambda: sys.stdin.readline(_LINE_CHARS_MAX), "")):
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def answers(lines: Iterable[str]) -> Iterable[dict[str, Any]]:
    """The answer to each line that asks for one."""
    for line in lines:
        try:
            message = json.loads(line)
        except ValueError:
            continue
        if not isinstance(message, dict) or "method" not in message or "id" not in message:
            continue
        yield {"jsonrpc": "2.0", "id": message["id"]} | _answer(message)


def _answer(message: dict[str, Any]) -> dict[str, Any]:
    method, given = message["method"], message.get("params")
    if method == "initialize":
        version = given.get("protocolVersion") if isinstance(given, dict) else None
        if not isinstance(version, str):
            return {"error": {"code": _INVALID, "message": "protocolVersion is missing"}}
        about = {"name": "repomesh", "version": "0", "title": "repomesh (not connected in this folder)"}
        return {"result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": about}}
    if method == "tools/list":
        return {"result": {"tools": []}}
    if method == "ping":
        return {"result": {}}
    return {"error": {"code": _NO_METHOD, "message": f"there is no method {method!r} here"}}
