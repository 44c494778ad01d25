"""Errors as RFC 9457 problem documents."""

from __future__ import annotations

import inspect
import math
from typing import Any

import orjson

from repomesh.kernel.errors import FAILURES, Failure, RepomeshError
from repomesh.surfaces.http.asgi_messages import Headers, Send, respond

PROBLEM_JSON = b"application/problem+json"


def problem(error: RepomeshError, trace_id: str) -> dict[str, Any]:
    """The problem document of `error`; its details are extension members."""
    return error.details | {
        "type": f"urn:repomesh:problem:{error.code}",
        "title": inspect.cleandoc(type(error).__doc__ or "").splitlines()[0],
        "status": FAILURES[error.failure].http,
        "detail": error.message,
        "code": error.code,
        "hint": error.hint,
        "trace_id": trace_id,
    }


async def send_problem(send: Send, error: RepomeshError, trace_id: str, headers: Headers = ()) -> None:
    """Answer with the problem document and the headers that its failure class calls for."""
    extra = [*headers, *headers_of(error)]
    body = orjson.dumps(problem(error, trace_id), default=str)
    await respond(send, FAILURES[error.failure].http, body, PROBLEM_JSON, extra)


def headers_of(error: RepomeshError) -> list[tuple[bytes, bytes]]:
    """The headers that an error's failure class calls for."""
    if error.failure is Failure.UNAUTHENTICATED:
        return [(b"www-authenticate", b"Bearer")]
    if error.failure in (Failure.RATE_LIMITED, Failure.UNAVAILABLE):
        wait_s = math.ceil(float(error.details.get("retry_after_s", 1)))
        return [(b"retry-after", str(wait_s).encode())]
    return []
