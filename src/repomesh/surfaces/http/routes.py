"""The HTTP API: one route for each path of the registry, one endpoint for all operations."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from functools import cache, partial
from types import UnionType
from typing import Any, Union, get_args, get_origin
from urllib.parse import parse_qsl

import pydantic_core
import structlog
from pydantic import BaseModel
from starlette.routing import Route

from repomesh.kernel.dispatch import OperationResult, encode
from repomesh.kernel.errors import (
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    RepomeshError,
    UnsupportedMedia,
)
from repomesh.kernel.identity import Caller, RequestContext
from repomesh.kernel.json_text import check_json_structure, run_off_loop_if_large
from repomesh.kernel.limits import (
    IDEMPOTENCY_KEY_CHARS_MAX,
    PROBLEM_FIELD_CHARS_MAX,
    PROBLEM_FIELDS_MAX,
    QUERY_FIELDS_MAX,
)
from repomesh.kernel.operation import HttpBinding, Kind, Operation, Payload
from repomesh.kernel.telemetry import trace_id_of, traced_context
from repomesh.surfaces.gateway import Gateway
from repomesh.surfaces.http.asgi_messages import (
    JSON,
    Count,
    Receive,
    Scope,
    Send,
    header,
    read_body,
    respond,
    respond_empty,
)
from repomesh.surfaces.http.authentication import agent_from_header, authenticate, bad_header
from repomesh.surfaces.http.problems import send_problem

log = structlog.get_logger("repomesh.http")

# Header values that are stored must be valid in both databases, in logs and in other headers.
_IDEMPOTENCY_KEY = re.compile(rf"[\x21-\x7e]{{1,{IDEMPOTENCY_KEY_CHARS_MAX}}}")
_CORRELATION_ID = re.compile(r"[\x20-\x7e]{1,128}")
_ETAG = re.compile(r'"(\d{1,15})"')


def routes(gateway: Gateway) -> list[Route]:
    """One route for each path of the registry, literal paths before parametrised ones."""
    operations_by_path: dict[str, dict[str, Operation]] = {}
    for operation in gateway.registry:
        if operation.http is not None and operation.kind is not Kind.SUBSCRIPTION:
            operations_by_path.setdefault(operation.http.path, {})[operation.http.method] = operation
    sorted_paths = sorted(operations_by_path, key=lambda path: path.count("{"))
    return [Route(path, PathEndpoint(gateway, operations_by_path[path])) for path in sorted_paths]


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
            caller = await authenticate(self._gateway, scope, agent_from_header(scope))
            context = request_context(scope, operation.kind, trace_id)
            async with self._answer_turn(operation, caller):
                answer = await self._answer(operation, operation.http, caller, context, scope, receive)
                await _send_answer(send, operation.http, answer)
        except RepomeshError as error:
            await send_problem(send, error, trace_id)
        except Exception:  # the edge of the surface: the caller gets a problem document for any failure
            log.exception("request failed", path=scope["path"], trace_id=trace_id)
            await send_problem(send, InternalError("the request failed inside the server"), trace_id)

    def _answer_turn(self, operation: Operation, caller: Caller) -> AbstractAsyncContextManager[None]:
        """A turn of the caller's among its reads, until the answer is sent; nothing for one that waits."""
        is_read = operation.kind is Kind.QUERY and operation.blocking is None
        return self._gateway.answers.turn(caller.actor_id) if is_read else nullcontext()

    async def _answer(
        self,
        operation: Operation,
        binding: HttpBinding,
        caller: Caller,
        context: RequestContext,
        scope: Scope,
        receive: Receive,
    ) -> OperationResult:
        """Run the operation. Large bodies wait for a turn; a blocking call ends when the client leaves."""
        bodies = self._gateway.bodies
        with bodies.share() as share:
            body = await self._body(binding, scope, receive, share.count)
            async with bodies.turn(len(body)):
                payload = await self._payload(binding, scope, body)
                del body
                if operation.blocking is not None:
                    context = replace(context, gone=partial(_wait_for_disconnect, receive))
                return await self._gateway.call(operation, caller, payload, context)

    async def _body(self, binding: HttpBinding, scope: Scope, receive: Receive, count: Count) -> bytes:
        if not binding.has_body:
            return b""
        _refuse_query(scope)
        body = await read_body(scope, receive, binding.body_bytes_max, count=count)
        if body:
            _require_json(scope)
        return body

    async def _payload(self, binding: HttpBinding, scope: Scope, body: bytes) -> Payload:
        path_values = scope.get("path_params") or {}
        if not binding.has_body:
            return _merge_path_values(query_values(scope, self._lists[binding.method]), path_values)
        return await run_off_loop_if_large(len(body), _check_body, body, path_values)


async def refuse_method(scope: Scope, send: Send, methods: Iterable[str], trace_id: str) -> None:
    """Answer OPTIONS with the methods of a path, and any other request with MethodNotAllowed."""
    allowed_methods = {*methods, "OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
    allow = [(b"allow", ", ".join(sorted(allowed_methods)).encode())]
    if scope["method"] == "OPTIONS":
        await respond_empty(send, allow)
        return
    error = MethodNotAllowed(f"{scope['method']} is not a method of this path")
    await send_problem(send, error, trace_id, allow)


def request_context(scope: Scope, kind: Kind, trace_id: str | None = None) -> RequestContext:
    """The context from the headers: trace, correlation id, idempotency key, expected version.

    Raises InvalidRequest for a malformed header.
    """
    traced = traced_context(header(scope, b"traceparent"))
    key = if_match = None
    if kind is Kind.COMMAND:
        key = header(scope, b"idempotency-key")
        if_match = _expected_version(header(scope, b"if-match"))
    if key is not None and _IDEMPOTENCY_KEY.fullmatch(key) is None:
        raise bad_header(
            "Idempotency-Key", f"must have 1 to {IDEMPOTENCY_KEY_CHARS_MAX} visible ASCII characters"
        )
    correlation_id = header(scope, b"x-correlation-id")
    if correlation_id is not None and _CORRELATION_ID.fullmatch(correlation_id) is None:
        raise bad_header("X-Correlation-Id", "must have 1 to 128 printable ASCII characters")
    return RequestContext(trace_id or traced.trace_id, traced.traceparent, correlation_id, key, if_match)


def _expected_version(if_match: str | None) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    match = _ETAG.fullmatch(if_match.strip())
    if match is None:
        raise bad_header("If-Match", 'must be an ETag as it was answered, such as "3"')
    return int(match[1])


def query_values(scope: Scope, lists: frozenset[str]) -> dict[str, Any]:
    """The query as a payload; fields in `lists` may be repeated, others raise InvalidRequest if they are."""
    values: dict[str, Any] = {}
    for name, value in _query(scope):
        if name in lists:
            values.setdefault(name, []).append(value)
        elif name in values:
            raise InvalidRequest(
                f"{name[:PROBLEM_FIELD_CHARS_MAX]}: given more than once",
                errors=[
                    {
                        "field": name[:PROBLEM_FIELD_CHARS_MAX],
                        "message": "given more than once",
                        "type": "repeated",
                    }
                ],
            )
        else:
            values[name] = value
    return values


def _query(scope: Scope) -> list[tuple[str, str]]:
    """The names and values of a query; raises InvalidRequest when it has more than any request needs."""
    try:
        return parse_qsl(
            scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX
        )
    except ValueError:
        message = f"has more than {QUERY_FIELDS_MAX} parameters"
        raise InvalidRequest(
            f"query: {message}", errors=[{"field": "query", "message": message, "type": "too_long"}]
        ) from None


def _refuse_query(scope: Scope) -> None:
    if not scope["query_string"]:
        return
    names = sorted(name[:PROBLEM_FIELD_CHARS_MAX] for name, _ in _query(scope))
    if names:
        raise InvalidRequest(
            f"{names[0]}: this path takes its fields in the JSON body, not in the query",
            errors=[
                {"field": name, "message": "not a query parameter", "type": "extra"}
                for name in names[:PROBLEM_FIELDS_MAX]
            ],
        )


def _require_json(scope: Scope) -> None:
    content_type = (header(scope, b"content-type") or "").partition(";")[0].strip().lower()
    if content_type != JSON.decode():
        raise UnsupportedMedia(f"the body is '{content_type or 'of no stated type'}', not application/json")
    encoding = (header(scope, b"content-encoding") or "identity").strip().lower()
    if encoding != "identity":
        hint = "Send the body without Content-Encoding."
        raise UnsupportedMedia(f"the body is encoded as '{encoding[:PROBLEM_FIELD_CHARS_MAX]}'", hint=hint)


def _check_body(body: bytes, path_values: Mapping[str, str]) -> bytes:
    """The body with the values of its path; raises InvalidRequest unless it is an object of bounded shape."""
    body = body.removeprefix(BOM_UTF8)  # some programs write one in front of JSON (RFC 8259, section 8.1)
    check_json_structure(body)
    return _add_path_values(body, path_values) if path_values else body


def _add_path_values(body: bytes, path_values: Mapping[str, str]) -> bytes:
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
    return pydantic_core.to_json(_merge_path_values(fields, path_values))


def _merge_path_values(fields: dict[str, Any], path_values: Mapping[str, str]) -> dict[str, Any]:
    duplicates = sorted(fields.keys() & path_values.keys())
    if duplicates:
        message = "stands in the path already"
        raise InvalidRequest(
            f"{duplicates[0]}: {message}",
            errors=[{"field": duplicates[0], "message": message, "type": "extra"}],
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


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_answer(send: Send, binding: HttpBinding, answer: OperationResult) -> None:
    headers: list[tuple[bytes, bytes]] = []
    if "version" in type(answer.result).model_fields:
        headers.append((b"etag", f'"{answer.result.version}"'.encode()))  # type: ignore[attr-defined]
    if answer.replayed:
        headers.append((b"idempotent-replayed", b"true"))
    # Results of commands are short: at most the texts of one task, encoded in less than a millisecond.
    body = encode(answer.result) if answer.json is None else answer.json
    await respond(send, binding.status, body, JSON, headers)


def paths(endpoints: Iterable[Route]) -> list[str]:
    """The paths of routes, for the front page and for tests."""
    return [route.path for route in endpoints]
