"""`repomesh request`: work that somebody asks for; its documents come from files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from repomesh.cli import ids, output
from repomesh.cli.command_overrides import CommandOverride
from repomesh.cli.failures import CommandLineError
from repomesh.cli.generic import add_command, make_option, noun_group
from repomesh.cli.options import ActingAgent, AsJson, Url
from repomesh.cli.with_client import run_with_client
from repomesh.client.catalogue import operation
from repomesh.kernel import limits
from repomesh.views import request_view

if TYPE_CHECKING:
    from repomesh.client.client import Client

app = noun_group("request", "Ask for work and follow it: create, show, approve, stop.")
_DOCUMENTS = ("brief", "plan")


class _RequestGroup(app.info.cls):  # type: ignore[misc,name-defined]
    """The commands of requests, where a sentence alone is a new request."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Take words with spaces, which no command has, as the text of `create`."""
        is_text = args[0] not in self.commands and len(args[0].split()) > 1
        resolved: tuple[str | None, Any, list[str]] = super().resolve_command(
            ctx, ["create", *args] if is_text else args
        )
        return resolved


app.info.cls = _RequestGroup


@app.command("report")
def report(
    request_id: Annotated[str, typer.Argument(help="Request id, its beginning or end, or its title.")],
    *,
    format_: Annotated[Literal["md", "json"], typer.Option("--format", help="Markdown or JSON.")] = "md",
    as_json: AsJson = False,
    url: Url = None,
    acting_agent: ActingAgent = None,
) -> None:
    """Report what came of a request: its documents, who did its tasks, and how its changes landed."""

    async def run(client: Client) -> Any:
        fields = await ids.resolve(client, "request.report", {"request_id": request_id})
        return await client.call_json("request.report", fields)

    answer = run_with_client(run, url=url, agent=acting_agent)
    if as_json or format_ == "json":
        output.print_json(answer)
    else:
        output.print_lines(request_view.report_markdown(answer))


async def _read_documents(
    client: Client, fields: dict[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Add the brief or the plan that stands in a file."""
    del client
    documents = {name: _read_json(f"--{name}", options[name]) for name in _DOCUMENTS if options[name]}
    return fields | documents


def _read_json(option: str, file: Path) -> Any:
    try:
        with file.open("rb") as opened:
            content = opened.read(limits.PLAN_BYTES_MAX + 1)
    except OSError as error:
        hint = "Check the path with 'ls'; the file holds one JSON document."
        raise CommandLineError(f"{option}: {file}: {error.strerror or error}", hint=hint) from None
    if len(content) > limits.PLAN_BYTES_MAX:
        raise CommandLineError(f"{option}: {file} has more than {limits.PLAN_BYTES_MAX:,} bytes")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        hint = "'repomesh request show ID --json' prints the present brief and plan as an example."
        raise CommandLineError(f"{option}: {file} is no JSON document: {error}", hint=hint) from None


def _document_option(name: str, help_: str) -> Any:
    return make_option(
        name,
        Annotated[Path | None, typer.Option(f"--{name}", metavar="FILE", help=help_, show_default=False)],
    )


add_command(
    app,
    operation("request.edit"),
    CommandOverride(arguments=("request_id",), left_out=_DOCUMENTS),
    options=[
        _document_option("brief", "JSON document of the new brief."),
        _document_option("plan", "JSON document of the new plan, as 'repomesh plan --json' writes it."),
    ],
    prepare=_read_documents,
)
