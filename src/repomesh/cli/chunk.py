"""`repomesh chunk`: the conversation of a session, whose content may come from a file."""

from __future__ import annotations

from repomesh.cli.content_file import add_with_file
from repomesh.cli.generic import noun_group

app = noun_group("chunk", "Conversation of a session: add, list, read.")
add_with_file(app, "chunk.add")
