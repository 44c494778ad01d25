"""`repomesh log`: archives old events, so that the event log does not grow for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from repomesh.cli import output
from repomesh.cli.generic import parse_past_moment
from repomesh.cli.options import AsJson, Url
from repomesh.cli.with_client import run_with_client

if TYPE_CHECKING:
    from repomesh.client.client import Client

app = typer.Typer(help="Maintain the event log.", no_args_is_help=True, add_completion=False)


@app.callback()
def _log() -> None:
    """Maintain the event log."""


@app.command()
def prune(
    *,
    before: Annotated[str, typer.Option(help="A time, '30d' for so long ago, or a seq.")],
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Move old events from the log to archives in the data folder: gzipped CloudEvents, one a line."""
    boundary = int(before) if before.isdigit() else parse_past_moment("--before", before)
    archived = run_with_client(lambda client: _prune(client, boundary), url=url)
    if as_json:
        output.print_json(archived)
        return
    output.print_line(f"Archived {archived['events']} events; the log begins at {archived['oldest_seq']}.")
    for path in archived["paths"]:
        output.print_line(path)


async def _prune(client: Client, before: int | str) -> dict[str, Any]:
    """Call log.prune until nothing older is left, since one call moves a bounded number of events."""
    events, paths = 0, []
    while True:
        batch = await client.call_json("log.prune", {"before": before})
        events += batch["events"]
        paths += [batch["path"]] if batch["path"] else []
        if batch["complete"]:
            return {"events": events, "paths": paths, "oldest_seq": batch["oldest_seq"]}
