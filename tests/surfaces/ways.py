"""The ways in which an operation can be called, each with its outcome in the same words."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import prompt
from examples import Payload
from harness import Speaker
from repomesh.cli.command_overrides import SHAPES, CommandOverride
from repomesh.cli.root import ENTRIES
from repomesh.client import catalogue
from repomesh.kernel.errors import FAILURES, Failure
from repomesh.kernel.operation import Operation
from repomesh.surfaces.inbound.commands import OPERATIONS as COMMANDS
from tooling import ToolRefused, call

Outcome = tuple[str, Any]
"""A code, 'ok' for what was done, and what came with it."""

Way = Callable[[Speaker, Operation, Payload], Awaitable[Outcome]]

_OF_HTTP = {"type", "title", "status", "detail", "trace_id"}

# What differs between two runs of one example: ids, times, fencing tokens and positions, names made up.
_CHANGING = [
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.]+(Z| UTC)"), "TIME"),
    (re.compile(r"\b[0-9a-f]{40}\b"), "OBJECT"),  # of git
    (re.compile(r"index [0-9a-f]{7}\.\.[0-9a-f]{7}"), "index A..B"),
    (re.compile(r"(token) \d+"), r"\1 N"),
    (re.compile(r"\brm[0-9a-f]{24}\b"), "BOUNDARY"),
    (re.compile(r"\d+ more unread"), "N more unread"),
    (re.compile(r"\b((?:[a-z]+/)*[A-Za-z]+)-\d+\b"), r"\1-N"),
]
_OF_ONE_SURFACE = {"token", "secret", "hint", "envelope"}  # secrets, its own hint, and the label on messages
_COUNTED = {"fencing_token", "seq", "version"}


async def over_http(speaker: Speaker, operation: Operation, payload: Payload) -> Outcome:
    """The outcome over HTTP."""
    binding = operation.http
    assert binding is not None
    rest = {name: value for name, value in payload.items() if name not in binding.path_fields}
    how = {"json": rest} if binding.has_body else {"params": rest}
    response = await speaker.request(binding.method, binding.path.format(**payload), **how)
    if response.status_code < 400:
        return done(operation, response.text)
    body = response.json()
    told = {name: value for name, value in body.items() if name not in _OF_HTTP}
    return body["code"], told | {"message": body["detail"]}


async def over_mcp(speaker: Speaker, operation: Operation, payload: Payload) -> Outcome:
    """The outcome over MCP."""
    assert operation.tool is not None
    try:
        return "ok", await call(speaker, operation.tool.name, **payload)
    except ToolRefused as refused:
        return refused.code, refused.body


async def at_the_prompt(speaker: Speaker, operation: Operation, payload: Payload) -> Outcome:
    """The outcome of the command that people type for it; of `repomesh api` where there is none."""
    words = list(_typed(operation, payload))
    return await _at_the_prompt(speaker, operation, payload, words)


async def by_name(speaker: Speaker, operation: Operation, payload: Payload) -> Outcome:
    """The outcome of `repomesh api`."""
    return await _at_the_prompt(speaker, operation, payload, [])


async def _at_the_prompt(
    speaker: Speaker, operation: Operation, payload: Payload, words: list[str]
) -> Outcome:
    where = {"REPOMESH_URL": str(speaker.http.base_url), "REPOMESH_TOKEN": speaker.token or ""}
    words = words or ["api", operation.name, "--stdin"]
    secret = catalogue.operation(operation.name).secret
    words += [f"--show-{secret}"] if secret else []  # some are not made where nobody learns it
    here = Path(tempfile.gettempdir())
    ended = await asyncio.to_thread(prompt.run, [*words, "--json"], here, where, json.dumps(payload))
    if ended.code == 0:
        return done(operation, ended.out)
    told = ended.problem
    assert ended.code == FAILURES[Failure(told.pop("failure"))].exit, ended
    told.pop("trace_id", None)
    return told["code"], told


def _typed(operation: Operation, payload: Payload) -> Iterator[str]:
    """The words of the command for an operation; none when it has no command of its own."""
    noun, _, verb = operation.name.partition(".")
    shape = SHAPES.get(operation.name, CommandOverride())
    entry = ENTRIES.get({"event": "events"}.get(noun, noun))
    if entry is None or entry.module not in ("", "events", "session", "tokens") or shape.hidden:
        return
    described = catalogue.operation(operation.name)
    fields = {field.name: field for field in described.fields if field.name in payload}
    in_path = tuple(name for name in fields if f"{{{name}}}" in described.path)
    positional = [name for name in shape.arguments or in_path if name in fields]
    yield from ({"event": "events"}.get(noun, noun), shape.name or verb.replace("_", "-").replace(".", "-"))
    for field in (field for name, field in fields.items() if name not in positional):
        flag = f"--{field.name.replace('_', '-')}"
        for value in _words(field, payload[field.name]):
            yield value if value.startswith("--") else f"{flag}={value}"
    for name in positional:
        words = _words(fields[name], payload[name])
        yield from words if name == positional[-1] else [",".join(words)]


def _words(field: catalogue.RequestField, value: Any) -> list[str]:
    if field.many:
        return [word for one in value for word in _words(_single(field), one)]
    if isinstance(value, bool):
        flag = field.name.replace("_", "-")
        return [f"--{flag}"] if value else [f"--no-{flag}"] if field.default is not False else []
    if field.type == "json" or not isinstance(value, str):
        return [json.dumps(value)]
    return [value]


def _single(field: catalogue.RequestField) -> catalogue.RequestField:
    return catalogue.RequestField(field.name, field.type)


async def over_webhook(speaker: Speaker, operation: Operation, payload: Payload) -> Outcome:
    """The outcome of its command over the webhook."""
    return _told(operation, await _post(speaker, _command(operation, payload)))


async def in_a_batch(
    speaker: Speaker, operation: Operation, payload: Payload, *, on_error: str = "stop"
) -> Outcome:
    """The outcome of its command alone in a batch."""
    data = {"commands": [_command(operation, payload)], "on_error": on_error}
    told = await _post(speaker, {"type": _TYPE, "command": "batch", "data": data})
    if told["status"] == "success":
        told = told["data"]["results"][0]
    else:
        assert told["error"].pop("step", 0) == 0
    return _told(operation, told)


_TYPE = "collaborative_session_command"


def _command(operation: Operation, payload: Payload) -> dict[str, Any]:
    command = next(name for name, of in COMMANDS.items() if of == operation.name)
    data = dict(payload)
    beside = {"session_id": data.pop("session_id")} if "session_id" in data else {}
    return {"type": _TYPE, "command": command, "data": data} | beside


async def _post(speaker: Speaker, body: Any) -> dict[str, Any]:
    headers = {"X-API-Key": speaker.token or ""}
    response = await speaker.http.post("/v1/webhook", json=body, headers=headers)
    told: dict[str, Any] = response.json()
    assert (told["status"] == "success") == (response.status_code == 200)
    return told


def _told(operation: Operation, told: dict[str, Any]) -> Outcome:
    """An answer of the webhook, with fields named as they are where they stand in no `data`."""
    if told["status"] == "success":
        return done(operation, json.dumps(told["data"]))
    text = re.sub(r'"(data\.commands\.0\.)?(data\.)?', '"', json.dumps(told["error"]))
    error = json.loads(text)
    return error["code"], error


def done(operation: Operation, text: str) -> Outcome:
    """The outcome that a result as JSON text is."""
    result = operation.result.model_validate_json(text)
    return "ok", result.model_dump(mode="json", exclude_none=True, exclude_defaults=True)


def ways(operation: Operation) -> Mapping[str, Way]:
    """Every way to an operation, by what it is called."""
    found: dict[str, Way] = {"HTTP": over_http, "the prompt": at_the_prompt}
    if operation.tool is not None:
        found["MCP"] = over_mcp
    if operation.name in COMMANDS.values():
        found["the webhook"] = over_webhook
        found["a batch"] = in_a_batch
        found["a batch that goes on"] = partial(in_a_batch, on_error="continue")
    return found


def comparable(outcome: Outcome) -> Outcome:
    """An outcome without what is new each time, and without what surfaces keep to themselves on purpose."""
    code, body = outcome
    return code, _steady(body)


def _steady(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _steady(inner, key) for key, inner in value.items() if key not in _OF_ONE_SURFACE}
    if isinstance(value, list):
        return [_steady(inner) for inner in value]
    if name in _COUNTED and isinstance(value, int):
        return 0
    if isinstance(value, str):
        for pattern, steady in _CHANGING:
            value = pattern.sub(steady, value)
    return value
