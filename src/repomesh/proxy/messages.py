"""Parses JSON-RPC messages for the stdio proxy, and converts the server's responses."""

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
"""The parameter that the `Mcp-Name` header repeats, by method."""
UNAVAILABLE: Final = -32000
INVALID: Final = -32600

Headers = dict[str, str]
Json = dict[str, Any]


class RefusedError(Exception):
    """A request was refused; `body` is the error that the client receives."""

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
    """One line of the client, and the parsed parts that the proxy needs."""

    line: bytes
    method: str | None
    id: str | int | None
    params: Json

    @classmethod
    def read(cls, line: bytes) -> ClientMessage:
        """Parse a line; raises ValueError when it is not one JSON-RPC message."""
        if len(line) > LINE_BYTES_MAX:
            raise ValueError(f"the message has more than {LINE_BYTES_MAX} bytes")
        try:
            body = json.loads(line)
        except RecursionError:
            raise ValueError("the message is nested too deep") from None
        if not isinstance(body, dict):
            raise ValueError("not a single JSON-RPC message")
        method, id_, params = body.get("method"), body.get("id"), body.get("params")
        if not isinstance(method, str | None):
            raise ValueError("the method is no string")
        if not isinstance(id_, str | int | None):
            raise ValueError("the id is neither a string nor an integer")
        return cls(line, method, id_, params if isinstance(params, dict) else {})

    @property
    def is_request(self) -> bool:
        """Whether the message needs a response."""
        return self.method is not None and self.id is not None

    @property
    def meta(self) -> Json:
        """The message's `_meta`, empty without one."""
        meta = self.params.get("_meta")
        return meta if isinstance(meta, dict) else {}

    @property
    def revision(self) -> str | None:
        """The stateless revision that the message names; None in the older handshake."""
        version = self.meta.get(VERSION_KEY)
        return version if isinstance(version, str) else None

    @property
    def client_name(self) -> str:
        """The client's name, 'agent' without one."""
        info = self.params.get("clientInfo") if self.method == "initialize" else self.meta.get(CLIENT_KEY)
        return str(info.get("name") or "agent") if isinstance(info, dict) else "agent"

    def stateless_headers(self) -> Headers:
        """The headers that repeat values of the body, which the stateless revision requires."""
        headers = {"MCP-Protocol-Version": self.revision or "", "Mcp-Method": self.method or ""}
        name = self.params.get(NAMED_BY.get(self.method or "", ""))
        return headers | ({"Mcp-Name": header_safe(name)} if isinstance(name, str) else {})


def header_safe(value: str) -> str:
    """Encode a value for a header: printable ASCII unchanged, anything else in base64."""
    if re.fullmatch(r"[\x20-\x7e]*", value) and value == value.strip() and not value.startswith("=?base64?"):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


def refusal_answer(message: ClientMessage, refused: RefusedError) -> Json:
    """The response for a refused request: for a tool call a result that the model reads, else an error."""
    text = json.dumps(refused.body, separators=(",", ":"))
    if message.method == "tools/call":
        content = [{"type": "text", "text": text}]
        extra = {"resultType": "complete"} if message.revision is not None else {}
        return {"result": {**extra, "content": content, "isError": True}}
    shown = f"{refused.body['message']} {refused.body['hint']}".strip()  # all that clients show
    return {"error": {"code": refused.rpc_code, "message": shown, "data": refused.body}}


def is_answer_to(message: ClientMessage, data: bytes) -> bool:
    """Whether `data` is the response to the message, and not a notification before it."""
    try:
        body = json.loads(data)
    except ValueError:
        return False
    return isinstance(body, dict) and body.get("id") == message.id and ("result" in body or "error" in body)


def refusal_of_response(response: httpx.Response, body: bytes) -> RefusedError:
    """The error of an HTTP response without an answer: a problem document, or an error without an id."""
    try:
        problem = json.loads(body)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {}
    error = problem.get("error")
    if isinstance(error, dict) and isinstance(error.get("code"), int):
        error_message = str(error.get("message"))
        return RefusedError("protocol", error_message, rpc_code=error["code"], status=response.status_code)
    code = str(problem.get("code", "unavailable"))
    message = problem.get("detail") or problem.get("title") or f"The server answered {response.status_code}."
    return RefusedError(code, str(message), str(problem.get("hint", "")), status=response.status_code)


LINE_BYTES_MAX = 32 * 1024 * 1024
"""Bytes of one message of a client; the server takes less."""


class LineBuffer:
    """Splits a stream into lines at each LF. A line that comes in many pieces is put together once.

    Of a line that has more than `bytes_max` bytes, if that is given, only the beginning is kept.
    """

    def __init__(self, bytes_max: int | None = None) -> None:
        self._bytes_max = bytes_max
        self._pieces: list[bytes] = []
        self._size = 0

    def take(self, chunk: bytes) -> list[bytes]:
        """The lines that end in the next chunk of the stream."""
        *ends, rest = chunk.split(b"\n")
        lines: list[bytes] = []
        for end in ends:
            self._add(end)
            lines.append(self.rest())
            self._pieces.clear()
            self._size = 0
        self._add(rest)
        return lines

    def _add(self, piece: bytes) -> None:
        if self._bytes_max is None or self._size <= self._bytes_max:
            self._pieces.append(piece)
        self._size += len(piece)

    def rest(self) -> bytes:
        """What stands behind the last line's end."""
        return b"".join(self._pieces)


async def read_events(response: httpx.Response) -> AsyncIterator[bytes]:
    """Yield the data of each server-sent event that has any.

    Lines are split by hand: `aiter_lines` also splits at U+2028 and similar characters inside messages.
    """
    data: list[bytes] = []
    lines = LineBuffer()
    async for chunk in response.aiter_bytes():
        for line in lines.take(chunk):
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
            elif not line:
                if any(data):
                    yield b"\n".join(data)
                data = []


def one_line(body: bytes) -> bytes:
    """Remove the line ends from a JSON body, where they are only white space."""
    return body.replace(b"\r", b"").replace(b"\n", b"")
