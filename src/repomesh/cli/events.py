"""`repomesh events`: lists, follows and posts events of the event log."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repomesh.cli import completing, ids, output
from repomesh.cli.generic import noun_group, parse_past_moment
from repomesh.cli.options import ActingAgent, AsJson, Url
from repomesh.cli.with_client import run_with_client
from repomesh.views.event_lines import add_name, event_line

if TYPE_CHECKING:
    from repomesh.client.client import Client

app = noun_group("event", "The event log: what happened, and what is happening.")


@app.command()
def tail(
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow new events.")] = False,
    count: Annotated[
        int, typer.Option("--lines", "--limit", "-n", min=0, max=200, help="Number of events to show first.")
    ] = 20,
    after: Annotated[
        int | None, typer.Option(help="Begin after this seq instead.", show_default=False)
    ] = None,
    type_: Annotated[
        list[str] | None, typer.Option("--type", help="Only these types and those below: task, chat.message.")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by", help="Only what this agent did: name or id.", autocompletion=completing.completer("agent")
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", help="Only what is addressed to this agent.", autocompletion=completing.completer("agent")
        ),
    ] = None,
    channel: Annotated[
        str | None, typer.Option(help="Only of this channel.", autocompletion=completing.completer("channel"))
    ] = None,
    task_id: Annotated[
        str | None, typer.Option(help="Only about this task.", autocompletion=completing.completer("task"))
    ] = None,
    severity: Annotated[str | None, typer.Option(help="Only of this severity.")] = None,
    correlation_id: Annotated[str | None, typer.Option(help="Only with this correlation id.")] = None,
    since: Annotated[str | None, typer.Option(help="Only from this time on; '2h' is two hours ago.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    acting_agent: ActingAgent = None,
) -> None:
    """Show the last events, a line each; with --follow also those to come.

    With --json a line is the event as the API answers it.
    """
    filters = {
        "type": type_,
        "channel": channel,
        "task_id": task_id,
        "severity": severity,
        "correlation_id": correlation_id,
        "since": parse_past_moment("--since", since) if since else None,
    }

    async def run(client: Client) -> None:
        names = await _names(client)
        by_name = {name: id_ for id_, name in names.items()}
        agent_filters = {
            "agent_id": by_name.get(by, by) if by else None,
            "recipient_id": by_name.get(to, to) if to else None,
        }
        request = {name: value for name, value in (filters | agent_filters).items() if value}
        criteria = await ids.resolve(client, "event.list", request)
        async for event in _events(client, criteria, count, after, go_on=follow):
            if as_json:
                print(output.as_json_text(event), flush=True)
            else:
                add_name(names, event)
                print(event_line(output.style(), event, names), flush=True)

    with suppress(KeyboardInterrupt, asyncio.CancelledError):  # Ctrl+C is how following ends
        run_with_client(run, url=url, agent=acting_agent)


async def _events(
    client: Client, criteria: dict[str, Any], count: int, after: int | None, *, go_on: bool
) -> Any:
    """Yield the last `count` events, or those after seq `after`, oldest first; with `go_on` also new ones."""
    if after is None:
        newest = await client.call_json("event.list", criteria | {"newest": True, "limit": max(count, 1)})
        for event in reversed(newest["items"][:count]):
            yield event
        position = newest["last_seq"]
    else:
        position = after
        async for event in client.items("event.list", **criteria, after=after, limit=200):
            position = event["seq"]
            yield event
    if go_on:
        from repomesh.client.stream import follow

        async for event in follow(client, after=position, **criteria):
            yield event


async def _names(client: Client) -> dict[str, str]:
    """Return the names of agents by id."""
    return {agent["id"]: agent["name"] async for agent in client.items("agent.list", limit=200)}
