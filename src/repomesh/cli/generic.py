"""Commands that are one operation each, made from the catalogue: options from fields, help from its words."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer

from repomesh.cli import show
from repomesh.cli.calling import ask
from repomesh.cli.options import ActingAgent, AsJson, Url
from repomesh.cli.shapes import SHAPES, Shape
from repomesh.client.catalogue import Described, Field, operations
from repomesh.kernel.errors import InvalidRequest

_TYPES: dict[str, Any] = {"string": str, "integer": int, "number": float, "boolean": bool, "json": str}
_FROM_STDIN = frozenset({"body", "description", "diff", "reason", "result", "text"})


def group(noun: str, help_: str) -> typer.Typer:
    """The commands of a noun: one for each operation of that name that a client can call."""
    app = typer.Typer(help=help_, no_args_is_help=True, add_completion=False)
    for name, described in operations().items():
        shape = SHAPES.get(name, Shape())
        if name.partition(".")[0] == noun and described.kind != "subscription" and not shape.hidden:
            add(app, described, shape)
    return app


def add(app: typer.Typer, described: Described, shape: Shape) -> None:
    """Add the command of one operation to a group."""
    name = shape.name or described.name.partition(".")[2].replace("_", "-").replace(".", "-")
    help_ = f"{described.summary}\n\n{described.description}".strip()
    app.command(name, help=help_.replace("\n\n", "\n\n\b\n") if "\n- " in help_ else help_)(
        _runner(described, shape)
    )


def _runner(described: Described, shape: Shape) -> Callable[..., None]:
    """A function with a parameter for each field, from which Typer makes the command."""
    fields = {field.name: field for field in described.fields if field.name not in shape.left_out}
    positional = shape.arguments or tuple(
        field.name for field in described.fields if f"{{{field.name}}}" in described.path
    )

    def run(**given: Any) -> None:
        as_json, url, agent = given.pop("as_json"), given.pop("url"), given.pop("acting_agent")
        show_secret = given.pop("show_token", False)
        values = {
            name: _value(fields[name], value) for name, value in given.items() if value not in (None, [])
        }
        result = ask(lambda client: client.call_json(described.name, values), url=url, agent=agent)
        if described.secret and not show_secret:
            result = show.without_secret(result)
        show.result(described, result, as_json=as_json)

    parameters = [_argument(fields[name]) for name in positional]
    parameters += [_option(field) for name, field in fields.items() if name not in positional]
    parameters += _common(described)
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _argument(field: Field) -> inspect.Parameter:
    about = typer.Argument(help=_help(field), show_default=False)
    return _parameter(field, about)


def _option(field: Field) -> inspect.Parameter:
    flag = f"--{field.name.replace('_', '-')}"
    if field.type == "boolean" and field.default is not False:
        flag += f"/--no-{field.name.replace('_', '-')}"
    return _parameter(field, typer.Option(flag, help=_help(field), show_default=False))


def _parameter(field: Field, about: Any) -> inspect.Parameter:
    type_ = Literal[field.choices] if field.choices else _TYPES[field.type]
    type_ = list[type_] if field.many else type_  # type: ignore[valid-type]
    default = inspect.Parameter.empty if field.required else None
    if not field.required:
        type_ = type_ | None
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[type_, about]
    )


def _help(field: Field) -> str:
    parts = [field.help or f"{field.name.replace('_', ' ').capitalize()}."]
    if field.type == "json":
        parts.append("As JSON.")
    elif field.many:
        parts.append("May be given several times.")
    elif field.name in _FROM_STDIN:
        parts.append("'-' reads standard input.")
    if field.default not in (None, "", [], False) and field.type != "boolean":
        parts.append(f"Default: {field.default}.")
    return " ".join(parts)


def _common(described: Described) -> list[inspect.Parameter]:
    def one(name: str, annotation: Any, default: object) -> inspect.Parameter:
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)

    common = [one("as_json", AsJson, False), one("url", Url, None), one("acting_agent", ActingAgent, None)]
    if described.secret:
        about = typer.Option("--show-token", help="Print the new token. It can't be shown again.")
        common.insert(0, one("show_token", Annotated[bool, about], False))
    return common


def _value(field: Field, given: Any) -> Any:
    if field.type == "json":
        try:
            return json.loads(given)
        except ValueError as error:
            raise InvalidRequest(f"{field.name}: this is not JSON: {error}") from None
    if given == "-" and field.name in _FROM_STDIN:
        return sys.stdin.read()
    return given
