"""`repomesh memory`: memories, whose content may come from a file."""

from __future__ import annotations

from repomesh.cli.content_file import add_with_file
from repomesh.cli.generic import noun_group

app = noun_group("memory", "What to remember: store, list, correct.")
add_with_file(app, "memory.store")
