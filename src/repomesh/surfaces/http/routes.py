"""The HTTP API: one route for each path of the registry, one endpoint for all operations."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Iterable, Mapping
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin
from urllib.parse import parse_qsl

import pydantic_core
import structlog
from pydantic import BaseModel
from starlette.routing import Route

from repomesh.kernel.dispatch import Answer
from repomesh.kernel.errors import (
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    RepomeshError,
    UnsupportedMedia,
)
from repomesh.kernel.identity import Caller, RequestContext
from repomesh.kernel.limits import IDEMPOTENCY_KEY_CHARS_MAX
from repomesh.kernel.operation import HttpBinding, Kind, Operation, Payload
from repomesh.kernel.telemetry import is_traceparent, trace_id_of
from repomesh.surfaces.gateway import Gateway
from repomesh.surfaces.http.asgi import JSON, Receive, Scope, Send, header, read_body, respond, respond_empty
from repomesh.surfaces.http.problems import send_problem

log = structlog.get_logger("repomesh.http")

# What is kept of a header must be such as both engines, logs and other headers can carry.
_IDEMPOTENCY_KEY = re.compile(rf"[\x21-\x7e]{{1,{IDEMPOTENCY_KEY_CHARS_MAX}}}")
_CORRELATION_ID = re.compile(r"[\x20-\x7e]{1,128}")
_ETAG = re.compile(r'"(\d{1,15})"')


def routes(gateway: Gateway) -> list[Route]:
    """A route for each path, literal ones before parametrised ones."""
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in gateway.registry:
        if operation.http is not None and operation.kind is not Kind.SUBSCRIPTION:
            by_path.setdefault(operation.http.path, {})[operation.http.method] = operation
    ordered = sorted(by_path, key=lambda path: path.count("{"))
    return [Route(path, PathEndpoint(gateway, by_path[path])) for path in ordered]


class PathEndpoint:
    """All operations of one path, as an ASGI application."""

    def __init__(self, gateway: Gateway, operations: Mapping[str, Operation]) -> None:
        self._gateway = gateway
        self._operations = operations
        self._lists = {name: list_fields(operation.request) for name, operation in operations.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        trace_id = trace_id_of(header(scope, b"traceparent"))
        try:
            method = "GET" if scope["method"] == "HEAD" else scope["method"]
            operation = self._operations.get(method)
            if operation is None or operation.http is None:
                await refuse_method(scope, send, self._operations, trace_id)
                return
            caller = await self._gateway.authenticate(
                header(scope, b"authorization"), header(scope, b"x-repomesh-agent")
            )
            context = request_context(scope, operation.kind, trace_id)
            payload = await self._payload(operation.http, scope, receive)
            answer: Answer | None
            if operation.blocking is None:
                answer = await self._gateway.dispatch(operation, caller, payload, context)
            else:
                answer = await self._wait(operation, caller, payload, context, receive)
            if answer is not None:
                await _send_answer(send, operation.http, answer)
        except RepomeshError as error:
            await send_problem(send, error, trace_id)
        except Exception:  # the edge of the surface: whatever it is, the caller gets a problem document
            log.exception("request failed", path=scope["path"], trace_id=trace_id)
            await send_problem(send, InternalError("the request failed inside the server"), trace_id)

    async def _wait(
        self,
        operation: Operation,
        caller: Caller,
        payload: Payload,
        context: RequestContext,
        receive: Receive,
    ) -> Answer | None:
        def work() -> Coroutine[Any, Any, Answer]:
            return self._gateway.dispatch(operation, caller, payload, context)

        return await _while_connected(self._gateway.revocations.while_valid(caller, work), receive)

    async def _payload(self, binding: HttpBinding, scope: Scope, receive: Receive) -> Payload:
        path_values = scope.get("path_params") or {}
        if not binding.has_body:
            return _joined(query_values(scope, self._lists[binding.method]), path_values)
        _refuse_query(scope)
        body = await read_body(scope, receive, binding.body_bytes_max)
        if body:
            _require_json(scope)
        return _with_path_values(body, path_values) if path_values else body


async def refuse_method(scope: Scope, send: Send, methods: Iterable[str], trace_id: str) -> None:
    """Say which methods a path has: as the answer to OPTIONS, and as a refusal of any other."""
    known = {*methods, "OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
    allow = [(b"allow", ", ".join(sorted(known)).encode())]
    if scope["method"] == "OPTIONS":
        await respond_empty(send, allow)
        return
    refused = MethodNotAllowed(f"{scope['method']} is not a method of this path")
    await send_problem(send, refused, trace_id, allow)


async def _while_connected(work: Coroutine[Any, Any, Answer], receive: Receive) -> Answer | None:
    """The answer of `work`; None when the client went away first, and `work` was given up with it."""
    waiting = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return waiting.result() if waiting.done() else None
    finally:
        for task in (waiting, leaving):
            task.cancel()
        await asyncio.gather(waiting, leaving, return_exceptions=True)


def request_context(scope: Scope, kind: Kind, trace_id: str | None = None) -> RequestContext:
    """What the headers say besides the payload; raises InvalidRequest for one that is malformed."""
    traceparent = header(scope, b"traceparent")
    key = if_match = None
    if kind is Kind.COMMAND:
        key = header(scope, b"idempotency-key")
        if_match = _version(header(scope, b"if-match"))
    if key is not None and _IDEMPOTENCY_KEY.fullmatch(key) is None:
        raise _bad_header(
            "Idempotency-Key", f"must have 1 to {IDEMPOTENCY_KEY_CHARS_MAX} visible ASCII characters"
        )
    correlation = header(scope, b"x-correlation-id")
    if correlation is not None and _CORRELATION_ID.fullmatch(correlation) is None:
        raise _bad_header("X-Correlation-Id", "must have 1 to 128 printable ASCII characters")
    return RequestContext(
        trace_id=trace_id or trace_id_of(traceparent),
        traceparent=traceparent if is_traceparent(traceparent) else None,
        correlation_id=correlation,
        idempotency_key=key,
        if_match=if_match,
    )


def _version(if_match: str | None) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    quoted = _ETAG.fullmatch(if_match.strip())
    if quoted is None:
        raise _bad_header("If-Match", 'must be an ETag as it was answered, such as "3"')
    return int(quoted[1])


def _bad_header(name: str, message: str) -> InvalidRequest:
    return InvalidRequest(
        f"{name}: {message}", errors=[{"field": name, "message": message, "type": "header"}]
    )


def query_values(scope: Scope, lists: frozenset[str]) -> dict[str, Any]:
    """The query as a payload; fields that hold lists may be repeated, others raise InvalidRequest."""
    values: dict[str, Any] = {}
    for name, value in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True):
        if name in lists:
            values.setdefault(name, []).append(value)
        elif name in values:
            raise InvalidRequest(
                f"{name}: given more than once",
                errors=[{"field": name, "message": "given more than once", "type": "repeated"}],
            )
        else:
            values[name] = value
    return values


def _refuse_query(scope: Scope) -> None:
    if not scope["query_string"]:
        return
    names = sorted(name for name, _ in parse_qsl(scope["query_string"].decode("latin-1"), True))
    if names:
        raise InvalidRequest(
            f"{names[0]}: this path takes its fields in the JSON body, not in the query",
            errors=[{"field": name, "message": "not a query parameter", "type": "extra"} for name in names],
        )


def _require_json(scope: Scope) -> None:
    content_type = (header(scope, b"content-type") or "").partition(";")[0].strip().lower()
    if content_type != JSON.decode():
        raise UnsupportedMedia(f"the body is '{content_type or 'of no stated type'}', not application/json")


def _with_path_values(body: bytes, path_values: Mapping[str, str]) -> bytes:
    try:
        fields = pydantic_core.from_json(body or b"{}")
    except ValueError as error:
        raise InvalidRequest(
            f"body: {error}", errors=[{"field": "body", "message": str(error), "type": "json_invalid"}]
        ) from None
    if not isinstance(fields, dict):
        message = "must be a JSON object"
        raise InvalidRequest(
            f"body: {message}", errors=[{"field": "body", "message": message, "type": "type"}]
        )
    return pydantic_core.to_json(_joined(fields, path_values))


def _joined(fields: dict[str, Any], path_values: Mapping[str, str]) -> dict[str, Any]:
    twice = sorted(fields.keys() & path_values.keys())
    if twice:
        message = "stands in the path already"
        raise InvalidRequest(
            f"{twice[0]}: {message}", errors=[{"field": twice[0], "message": message, "type": "extra"}]
        )
    return fields | dict(path_values)


@cache
def list_fields(request: type[BaseModel]) -> frozenset[str]:
    """The fields of a request that hold lists, and so may be repeated in a query."""
    return frozenset(name for name, field in request.model_fields.items() if _is_list(field.annotation))


def _is_list(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, UnionType):
        return any(_is_list(choice) for choice in get_args(annotation))
    if hasattr(annotation, "__metadata__"):
        return _is_list(get_args(annotation)[0])
    return get_origin(annotation) in (list, tuple, set, frozenset)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_answer(send: Send, binding: HttpBinding, answer: Answer) -> None:
    headers: list[tuple[bytes, bytes]] = []
    if "version" in type(answer.result).model_fields:
        headers.append((b"etag", f'"{answer.result.version}"'.encode()))  # type: ignore[attr-defined]
    if answer.replayed:
        headers.append((b"idempotent-replayed", b"true"))
    body = answer.result.__pydantic_serializer__.to_json(answer.result)
    await respond(send, binding.status, body, JSON, headers)


def paths(endpoints: Iterable[Route]) -> list[str]:
    """The paths of routes, for the front page and for tests."""
    return [route.path for route in endpoints]
