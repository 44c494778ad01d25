"""`repomesh queue`: a report of what landed; the other commands follow from the operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from repomesh.cli import output
from repomesh.cli.generic import noun_group, parse_past_moment
from repomesh.cli.options import ActingAgent, AsJson, Url
from repomesh.cli.with_client import run_with_client
from repomesh.kernel.limits import PAGE_ITEMS_MAX
from repomesh.views import change_view

if TYPE_CHECKING:
    from repomesh.client.client import Client

app = noun_group("queue", "The merge queue: status, pause, resume, stats, report.")


@app.command("report")
def report(
    *,
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="Landed at this time or later; '7d' is a week ago.")
    ] = "7d",
    target: Annotated[str | None, typer.Option("--target", help="The branch; all by default.")] = None,
    format_: Annotated[Literal["md", "json"], typer.Option("--format", help="Markdown or JSON.")] = "md",
    as_json: AsJson = False,
    url: Url = None,
    acting_agent: ActingAgent = None,
) -> None:
    """Report what landed: who asked, who made it, how it was merged and checked, who approved it."""
    fields = {"since": parse_past_moment("--since", since)} | ({"target": target} if target else {})

    async def run(client: Client) -> tuple[Any, list[Any]]:
        return await client.call_json("queue.stats", fields), await _read_all(client, fields)

    statistics, landed = run_with_client(run, url=url, agent=acting_agent)
    if as_json or format_ == "json":
        output.print_json({"statistics": statistics, "landed": landed})
    else:
        output.print_lines(change_view.report_markdown(fields["since"], statistics, landed))


async def _read_all(client: Client, fields: dict[str, Any]) -> list[Any]:
    """Return every page of the report."""
    landed: list[Any] = []
    cursor: str | None = None
    while True:
        page_fields = fields | {"limit": PAGE_ITEMS_MAX} | ({"cursor": cursor} if cursor else {})
        page = await client.call_json("queue.report", page_fields)
        landed += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return landed
