"""The operations as clients know them: verb, path and fields, from a file derived from the server's code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repomesh.client.errors import UnknownOperation

if TYPE_CHECKING:
    from pydantic import BaseModel

_FILE = Path(__file__).with_name("catalogue.json")


@dataclass(frozen=True, slots=True)
class RequestField:
    """One field of a request. `type` is a scalar's, 'time', or 'json' for the rest; `many` marks a list."""

    name: str
    type: str
    many: bool = False
    required: bool = False
    default: Any = None
    help: str = ""
    choices: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class OperationDescription:
    """One operation as clients know it.

    `answers` are the fields that every answer has; `item` is the class name of the answer, or of a list's
    items. `secret` is the answer's field that holds one, `tool` the name of the equivalent MCP tool.
    """

    name: str
    kind: str
    method: str
    path: str
    summary: str
    description: str
    request: str
    result: tuple[str, ...]
    item: str
    fields: tuple[RequestField, ...]
    answers: tuple[str, ...]
    waits: bool = False
    needs_agent: bool = False
    secret: str | None = None
    tool: str | None = None

    @property
    def has_body(self) -> bool:
        """Whether fields outside the path go into a JSON body; otherwise into the query."""
        return self.method in ("POST", "PUT", "PATCH")

    def result_model(self) -> type[BaseModel]:
        """The class of its result, imported now."""
        model, *items = (_import_model(import_path) for import_path in self.result)
        return model[tuple(items)] if items else model  # type: ignore[index]


def operation(name: str) -> OperationDescription:
    """The operation `name`; raises UnknownOperation."""
    try:
        return operations()[name]
    except KeyError:
        raise UnknownOperation(f"there is no operation '{name}'") from None


@cache
def operations() -> Mapping[str, OperationDescription]:
    """Every operation by name, in the order of the names."""
    entries = json.loads(_FILE.read_bytes())
    return {name: _parse_entry(name, entry) for name, entry in entries.items()}


def _parse_entry(name: str, entry: dict[str, Any]) -> OperationDescription:
    fields = tuple(
        RequestField(**field | {"choices": tuple(field.get("choices", ()))}) for field in entry.pop("fields")
    )
    return OperationDescription(
        name=name, fields=fields, **entry | {key: tuple(entry[key]) for key in ("result", "answers")}
    )


def _import_model(import_path: str) -> type[BaseModel]:
    module, _, name = import_path.partition(":")
    model: type[BaseModel] = getattr(import_module(module), name)
    return model
