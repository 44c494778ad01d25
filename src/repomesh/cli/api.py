"""`repomesh api`: any operation by its name, JSON in and out."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repomesh.cli import ids, output, secrets, show
from repomesh.cli.options import ActingAgent, Url
from repomesh.cli.with_client import run_with_client
from repomesh.client.catalogue import OperationDescription, operation, operations
from repomesh.kernel.errors import InvalidRequest

if TYPE_CHECKING:
    from repomesh.client.client import Client

app = typer.Typer(add_completion=False)


@app.command()
def api(
    name: Annotated[str | None, typer.Argument(metavar="OPERATION", help="Such as agent.list.")] = None,
    fields: Annotated[
        list[str] | None, typer.Argument(metavar="FIELD=VALUE …", help="FIELD:=JSON gives any JSON.")
    ] = None,
    *,
    list_: Annotated[bool, typer.Option("--list", help="List the operations.")] = False,
    describe: Annotated[bool, typer.Option("--describe", help="Show the operation's fields.")] = False,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read fields as a JSON object, too.")] = False,
    show_secret: Annotated[
        bool, typer.Option("--show-token", "--show-secret", help="Do not hide a new token or secret.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print errors as JSON, too.")] = False,
    url: Url = None,
    acting_agent: ActingAgent = None,
) -> None:
    """Call any operation: 'repomesh api message.send to=bob body=hello'."""
    if list_ or name is None:
        _list(as_json=as_json)
        return
    described = operation(name)
    if describe:
        _describe(described)
        return
    show_secret = secrets.should_show(described, requested=show_secret, as_json=True)
    request = _read_stdin() if stdin else {}
    request |= dict(_parse_assignment(described, word) for word in fields or [])

    async def work(client: Client) -> Any:
        return await client.call_json(described.name, await ids.resolve(client, described.name, request))

    result = run_with_client(work, url=url, agent=acting_agent)
    output.print_json(result if show_secret else show.hide_secret(described, result))


def _parse_assignment(described: OperationDescription, word: str) -> tuple[str, Any]:
    """Parse 'name=value' by the field's type, or 'name:=JSON'; raises InvalidRequest."""
    name, equals, value = word.partition("=")
    if not equals:
        raise InvalidRequest(f"'{word}' is not FIELD=VALUE", hint="Write FIELD=VALUE, or FIELD:=JSON.")
    if name.endswith(":"):
        return name[:-1], _parse_json(name[:-1], value)
    field = next((field for field in described.fields if field.name == name), None)
    if field is None:
        field_names = ", ".join(field.name for field in described.fields) or "no fields"
        raise InvalidRequest(f"{described.name} has no field '{name}'", hint=f"It has: {field_names}.")
    if field.many:
        items = value.split(",") if value else []
        return name, items if field.type == "string" else [_parse_json(name, item) for item in items]
    return name, value if field.type in ("string", "any") else _parse_json(name, value)


def _parse_json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidRequest(
            f"{name}: this is not JSON: {error}", hint="Write numbers and true/false bare, texts in quotes."
        ) from None


def _read_stdin() -> dict[str, Any]:
    document = _parse_json("standard input", sys.stdin.read())
    if not isinstance(document, dict):
        raise InvalidRequest("standard input: this is not a JSON object", hint='Give {"field": value, …}.')
    return document


def _list(*, as_json: bool) -> None:
    rows = [
        {"operation": each.name, "method": each.method, "path": each.path, "summary": each.summary}
        for each in operations().values()
    ]
    if as_json:
        output.print_json(rows)
    else:
        output.print_table(rows, ("operation", "method", "path", "summary"))


def _describe(described: OperationDescription) -> None:
    output.print_line(f"{described.name}: {described.summary}")
    output.print_table(
        [
            {
                "field": field.name,
                "type": f"list of {field.type}" if field.many else field.type,
                "required": field.required,
                "default": field.default,
                "about": field.help,
            }
            for field in described.fields
        ],
        ("field", "type", "required", "default", "about"),
    )
