"""A small MCP server over standard input and output, with one tool that answers what it is given."""

from __future__ import annotations

import json
import sys

TOOL = {
    "name": "echo",
    "description": "Answers the words.",
    "inputSchema": {"type": "object", "properties": {"words": {"type": "string"}}, "required": ["words"]},
}


def main() -> None:
    """Answer until the client goes."""
    for line in sys.stdin:
        asked = json.loads(line)
        if "id" not in asked:
            continue
        method = asked["method"]
        if method == "initialize":
            version = asked["params"]["protocolVersion"]
            result = {
                "protocolVersion": version,
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "echo", "version": "1"},
            }
        elif method == "tools/list":
            result = {"tools": [TOOL]}
        elif method == "tools/call":
            result = {"content": [{"type": "text", "text": asked["params"]["arguments"]["words"]}]}
        elif method == "ping":
            result = {}
        else:
            answer = {"error": {"code": -32601, "message": f"no {method}"}}
            print(json.dumps({"jsonrpc": "2.0", "id": asked["id"]} | answer), flush=True)
            continue
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)


if __name__ == "__main__":
    main()
