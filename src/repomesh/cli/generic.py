"""Commands that are one operation each, made from the catalogue: options from fields, help from its words."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from repomesh.cli import show
from repomesh.cli.calling import WITHOUT_SERVER, ask
from repomesh.cli.options import ActingAgent, AsJson, Url
from repomesh.cli.shapes import FURTHER, SHAPES, Shape
from repomesh.client.catalogue import Described, Field, operation, operations
from repomesh.kernel.errors import InvalidRequest

if TYPE_CHECKING:
    from repomesh.client.client import Client

Prepare = Callable[["Client", dict[str, Any], Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""From the fields of a command, and its options that are none, the fields to send."""

_TYPES: dict[str, Any] = {"integer": int, "number": float, "boolean": bool}
_FROM_STDIN = frozenset(
    {
        "body",
        "content",
        "decision",
        "description",
        "diff",
        "proposal",
        "rationale",
        "reason",
        "result",
        "text",
    }
)
_PAST = frozenset({"since", "until"})
_COMMAS = frozenset({"participants", "tags"})  # lists of which an option may name several at once
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def group(noun: str, help_: str) -> typer.Typer:
    """The commands of a noun: one for each operation of that name that a client can call."""
    app = typer.Typer(help=help_, no_args_is_help=True, add_completion=False)
    for name, described in operations().items():
        shape = SHAPES.get(name, Shape())
        if name.partition(".")[0] == noun and described.kind != "subscription" and not shape.hidden:
            add(app, described, shape)
    for name, shape in FURTHER:
        if name.partition(".")[0] == noun:
            add(app, operation(name), shape)
    return app


def add(
    app: typer.Typer,
    described: Described,
    shape: Shape,
    options: Sequence[inspect.Parameter] = (),
    prepare: Prepare | None = None,
) -> None:
    """Make a command of an operation. Of `options`, which are none of its fields, `prepare` makes fields."""
    name = shape.name or described.name.partition(".")[2].replace("_", "-").replace(".", "-")
    # One paragraph each: the terminal breaks the lines, not the source.
    paragraphs = f"{shape.help or described.summary}\n\n{described.description}".strip().split("\n\n")
    help_ = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    app.command(name, help=help_)(_runner(described, shape, options, prepare))


def option(name: str, annotation: Any, default: object = None) -> inspect.Parameter:
    """An option of a command that is made here."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def moment(text: str) -> str:
    """A time as the API takes it: as it stands, or '90s', '15m', '2h', '3d' for so long ago."""
    ago = re.fullmatch(r"(\d+)([smhd])", text)
    if ago is None:
        return text
    then = datetime.now(UTC) - timedelta(seconds=int(ago[1]) * _UNITS[ago[2]])
    return then.isoformat().replace("+00:00", "Z")


def words(text: str) -> list[str]:
    """What stands between the commas of a text."""
    return [word.strip() for word in text.split(",")]


def _runner(
    described: Described, shape: Shape, options: Sequence[inspect.Parameter], prepare: Prepare | None
) -> Callable[..., None]:
    """A function with a parameter for each field, from which Typer makes the command."""
    fields = {field.name: field for field in described.fields if field.name not in shape.left_out}
    in_path = tuple(field.name for field in described.fields if f"{{{field.name}}}" in described.path)
    positional = [fields[name] for name in shape.arguments or in_path]
    or_alone = described.name.partition(".")[0] in WITHOUT_SERVER

    def run(**given: Any) -> None:
        as_json, url, agent = given.pop("as_json"), given.pop("server_url"), given.pop("acting_agent")
        show_secret = given.pop("show_secret", False)
        beside = {each.name: given.pop(each.name) for each in options}
        values = {
            name: _value(fields[name], value) for name, value in given.items() if value not in (None, [])
        }

        async def work(client: Client) -> Any:
            fields = values if prepare is None else await prepare(client, values, beside)
            return await client.call_json(described.name, fields)

        result = ask(work, url=url, agent=agent, or_alone=or_alone)
        if not show_secret:
            result = show.without_secret(described, result)
        show.result(described, result, as_json=as_json)

    needed = {field.name for field in positional if field.name not in shape.optional}
    parameters = _arguments(positional, needed)
    parameters += [_option(field) for field in fields.values() if field not in positional]
    parameters += [*options, *_common(described)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _arguments(fields: Sequence[Field], needed: set[str]) -> list[inspect.Parameter]:
    """Fields given by position. A list that others follow is one word, with commas in it."""
    made = []
    for index, field in enumerate(fields):
        listed = field.many and index == len(fields) - 1
        words = [_help(field)] if listed or not field.many else [field.help, "Several with commas between."]
        about = typer.Argument(help=" ".join(words), show_default=False)
        type_ = list[str] if listed else str if field.many else _type(field)
        made.append(_parameter(field.name, type_, about, required=field.name in needed))
    return made


def _option(field: Field) -> inspect.Parameter:
    flag = f"--{field.name.replace('_', '-')}"
    if field.type == "boolean" and field.default is not False:
        flag += f"/--no-{field.name.replace('_', '-')}"
    about = typer.Option(flag, help=_help(field), show_default=False)
    if field.many:  # the terminal's library knows no lists of choices
        type_: Any = list[str] if field.choices else list[_type(field)]  # type: ignore[misc]
    else:
        type_ = _type(field)
    return _parameter(field.name, type_, about, required=field.required)


def _type(field: Field) -> Any:
    return Literal[field.choices] if field.choices else _TYPES.get(field.type, str)


def _parameter(name: str, type_: Any, about: Any, *, required: bool) -> inspect.Parameter:
    annotation = Annotated[type_, about] if required else Annotated[type_ | None, about]
    default = inspect.Parameter.empty if required else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _help(field: Field) -> str:
    parts = [field.help or f"{field.name.replace('_', ' ').capitalize()}."]
    if field.type == "json":
        parts.append("As JSON.")
    elif field.type == "any":
        parts.append("What begins with '{' or '[' is JSON; '-' reads standard input.")
    elif field.name in _PAST:
        parts.append("'2h' is two hours ago.")
    elif field.many:
        commas = field.name in _COMMAS
        parts.append("Several with commas between." if commas else "May be given several times.")
    elif field.name in _FROM_STDIN:
        parts.append("'-' reads standard input.")
    if field.default not in (None, "", [], False) and field.type != "boolean":
        parts.append(f"Default: {field.default}.")
    return " ".join(parts)


def _common(described: Described) -> list[inspect.Parameter]:
    common = [
        option("as_json", AsJson, False),
        option("server_url", Url),
        option("acting_agent", ActingAgent),
    ]
    if described.secret:
        help_ = f"Print the new {described.secret}. It can't be shown again."
        about = typer.Option(f"--show-{described.secret}", help=help_)
        common.insert(0, option("show_secret", Annotated[bool, about], False))
    return common


def _value(field: Field, given: Any) -> Any:
    if field.many and isinstance(given, str):
        return words(given)
    if field.name in _COMMAS:
        return [word for one in given for word in words(one)]
    if field.name in _PAST:
        return moment(given)
    if field.type == "any":
        given = sys.stdin.read() if given == "-" else given
    if field.type == "json" or (field.type == "any" and given[:1] in ("{", "[")):
        try:
            return json.loads(given)
        except ValueError as error:
            hint = "Write texts in double quotes, and quote the whole for the shell."
            raise InvalidRequest(f"{field.name}: this is not JSON: {error}", hint=hint) from None
    if given == "-" and field.name in _FROM_STDIN:
        return sys.stdin.read()
    return given
