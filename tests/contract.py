"""Holds every answer that a test receives against the OpenAPI document."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import httpx
import jsonschema_rs
import orjson

from repomesh.operations import registry
from repomesh.surfaces.http.openapi import openapi_document


@cache
def _document() -> dict[str, Any]:
    return openapi_document(registry, "test")


@cache
def _paths() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    """Each path as a pattern, literal ones first, as the server tries them."""
    paths = sorted(_document()["paths"].items(), key=lambda item: item[0].count("{"))
    return [(re.compile(re.sub(r"{\w+}", "[^/]+", path)), methods) for path, methods in paths]


@cache
def _validator(reference: str) -> Any:
    schema = {"$ref": reference, "components": _document()["components"]}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


def described(method: str, path: str) -> dict[str, Any] | None:
    """The operation behind a request, as the document describes it."""
    for pattern, methods in _paths():
        if pattern.fullmatch(path):
            found: dict[str, Any] | None = methods.get(method.lower())
            return found
    return None


async def check(response: httpx.Response) -> None:
    """Fail when an answer is not one that the document announces."""
    request = response.request
    operation = described(request.method, request.url.path)
    if operation is None:
        return
    where = f"{request.method} {request.url.path} answered {response.status_code}"
    answer = operation["responses"].get(str(response.status_code))
    assert answer is not None, f"{where}, which is not documented: {(await response.aread()).decode()}"
    content_type = response.headers["content-type"]
    assert content_type in answer["content"], f"{where} as {content_type}, which is not documented"
    if content_type == "text/event-stream":
        return
    validator = _validator(answer["content"][content_type]["schema"]["$ref"])
    for wrong in validator.iter_errors(orjson.loads(await response.aread())):
        place = ".".join(map(str, wrong.instance_path))
        raise AssertionError(f"{where} outside of its schema: {wrong.message} at '{place}'")
