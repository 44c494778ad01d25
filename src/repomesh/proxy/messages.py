"""What the stdio proxy reads of a JSON-RPC message, and what it makes of the server's answers."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import httpx

VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
CLIENT_KEY: Final = "io.modelcontextprotocol/clientInfo"
NAMED_BY: Final = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
"""Which parameter the `Mcp-Name` header repeats."""
UNAVAILABLE: Final = -32000
INVALID: Final = -32600

Headers = dict[str, str]
Json = dict[str, Any]


class RefusedError(Exception):
    """A request that ends here, with what the client is told about it."""

    def __init__(
        self,
        code: str,
        message: str,
        hint: str = "",
        *,
        rpc_code: int = UNAVAILABLE,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.rpc_code = rpc_code
        self.status = status  # of the HTTP answer that it came with
        self.body = {"code": code, "message": message, "hint": hint}


class SessionLostError(RefusedError):
    """The server does not know the session (any more): it was restarted, or the session was idle for long."""

    def __init__(self) -> None:
        super().__init__("unavailable", "The server lost the session.", "Call again.")


@dataclass
class ClientMessage:
    """One line of the client, and what had to be read of it."""

    line: bytes
    method: str | None
    id: str | int | None
    params: Json

    @classmethod
    def read(cls, line: bytes) -> ClientMessage:
        """Raises ValueError when the line is not one JSON-RPC message."""
        body = json.loads(line)
        if not isinstance(body, dict):
            raise ValueError("not a single JSON-RPC message")
        params = body.get("params")
        return cls(line, body.get("method"), body.get("id"), params if isinstance(params, dict) else {})

    @property
    def is_request(self) -> bool:
        """Whether an answer is owed."""
        return self.method is not None and self.id is not None

    @property
    def meta(self) -> Json:
        """What travels with the message besides its parameters."""
        meta = self.params.get("_meta")
        return meta if isinstance(meta, dict) else {}

    @property
    def revision(self) -> str | None:
        """The stateless revision that the message names; None in the older handshake."""
        version = self.meta.get(VERSION_KEY)
        return version if isinstance(version, str) else None

    @property
    def client_name(self) -> str:
        """What the client calls itself."""
        info = self.params.get("clientInfo") if self.method == "initialize" else self.meta.get(CLIENT_KEY)
        return str(info.get("name") or "agent") if isinstance(info, dict) else "agent"

    def stateless_headers(self) -> Headers:
        """The headers that repeat what the body says, which the stateless revision demands."""
        headers = {"MCP-Protocol-Version": self.revision or "", "Mcp-Method": self.method or ""}
        name = self.params.get(NAMED_BY.get(self.method or "", ""))
        return headers | ({"Mcp-Name": header_safe(name)} if isinstance(name, str) else {})


def header_safe(value: str) -> str:
    """A value as a header can carry it: printable ASCII as it is, anything else in base64."""
    if re.fullmatch(r"[\x20-\x7e]*", value) and value == value.strip() and not value.startswith("=?base64?"):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


def refusal_answer(message: ClientMessage, refused: RefusedError) -> Json:
    """How a client learns of a refusal: of a tool call as a result that the model reads, else as an error."""
    text = json.dumps(refused.body, separators=(",", ":"))
    if message.method == "tools/call":
        content = [{"type": "text", "text": text}]
        extra = {"resultType": "complete"} if message.revision is not None else {}
        return {"result": {**extra, "content": content, "isError": True}}
    shown = f"{refused.body['message']} {refused.body['hint']}".strip()  # people see no more than this
    return {"error": {"code": refused.rpc_code, "message": shown, "data": refused.body}}


def answers(message: ClientMessage, data: bytes) -> bool:
    """Whether this is the answer to the message, and not a notification on the way to it."""
    try:
        body = json.loads(data)
    except ValueError:
        return False
    return isinstance(body, dict) and body.get("id") == message.id and ("result" in body or "error" in body)


def refusal(response: httpx.Response, body: bytes) -> RefusedError:
    """What to tell of an HTTP answer that answers no request: a problem document, an error without an id."""
    try:
        problem = json.loads(body)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {}
    error = problem.get("error")
    if isinstance(error, dict) and isinstance(error.get("code"), int):
        said = str(error.get("message"))
        return RefusedError("protocol", said, rpc_code=error["code"], status=response.status_code)
    code = str(problem.get("code", "unavailable"))
    message = problem.get("detail") or problem.get("title") or f"The server answered {response.status_code}."
    return RefusedError(code, str(message), str(problem.get("hint", "")), status=response.status_code)


async def events(response: httpx.Response) -> AsyncIterator[bytes]:
    """The data of each server-sent event that has any.

    Lines are split by hand: `aiter_lines` splits at U+2028 and its like too, which stand in messages.
    """
    data: list[bytes] = []
    rest = b""
    async for chunk in response.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
            elif not line:
                if any(data):
                    yield b"\n".join(data)
                data = []


def one_line(body: bytes) -> bytes:
    """A body without line ends, which are only white space in JSON."""
    return body.replace(b"\r", b"").replace(b"\n", b"")
