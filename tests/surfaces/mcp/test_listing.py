"""What every agent pays for at the start of each session: the tools and the instructions."""

from __future__ import annotations

import re
from typing import Any, Literal

import pytest
from jsonschema import Draft202012Validator

from harness import Mesh
from repomesh.kernel.operation import Kind, Model
from repomesh.operations import registry
from repomesh.surfaces.mcp.instructions import INSTRUCTIONS, INSTRUCTIONS_CHARS_MAX
from repomesh.surfaces.mcp.tools import (
    LISTING_CHARS_MAX,
    TOOLS_MAX,
    closed_schema,
    compact,
    tool_listing,
    tools_by_name,
)
from tooling import ask

TOOLS = tools_by_name(registry)

# What answers a model with text of others, and so takes a budget.
READS = sorted(name for name, operation in TOOLS.items() if operation.kind is Kind.QUERY)


@pytest.mark.anyio
async def test_the_whole_list_is_small(mesh: Mesh) -> None:
    result = (await ask(mesh, "tools/list")).json()["result"]
    assert 1 <= len(result["tools"]) <= TOOLS_MAX
    assert len(compact(result)) <= LISTING_CHARS_MAX


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_says_no_more_than_it_must_and_nothing_false(name: str) -> None:
    operation = TOOLS[name]
    tool = tool_listing(operation)
    schema = tool["inputSchema"]
    Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    assert schema["type"] == "object"
    assert schema["properties"].keys() <= operation.request.model_fields.keys()
    assert '"title":' not in compact({**schema, "properties": list(schema["properties"].values())})
    assert tool["description"]
    assert ("readOnlyHint" in tool["annotations"]) == (operation.kind is Kind.QUERY)
    if "readOnlyHint" not in tool["annotations"]:
        assert {"destructiveHint", "openWorldHint"} <= tool["annotations"].keys()


@pytest.mark.parametrize("name", READS)
def test_what_answers_with_text_takes_a_budget(name: str) -> None:
    assert "max_chars" in tool_listing(TOOLS[name])["inputSchema"]["properties"]


def test_the_instructions_are_short_and_name_only_what_there_is() -> None:
    assert len(INSTRUCTIONS) <= INSTRUCTIONS_CHARS_MAX
    fields = {field for operation in TOOLS.values() for field in operation.request.model_fields}
    words = set(re.findall(r"[a-z]+(?:_[a-z]+)+", INSTRUCTIONS))
    assert words <= TOOLS.keys() | fields
    assert {"register_agent", "read_inbox", "claim_task", "acquire_locks", "finish_task"} <= words


class Anchor(Model):
    """A line of a file."""

    path: str
    line: int = 0


class Comment(Model):
    """Of a review."""

    first: Anchor
    further: tuple[Anchor, ...] = ()
    kind: Literal["note", "question"] = "note"
    about: str | Literal["all"] | None = None


class Chain(Model):
    """Contains itself."""

    link: Chain | None = None


def _keys(schema: Any) -> set[str]:
    if isinstance(schema, dict):
        return set(schema) | {key for value in schema.values() for key in _keys(value)}
    return {key for value in schema for key in _keys(value)} if isinstance(schema, list) else set()


def test_a_schema_is_as_short_as_it_can_be_said() -> None:
    schema = closed_schema(Comment)
    assert "title" not in _keys(schema)
    assert schema["properties"]["about"] == {"type": "string"}
    assert schema["properties"]["kind"]["enum"] == ["note", "question"]
    assert schema["required"] == ["first"]
    assert Draft202012Validator(schema).is_valid({"first": {"path": "a"}, "further": [{"path": "b"}]})
    assert not Draft202012Validator(schema).is_valid({"first": {"path": "a"}, "colour": "red"})


def test_a_schema_may_be_narrowed_but_not_below_what_is_required() -> None:
    assert list(closed_schema(Comment, ("kind", "first"))["properties"]) == ["kind", "first"]
    with pytest.raises(ValueError, match="first"):
        closed_schema(Comment, ("kind",))


def test_a_request_that_contains_itself_is_no_tool() -> None:
    with pytest.raises(ValueError, match="contains itself"):
        closed_schema(Chain)
