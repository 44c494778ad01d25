"""Options that every command takes."""

from __future__ import annotations

from typing import Annotated

import typer

from repomesh.cli import completing

_PANEL = "Common options"

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, errors included.", rich_help_panel=_PANEL)]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="Server to use; else REPOMESH_URL, else this repository's.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
ActingAgent = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="AGENT",
        help="Agent to act as; else REPOMESH_AGENT.",
        show_default=False,
        autocompletion=completing.of("agent"),
        rich_help_panel=_PANEL,
    ),
]
