"""`repomesh artifact`: artifacts of a session, whose content may come from a file."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repomesh.cli.command_overrides import CommandOverride
from repomesh.cli.generic import add_command, make_option, noun_group
from repomesh.cli.options import file_option
from repomesh.client.catalogue import operation
from repomesh.kernel.errors import InvalidRequest

if TYPE_CHECKING:
    from repomesh.client.client import Client

app = noun_group("artifact", "What came of a session: add, list, read.")


async def _add_file(_client: Client, fields: dict[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields with the content of a file, and its name as the title if there is none."""
    path: Path | None = options["file"]
    is_empty = not any(name in fields for name in ("content", "content_base64"))
    if path is None and is_empty and await asyncio.to_thread(Path(fields.get("title", "")).is_file):
        path = Path(fields["title"])
        fields = {name: value for name, value in fields.items() if name != "title"}
    if path is None:
        if "title" not in fields:
            raise InvalidRequest("an artifact needs a title", hint="Give TITLE, or a file with --file.")
        if is_empty:
            hint = "Name a file with '--file PATH', or give '--content TEXT'; '-' reads standard input."
            raise InvalidRequest("an artifact needs a content", hint=hint)
        return fields
    raw = await asyncio.to_thread(path.read_bytes)
    try:
        content = {"content": raw.decode()}
    except UnicodeDecodeError:
        content = {"content_base64": base64.b64encode(raw).decode()}
    return {"title": path.name} | fields | content


add_command(
    app,
    operation("artifact.add"),
    CommandOverride(arguments=("session_id", "title"), optional=("title",), left_out=("url",)),
    options=[
        make_option(
            "file", file_option("Take the content from this file, and the title where none is given.")
        )
    ],
    prepare=_add_file,
)
