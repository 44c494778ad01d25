"""`repomesh rollback`: takes landed changes back, after it has named what goes and what builds on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from repomesh.cli import completing, ids, output, show
from repomesh.cli.options import ActingAgent, AsJson, Url
from repomesh.cli.with_client import run_with_client
from repomesh.client.catalogue import operation
from repomesh.kernel.errors import InvalidRequest
from repomesh.views import change_view
from repomesh.views.terminal_text import counted

if TYPE_CHECKING:
    from repomesh.client.client import Client

app = typer.Typer(add_completion=False)


@app.command()
def rollback(
    changes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CHANGE_ID",
            help="Landed changes, or parts of their ids.",
            show_default=False,
            autocompletion=completing.completer("change"),
        ),
    ] = None,
    *,
    to: Annotated[
        str | None, typer.Option("--to", metavar="COMMIT", help="Take back all that landed after it.")
    ] = None,
    target: Annotated[str | None, typer.Option("--target", help="The branch, with --to.")] = None,
    reason: Annotated[str, typer.Option("--reason", "--note", help="Why; it stands in the commit.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    acting_agent: ActingAgent = None,
) -> None:
    """Take landed changes back, after you confirm: one change reverts them, through the merge queue."""
    if bool(changes) == (to is not None):
        raise InvalidRequest(
            "a rollback needs either changes or '--to'",
            hint="'repomesh rollback CHANGE_ID', or 'repomesh rollback --to COMMIT'.",
        )

    async def read_plan(client: Client) -> tuple[dict[str, Any], Any]:
        named = [await ids.find(client, part, "change") for part in changes or ()]
        fields: dict[str, Any] = {"change_ids": named} if named else {"to": to, "target": target}
        fields = {name: value for name, value in fields.items() if value is not None}
        return fields, await client.call_json("change.plan_rollback", fields)

    fields, plan = run_with_client(read_plan, url=url, agent=acting_agent)
    if not yes:
        for line in change_view.rollback_lines(output.style(), plan):
            output.print_note(line)
        output.confirm(f"Take back {counted(len(plan['changes']), 'change')}?", as_json=as_json)

    async def run(client: Client) -> Any:
        return await client.call_json("change.roll_back", fields | {"reason": reason})

    result = run_with_client(run, url=url, agent=acting_agent, writes=True)
    show.print_result(operation("change.roll_back"), result, as_json=as_json, brief=True)
