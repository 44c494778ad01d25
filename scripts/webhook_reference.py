"""The parts of docs/ about the webhook: each command's fields, what it answers, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from repomesh.kernel import limits
from repomesh.kernel.errors import FAILURES, RepomeshError
from repomesh.kernel.operation import Kind, Operation
from repomesh.operations import registry
from repomesh.surfaces.inbound.commands import OPERATIONS, WebhookBatch, WebhookCommand

_SEARCHED = "query_memories"  # with a text it is another operation
_PAGE = "Page["
_OF_ETAGS = "stale_version"  # a webhook carries no If-Match
_ID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_PLAIN = {r"^[^\x00]*$": "", r"^[^\x00-\x1f\x7f]*$": ", one line", r"^[^\x00-\x1f\x7f]+$": ", one line"}

_NAMED: dict[str, tuple[str, Any, str]] = {
    "slug": ("session.create", "session_id", "A session's id, chosen by who creates it."),
    "key": ("memory.store", "key", "What you call a thing, unique in its session."),
    "word": ("memory.store", "type", "A type of your own or a known one."),
    "tag": ("memory.list", "tag", "A short word to find things by."),
    "name": ("search.find", "author", "An agent's name."),
    "cursor": ("search.find", "cursor", "`next_cursor` of the page before, as it came."),
}
"""Words for types that recur, each with a field that is of it."""

_ALWAYS = (
    "invalid_request",
    "unauthenticated",
    "token_revoked",
    "instance_ended",
    "instance_replaced",
    "forbidden",
    "agent_not_found",
    "idempotency_conflict",
    "too_large",
    "rate_limited",
    "method_not_allowed",
    "misdirected",
    "foreign_origin",
    "unavailable",
    "internal",
)
"""What every command may be refused with."""


def commands() -> str:
    """Every command: what it does, the fields of its `data`, what it answers and refuses."""
    lines: list[str] = []
    for command, name in OPERATIONS.items():
        lines += [f"### `{command}`", "", *_command(registry[name])]
        if command == _SEARCHED:
            lines += [
                "With `text` in `data` it is a search instead: it takes the fields of"
                " [`search`](#search) but `what`, and answers a page of [SearchResult](#searchresult).",
                "",
            ]
    schema = WebhookBatch.model_json_schema()
    lines += ["### `batch`", "", "Run up to 100 commands in their order.", "", *_table(schema, frozenset())]
    return "\n".join([*lines, ""])


def types() -> str:
    """What the words for types mean."""
    lines = ["| word | like | characters | |", "|---|---|---|---|"]
    for word, (_, _, meaning) in _NAMED.items():
        field = _named(word)
        most = field.get("maxLength") or limits.NAME_CHARS_MAX
        lines.append(f"| {word} | `{field['pattern']}` | {most} | {meaning} |")
    lines.append("| id | a UUID | 36 | Given by the server. |")
    return "\n".join(lines) + "\n"


def _named(word: str) -> Mapping[str, Any]:
    operation, field, _ = _NAMED[word]
    schema = registry[operation].request.model_json_schema()["properties"][field]
    return next(one for one in (schema, *schema.get("anyOf", ())) if "pattern" in one)


@cache
def _words() -> dict[str, str]:
    return {_named(word)["pattern"]: word for word in _NAMED} | {_ID: "id"}


def envelope() -> str:
    """The fields around `data`."""
    return "\n".join([*_table(WebhookCommand.model_json_schema(), frozenset()), ""])


def _command(operation: Operation) -> Iterator[str]:
    yield " ".join(f"{operation.summary} {operation.description}".split())
    yield ""
    schema = operation.request.model_json_schema()
    session = schema["properties"].get("session_id")
    need = (
        "not taken"
        if session is None
        else "required"
        if "session_id" in schema.get("required", ())
        else "optional"
    )
    reads = operation.kind is Kind.QUERY
    yield f"`session_id`: {need}. {'An observer may send it.' if reads else 'It writes.'}"
    yield ""
    table = list(_table(schema, frozenset({"session_id"})))
    yield from table if len(table) > 2 else ["`data` has no fields."]
    yield ""
    yield f"Answers {_answered(operation)}."
    codes = ", ".join(f"`{error.code}`" for error in operation.errors if error.code != _OF_ETAGS)
    yield f"Refusals of its own: {codes}." if codes else "No refusals of its own."
    yield ""


def _answered(operation: Operation) -> str:
    name = operation.result.__name__
    if name.startswith(_PAGE):
        name = name.removeprefix(_PAGE).rstrip("]")
        return f"a page of [{name}](#{name.lower()})"
    return f"[{name}](#{name.lower()})"


def _table(schema: Mapping[str, Any], without: frozenset[str]) -> Iterator[str]:
    yield "| field | type | | meaning |"
    yield "|---|---|---|---|"
    required = schema.get("required", [])
    for name, field in schema["properties"].items():
        if name in without:
            continue
        default = field.get("default")
        need = (
            "required" if name in required else "" if default is None else f"default `{json.dumps(default)}`"
        )
        yield f"| `{name}` | {kind(field, schema)} | {need} | {described(field)} |"


def models() -> str:
    """Every thing that answers consist of, with its fields."""
    found: dict[str, Any] = {}
    for name in [*OPERATIONS.values(), "search.find"]:
        schema = registry[name].result.model_json_schema(mode="serialization")
        inner = schema.pop("$defs", {})
        title = registry[name].result.__name__
        found |= inner if title.startswith(_PAGE) else inner | {title: schema}
    lines: list[str] = []
    for name in sorted(found):
        if "properties" not in found[name]:
            continue
        lines += [f"### {name}", "", " ".join(found[name].get("description", "").split()), ""]
        lines += ["| field | type | meaning |", "|---|---|---|"]
        for field, schema in found[name]["properties"].items():
            lines.append(f"| `{field}` | {kind(schema, {})} | {described(schema)} |")
        lines.append("")
    return "\n".join(lines)


def errors(known: Mapping[str, type[RepomeshError]]) -> str:
    """Every code that the webhook may answer."""
    own = {error.code for name in OPERATIONS.values() for error in registry[name].errors} - {_OF_ETAGS}
    lines = ["| code | HTTP | what to do |", "|---|---|---|"]
    for code in sorted({*own, *_ALWAYS}):
        lines.append(f"| `{code}` | {FAILURES[known[code].failure].http} | {known[code].hint} |")
    return "\n".join(lines) + "\n"


def described(field: Mapping[str, Any]) -> str:
    """What a field's description says, wherever it stands."""
    inner = (choice.get("description") for choice in field.get("anyOf", []))
    text = field.get("description") or next(filter(None, inner), "")
    return str(text).replace("|", "\\|")


def kind(field: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """A type with its bounds."""
    choices = [choice for choice in field.get("anyOf", []) if choice.get("type") != "null"]
    if choices:
        said = " or ".join(dict.fromkeys(kind(choice, schema) for choice in choices))
        return f"{said} or null" if len(choices) < len(field["anyOf"]) and "default" not in field else said
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if "$ref" in field:
        return _referred(field["$ref"].rpartition("/")[2], schema)
    if field.get("type") == "array":
        most = f", at most {field['maxItems']}" if "maxItems" in field else ""
        items = kind(field.get("items", {}), schema)
        return f"list of {items}{most}"
    if field.get("type") == "string":
        return _string(field)
    if field.get("type") in ("integer", "number"):
        low, high = field.get("minimum"), field.get("maximum")
        return str(field["type"]) + ("" if low is None else f" from {low}" + (f" to {high}" if high else ""))
    return {"object": "JSON object", None: "any JSON"}.get(field.get("type"), str(field.get("type")))


def _referred(name: str, schema: Mapping[str, Any]) -> str:
    if name == "JsonValue":
        return "any JSON"
    inner = schema.get("$defs", {}).get(name)
    if inner is None or "properties" not in inner:
        return f"[{name}](#{name.lower()})"
    fields = ", ".join(f"`{field}`: {kind(about, schema)}" for field, about in inner["properties"].items())
    return f"object of {fields}"


def _string(field: Mapping[str, Any]) -> str:
    if field.get("format") == "date-time":
        return "time (RFC 3339)"
    least, most = field.get("minLength", 0), field.get("maxLength")
    chars = "" if most is None else f" of {f'{least} to ' if least else 'at most '}{most} characters"
    pattern = field.get("pattern")
    if pattern is None or pattern in _PLAIN:
        return f"text{chars}{_PLAIN.get(pattern or '', '')}"
    if pattern in _words():
        return _words()[pattern]
    shown = pattern.replace("|", "\\|")
    return f"text{chars} like `{shown}`"
