"""`repomesh log`: keeps the event log from growing for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from repomesh.cli import output
from repomesh.cli.generic import parse_past_moment
from repomesh.cli.options import AsJson, Url
from repomesh.cli.with_client import run_with_client

if TYPE_CHECKING:
    from repomesh.client.client import Client

app = typer.Typer(help="Care of the event log.", no_args_is_help=True, add_completion=False)


@app.callback()
def _log() -> None:
    """Care of the event log."""


@app.command()
def prune(
    *,
    before: Annotated[str, typer.Option(help="A time, '30d' for so long ago, or a seq.")],
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Move old events from the log to archives in the data folder: gzipped CloudEvents, one a line."""
    wanted = int(before) if before.isdigit() else parse_past_moment("--before", before)
    moved = run_with_client(lambda client: _prune(client, wanted), url=url)
    if as_json:
        output.print_json(moved)
        return
    output.print_line(f"Archived {moved['events']} events; the log begins at {moved['oldest_seq']}.")
    for path in moved["paths"]:
        output.print_line(path)


async def _prune(client: Client, before: int | str) -> dict[str, Any]:
    """Ask again until nothing older is left: one call moves a bounded number."""
    events, paths = 0, []
    while True:
        moved = await client.call_json("log.prune", {"before": before})
        events += moved["events"]
        paths += [moved["path"]] if moved["path"] else []
        if moved["complete"]:
            return {"events": events, "paths": paths, "oldest_seq": moved["oldest_seq"]}
