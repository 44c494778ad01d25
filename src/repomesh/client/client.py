"""The typed async client: one method for every operation, with retries that can't act twice."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote, urlsplit

from repomesh.client import discovery
from repomesh.client.catalogue import OperationDescription, operation
from repomesh.client.errors import (
    MissingField,
    NoAnswer,
    RemoteError,
    ServerFrozen,
    ServerUnreachable,
    TextNotUtf8,
    UnusableAddress,
)
from repomesh.client.local_http import LocalHTTP, LocalResponse
from repomesh.kernel.data_folder import LOOPBACK_HOSTS

if TYPE_CHECKING:
    import httpx
    from pydantic import BaseModel

T = TypeVar("T")

ATTEMPTS = 3  # a server that restarts is back within a second or two
PAUSE_S = 0.3
CONNECT_S = 5.0
ANSWER_S = 65.0  # the longest wait that a server grants is 50 s
SILENCE_S = 10.0  # without an answer, then the server is asked whether it is well
HEALTH_S = 10.0  # for that answer; a machine that is busy with everything else needs some seconds


class Client:
    """Speaks to one server as one principal. Use it as an async context manager.

    Every command carries an Idempotency-Key and is sent again under it when the connection breaks, so it
    acts once. Refusals are raised as RemoteError, silence as ServerUnreachable or ServerFrozen.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        agent: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        served_url: Callable[[], str | None] | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        if agent:
            self._headers["X-Repomesh-Agent"] = agent
        self._transport = transport  # a server in this process has one of its own
        self._served_url = served_url
        self._http: httpx.AsyncClient | None = None
        self._local: LocalHTTP | None = None
        if transport is None and LocalHTTP.reaches(self.url):
            self._local = LocalHTTP(self.url, served_url, connect_s=CONNECT_S, answer_s=ANSWER_S)
        else:
            self._http = self._open_http()  # raises for a URL that is none

    @property
    def http(self) -> httpx.AsyncClient:
        """The client of the HTTP library, with the same address and headers: for streams and other pages."""
        if self._http is None:
            self._http = self._open_http()
        return self._http

    def act_as(self, agent: str | None) -> None:
        """Send further requests as this agent, by name or id; None acts as the token's own principal."""
        for headers in (self._headers, *([self._http.headers] if self._http is not None else [])):
            headers.pop("X-Repomesh-Agent", None)
            if agent is not None:
                headers["X-Repomesh-Agent"] = agent

    def _open_http(self) -> httpx.AsyncClient:
        import httpx  # takes longer to load than most commands to run (see `local_http`)

        from repomesh.kernel.running_server import redirect_hooks

        try:
            httpx.URL(self.url)
        except httpx.InvalidURL as error:
            raise UnusableAddress(f"'{self.url}' is no server's URL: {error}") from None
        return httpx.AsyncClient(
            base_url=self.url,
            headers=self._headers,
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            trust_env=urlsplit(self.url).hostname not in LOOPBACK_HOSTS,  # no proxies on loopback
            verify=self.url.startswith("https:"),  # making a TLS context takes 20 ms
            transport=self._transport,
            event_hooks=redirect_hooks(self._served_url),
        )

    @classmethod
    def discovered(
        cls,
        *,
        url: str | None = None,
        token: str | None = None,
        agent: str | None = None,
        data: Path | None = None,
    ) -> Self:
        """A client of the server that `discovery.find` returns; raises what that raises."""
        address = discovery.find(url=url, token=token, agent=agent, data=data)
        return cls(address.url, address.token, address.agent, served_url=address.served_url)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, type_: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._local is not None:
            await self._local.aclose()
        if self._http is not None:
            await self._http.aclose()

    async def call(self, name: str, /, **fields: Any) -> BaseModel:
        """Run an operation; returns its result model. Fields that a newer server adds are ignored."""
        return await self.call_model(name, fields)

    async def call_model(
        self, name: str, fields: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> BaseModel:
        """Run an operation with fields of JSON values; otherwise like `call`.

        Raises RemoteError for an answer that the model refuses, as of a server of another release.
        """
        description = operation(name)
        answer = await self._send(description, fields, idempotency_key)
        _require_fields(answer, description.answers)
        try:
            return description.result_model().model_validate_json(answer.content, extra="ignore")
        except ValueError as error:
            raise RemoteError.not_repomesh(answer.status_code) from error

    async def call_json(
        self, name: str, fields: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Any:
        """Run an operation; returns its result as plain JSON, just as the server sent it."""
        description = operation(name)
        return _require_fields(await self._send(description, fields, idempotency_key), description.answers)

    async def about(self, page: str) -> dict[str, Any]:
        """The JSON of a page about the server itself: '/healthz' or '/readyz'."""
        answer = await self._send_with_retries("GET", page, {})
        if not answer.is_success:
            raise RemoteError.from_response(answer)
        return _require_fields(answer, ("status", "version"))

    async def items(self, name: str, /, **fields: Any) -> AsyncIterator[Any]:
        """Yield every item of a list, as plain JSON, page after page."""
        while True:
            page = await self.call_json(name, fields)
            for item in page["items"]:
                yield item
            if page.get("next_cursor") is None:
                return
            fields["cursor"] = page["next_cursor"]

    async def _send(
        self, description: OperationDescription, fields: Mapping[str, Any], idempotency_key: str | None = None
    ) -> LocalResponse | httpx.Response:
        path, other_fields = _fill_path(description, fields)
        request: dict[str, Any] = {"headers": {}}
        if description.has_body:
            request["json"] = other_fields
        else:
            request["params"] = query(other_fields)
        if description.kind == "command":
            request["headers"]["Idempotency-Key"] = idempotency_key or str(uuid.uuid4())
        try:
            response = await self._send_with_retries(description.method, path, request)
        except UnicodeEncodeError:
            raise TextNotUtf8(f"{description.name}: a text holds bytes that are not UTF-8") from None
        if not response.is_success:
            raise RemoteError.from_response(response)
        return response

    async def _send_with_retries(
        self, method: str, path: str, request: dict[str, Any]
    ) -> LocalResponse | httpx.Response:
        """Send, and send again when the connection breaks: reading is harmless, and a command has its key."""
        attempt = 1
        while True:
            try:
                return await self._await_unless_frozen(self._exchange(method, path, **request))
            except NoAnswer as error:
                if attempt == ATTEMPTS:
                    raise ServerUnreachable(f"no answer from {self.url}: {error}") from error
            await asyncio.sleep(PAUSE_S * attempt)
            attempt += 1

    async def _await_unless_frozen(self, exchange: Coroutine[Any, Any, T]) -> T:
        """Await a response, however long it takes, as long as the server answers others.

        Raises ServerFrozen when it does not: its process is stopped or overloaded.
        """
        response = asyncio.ensure_future(exchange)
        try:
            finished, _ = await asyncio.wait({response}, timeout=SILENCE_S)
            if not finished:
                await self._require_answer()
            return await response
        finally:
            response.cancel()

    async def _require_answer(self) -> None:
        try:
            async with asyncio.timeout(HEALTH_S):
                await self._exchange("GET", "/healthz")
        except TimeoutError:
            silence_s = SILENCE_S + HEALTH_S
            raise ServerFrozen(
                f"{self.url} accepts connections and has answered nothing for {silence_s:.0f} s"
            ) from None

    async def _exchange(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Sequence[tuple[str, str]] = (),
        json: object = None,
    ) -> LocalResponse | httpx.Response:
        """Send one request; raises NoAnswer when no response comes."""
        if self._local is not None:
            all_headers = {**self._headers, **(headers or {})}
            return await self._local.request(method, path, headers=all_headers, params=params, json_body=json)
        import httpx

        try:
            return await self.http.request(method, path, headers=headers, params=tuple(params), json=json)
        except httpx.TransportError as error:
            raise NoAnswer(str(error) or type(error).__name__) from error


def _require_fields(answer: LocalResponse | httpx.Response, fields: Sequence[str]) -> dict[str, Any]:
    """The JSON of an answer; raises RemoteError for one without these fields, as of a foreign server."""
    try:
        result = answer.json()
    except ValueError:
        result = None
    if not isinstance(result, dict) or not result.keys() >= set(fields):
        raise RemoteError.not_repomesh(answer.status_code)
    if "items" in fields and not isinstance(result["items"], list):
        raise RemoteError.not_repomesh(answer.status_code)
    return result


def _fill_path(description: OperationDescription, fields: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The path with its fields filled in, and the remaining fields; raises MissingField."""
    other_fields = dict(fields)
    defaults = {field.name: field.default for field in description.fields}

    def fill(match: re.Match[str]) -> str:
        value = other_fields.pop(match[1], defaults.get(match[1]))
        if value is None:
            raise MissingField(f"{description.name} needs '{match[1]}'")
        return quote(str(value), safe="")

    return re.sub(r"{(\w+)}", fill, description.path), other_fields


def query(fields: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return query parameters: a list is repeated, bools are 'true' or 'false', None is left out."""
    values = [
        (name, value)
        for name, field_value in fields.items()
        if field_value is not None
        for value in (field_value if isinstance(field_value, list | tuple) else [field_value])
    ]
    return tuple(
        (name, str(value).lower() if isinstance(value, bool) else str(value)) for name, value in values
    )
