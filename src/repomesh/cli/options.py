"""Options that every command takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

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
        autocompletion=completing.completer("agent"),
        rich_help_panel=_PANEL,
    ),
]


def file_option(help_: str) -> Any:
    """Return the type of an option `--file` that names a file to read."""
    option = typer.Option(
        "--file", exists=True, dir_okay=False, readable=True, help=help_, show_default=False
    )
    return Annotated[Path | None, option]
