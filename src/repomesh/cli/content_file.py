"""`--file` for commands whose last argument is a content: reads it from a file in place of the argument."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from repomesh.cli.command_overrides import SHAPES
from repomesh.cli.generic import add_command, make_option, parse_json_field
from repomesh.cli.options import file_option
from repomesh.client.catalogue import operation
from repomesh.kernel.errors import InvalidRequest

if TYPE_CHECKING:
    from repomesh.client.client import Client

_FIELD: Final = "content"


def add_with_file(app: typer.Typer, name: str) -> None:
    """Add the command of an operation that takes CONTENT, with `--file` beside it."""
    described = operation(name)
    content = next(field for field in described.fields if field.name == _FIELD)

    async def from_file(
        _client: Client, fields: dict[str, Any], options: Mapping[str, Any]
    ) -> dict[str, Any]:
        path: Path | None = options["file"]
        if (path is None) == (_FIELD not in fields):
            problem = "CONTENT is missing" if path is None else "CONTENT and --file exclude each other"
            hint = "Give CONTENT, '-' to read it from standard input, or '--file PATH'."
            raise InvalidRequest(problem, hint=hint)
        if path is None:
            return fields
        text = await asyncio.to_thread(path.read_text, encoding="utf-8", errors="surrogateescape")
        return {**fields, _FIELD: parse_json_field(content, text)}

    words = "Take the content from this file, in place of CONTENT."
    shape = replace(SHAPES[name], optional=(_FIELD,), hidden=False)
    add_command(app, described, shape, [make_option("file", file_option(words))], from_file)
