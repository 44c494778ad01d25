"""The typed async client: one method for every operation, with retries that can't act twice."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlsplit

import httpx

from repomesh.client import discovery
from repomesh.client.catalogue import Described, operation
from repomesh.client.errors import MissingField, RemoteError, ServerUnreachable
from repomesh.kernel.places import LOOPBACK_HOSTS

if TYPE_CHECKING:
    from pydantic import BaseModel

ATTEMPTS = 3  # a server that restarts is back within a second or two
PAUSE_S = 0.3
CONNECT_S = 5.0
ANSWER_S = 65.0  # the longest wait that a server grants is 50 s


class Client:
    """Speaks to one server as one principal. Use it as an async context manager.

    Every command carries an Idempotency-Key and is sent again under it when the connection breaks, so it
    acts once. Refusals are raised as RemoteError, silence as ServerUnreachable.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        agent: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if agent:
            headers["X-Repomesh-Agent"] = agent
        self.http = httpx.AsyncClient(
            base_url=self.url,
            headers=headers,
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            trust_env=urlsplit(url).hostname not in LOOPBACK_HOSTS,  # a proxy has no business on loopback
            verify=url.startswith("https:"),  # making a TLS context takes 20 ms
            transport=transport,  # a server in this process has one of its own
        )

    @classmethod
    def discovered(
        cls, *, url: str | None = None, agent: str | None = None, data: Path | None = None
    ) -> Self:
        """A client of the server that the environment or the repository names; raises ServerNotFound."""
        address = discovery.find(url=url, agent=agent, data=data)
        return cls(address.url, address.token, address.agent)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, type_: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def call(self, name: str, /, **fields: Any) -> BaseModel:
        """Run an operation; answers its result model. Fields that a newer server adds are ignored."""
        described = operation(name)
        answer = await self._send(described, fields)
        return described.result_model().model_validate_json(answer.content, extra="ignore")

    async def call_json(
        self, name: str, fields: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Any:
        """Run an operation; answers its result as plain JSON, just as the server sent it."""
        return (await self._send(operation(name), fields, idempotency_key)).json()

    async def items(self, name: str, /, **fields: Any) -> AsyncIterator[Any]:
        """Every item of a list, as plain JSON, page after page."""
        while True:
            page = await self.call_json(name, fields)
            for item in page["items"]:
                yield item
            if page.get("next_cursor") is None:
                return
            fields["cursor"] = page["next_cursor"]

    async def _send(
        self, described: Described, fields: Mapping[str, Any], idempotency_key: str | None = None
    ) -> httpx.Response:
        path, rest = _path(described, fields)
        request: dict[str, Any] = {"headers": {}}
        if described.has_body:
            request["json"] = rest
        else:
            request["params"] = query(rest)
        if described.kind == "command":
            request["headers"]["Idempotency-Key"] = idempotency_key or str(uuid.uuid4())
        response = await self._patiently(described.method, path, request)
        if response.status_code >= 400:
            raise RemoteError.from_response(response)
        return response

    async def _patiently(self, method: str, path: str, request: dict[str, Any]) -> httpx.Response:
        """Send, and send again when the connection breaks: reading is harmless, and a command has its key."""
        attempt = 1
        while True:
            try:
                return await self.http.request(method, path, **request)
            except httpx.TransportError as error:
                if attempt == ATTEMPTS:
                    reason = str(error) or type(error).__name__
                    raise ServerUnreachable(f"no answer from {self.url}: {reason}") from error
            await asyncio.sleep(PAUSE_S * attempt)
            attempt += 1


def _path(described: Described, fields: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The path with its fields filled in, and the fields that are left."""
    rest = dict(fields)
    defaults = {field.name: field.default for field in described.fields}

    def filled(match: re.Match[str]) -> str:
        value = rest.pop(match[1], defaults.get(match[1]))
        if value is None:
            raise MissingField(f"{described.name} needs '{match[1]}'")
        return quote(str(value), safe="")

    return re.sub(r"{(\w+)}", filled, described.path), rest


def query(fields: Mapping[str, Any]) -> httpx.QueryParams:
    """Query parameters: a list is repeated, a truth is 'true' or 'false', what is None is left out."""
    values = [
        (name, value)
        for name, given in fields.items()
        if given is not None
        for value in (given if isinstance(given, list | tuple) else [given])
    ]
    return httpx.QueryParams(
        [(name, str(value).lower() if isinstance(value, bool) else str(value)) for name, value in values]
    )
