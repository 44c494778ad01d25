"""`repomesh open`: opens the description of the server's API in a browser."""

from __future__ import annotations

import webbrowser
from typing import Annotated, Any

import typer

from repomesh.cli import output
from repomesh.cli.options import AsJson, Url
from repomesh.cli.with_client import run_with_client

app = typer.Typer(add_completion=False)

PAGE = "/openapi.json"
"""The server's page for a browser: the description of its API."""


@app.command("open")
def open_(
    *,
    only_print: Annotated[bool, typer.Option("--print", help="Print the address, and open nothing.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Open the description of the server's API in a browser; without a terminal print its address."""

    async def find_page(client: Any) -> str:
        await client.about("/healthz")
        return f"{client.url}{PAGE}"

    page = run_with_client(find_page, url=url)
    opened = output.is_terminal() and not (only_print or as_json) and webbrowser.open(page)
    if as_json:
        output.print_json({"url": page})
    else:
        output.print_line(f"opened {page}" if opened else page)
