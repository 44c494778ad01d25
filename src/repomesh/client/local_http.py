"""HTTP/1.1 to a server on this machine, without the general HTTP library.

Loading httpx takes longer than most commands run. On loopback its further features are of no use: proxies,
TLS, redirects and compression. Streams and other addresses use httpx.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import urlencode, urlsplit

from httptools import HttpParserError, HttpResponseParser

from repomesh.client.errors import NoAnswer, UnusableAddress
from repomesh.kernel.data_folder import LOOPBACK_HOSTS

CONNECTIONS_MAX: Final = 100
"""Requests at a time, as many as httpx allows; further ones wait."""
_READ_BYTES: Final = 1 << 16


@dataclass(slots=True)
class LocalResponse:
    """A response: its status, its media type and its body."""

    status_code: int
    content: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status_code < 300

    def json(self) -> Any:
        """Return the body's JSON; raises ValueError if it is none."""
        return json.loads(self.content)


class LocalHTTP:
    """Requests to one server, over connections that are kept for the next ones.

    `served_url` returns the server's current URL, or None while it does not run: nothing is sent then.
    """

    def __init__(
        self, url: str, served_url: Callable[[], str | None] | None, *, connect_s: float, answer_s: float
    ) -> None:
        self._url = url
        self._served_url = served_url or (lambda: url)
        self._connect_s, self._answer_s = connect_s, answer_s
        self._idle: dict[str, list[_Connection]] = {}
        self._room = asyncio.Semaphore(CONNECTIONS_MAX)

    @staticmethod
    def reaches(url: str) -> bool:
        """Whether `url` is one of plain HTTP on loopback."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:  # a port that is none
            return False
        is_bare = not (parts.username or parts.password or parts.query or parts.fragment) and url.isascii()
        return parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS and port != 0 and is_bare

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        params: Sequence[tuple[str, str]] = (),
        json_body: object = None,
    ) -> LocalResponse:
        """Send one request and return its response, whatever its status.

        Raises NoAnswer if the server does not run, the connection breaks or the time is over, and
        UnusableAddress for a header that can't be sent.
        """
        body = b"" if json_body is None else _encode_json(json_body)
        query = f"?{urlencode(params)}" if params else ""
        async with self._room:
            origin = self._served_url()
            if origin is None:
                raise NoAnswer("the server of the data folder does not run")
            target = f"{urlsplit(self._url).path.rstrip('/')}{path}{query}"
            all_headers = {"Host": urlsplit(origin).netloc, "Accept": "application/json", **headers}
            if json_body is not None:
                all_headers["Content-Type"] = "application/json"
            if body or method != "GET":
                all_headers["Content-Length"] = str(len(body))
            try:
                return await self._exchange(origin, _format_head(method, target, all_headers) + body)
            except TimeoutError:
                raise NoAnswer("it takes too long") from None
            except (OSError, HttpParserError) as error:
                raise NoAnswer(str(error) or type(error).__name__) from error

    async def aclose(self) -> None:
        """Close the connections that are not in use."""
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    async def _exchange(self, origin: str, request: bytes) -> LocalResponse:
        idle = self._idle.setdefault(origin, [])
        connection = None
        while idle and connection is None:
            connection = idle.pop()
            if connection.is_over():
                connection.close()
                connection = None
        if connection is None:
            async with asyncio.timeout(self._connect_s):
                connection = await _Connection.opened(origin)
        keep_alive = False
        try:
            response, keep_alive = await connection.exchanged(request, self._answer_s)
            return response
        finally:
            if keep_alive:
                idle.append(connection)
            else:  # a broken or half-read connection is of no use for another request
                connection.close()


@dataclass(slots=True)
class _Connection:
    """One connection; it carries one request at a time."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def opened(cls, origin: str) -> Self:
        parts = urlsplit(origin)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port or 80))

    def is_over(self) -> bool:
        """Whether the server has closed it."""
        return self.reader.at_eof() or self.writer.is_closing()

    def close(self) -> None:
        with suppress(RuntimeError):  # the event loop that it belongs to is over
            self.writer.close()

    async def exchanged(self, request: bytes, silence_s: float) -> tuple[LocalResponse, bool]:
        """Send a request; return its response, and whether the connection can carry another.

        Raises ConnectionResetError when the server closes within the response, and TimeoutError when it says
        nothing for `silence_s` seconds.
        """
        response = _Response()
        parser = HttpResponseParser(response)
        self.writer.write(request)
        async with asyncio.timeout(silence_s):
            await self.writer.drain()
        while not response.is_complete:
            async with asyncio.timeout(silence_s):
                data = await self.reader.read(_READ_BYTES)
            if not data:
                if response.ends_with_connection:
                    break
                raise ConnectionResetError("the server closed the connection")
            parser.feed_data(data)
            response.status = parser.get_status_code()
        keep_alive = response.is_complete and parser.should_keep_alive()
        return LocalResponse(response.status, b"".join(response.body)), keep_alive


@dataclass(slots=True)
class _Response:
    """What the parser reports of a response; the names of its methods are the parser's."""

    status: int = 0
    body: list[bytes] = field(default_factory=list)
    is_complete: bool = False
    has_headers: bool = False
    has_length: bool = False

    @property
    def ends_with_connection(self) -> bool:
        """Whether nothing but the end of the connection ends its body."""
        return self.has_headers and not self.has_length

    def on_header(self, name: bytes, value: bytes) -> None:
        self.has_length = self.has_length or name.lower() in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        self.has_headers = True

    def on_body(self, data: bytes) -> None:
        self.body.append(data)

    def on_message_complete(self) -> None:
        self.is_complete = True


def _encode_json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _format_head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if not all(line.isascii() and line.isprintable() for line in lines):
        raise UnusableAddress("the token, the agent's name or the URL holds characters that none has")
    return "\r\n".join([*lines, "", ""]).encode("ascii")
