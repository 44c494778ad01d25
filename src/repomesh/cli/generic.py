"""Commands that are one operation each, made from the catalogue: options from fields, help from its words."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from repomesh.cli import (
    completing,
    corrections,
    fencing_tokens,
    ids,
    pathspecs,
    prompt_hints,
    secrets,
    show,
    waiting,
)
from repomesh.cli.command_overrides import FURTHER, SHAPES, CommandOverride
from repomesh.cli.failures import in_options
from repomesh.cli.lazy_group import LazyGroup, command_of
from repomesh.cli.options import ActingAgent, AsJson, Url
from repomesh.cli.with_client import WITHOUT_SERVER, ask
from repomesh.client.catalogue import OperationDescription, RequestField, operation, operations
from repomesh.client.errors import RemoteError
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
_SENTENCES = frozenset({"agenda", "options"})  # lists of texts, in which a comma is a comma
_WORD_LISTS = frozenset({"options"})  # of these, single words with commas between are several
_SINGLE_WORDS = re.compile(r"[^,\s]*[^\W\d][^,\s]*(,[^,\s]+){1,7}")  # no number such as 1,000
_JOINED = frozenset({"text"})  # of queries, which change nothing: several words are one text
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def group(noun: str, help_: str) -> typer.Typer:
    """The commands of a noun: one for each operation of that name that a client can call."""
    cls = type("Noun", (LazyGroup,), {"entries": {}})
    app = typer.Typer(cls=cls, help=help_, no_args_is_help=True, add_completion=False)
    for name, described in operations().items():
        shape = SHAPES.get(name, CommandOverride())
        if name.partition(".")[0] == noun and described.kind != "subscription" and not shape.hidden:
            add(app, described, shape)
    for name, shape in FURTHER:
        if name.partition(".")[0] == noun:
            add(app, operation(name), shape)
    return app


def add(
    app: typer.Typer,
    described: OperationDescription,
    shape: CommandOverride,
    options: Sequence[inspect.Parameter] = (),
    prepare: Prepare | None = None,
) -> None:
    """Add a command for an operation to the app of `group`.

    Of `options`, which are none of its fields, `prepare` makes fields.
    """
    name = shape.name or described.name.partition(".")[2].replace("_", "-").replace(".", "-")
    app.info.cls.entries[name] = _Entry(described, shape, options, prepare)  # type: ignore[union-attr]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A command of one operation, made when it is called: its options take time to make."""

    described: OperationDescription
    shape: CommandOverride
    options: Sequence[inspect.Parameter]
    prepare: Prepare | None
    panel: None = None

    @property
    def help(self) -> str:
        """One paragraph each on a line: the terminal breaks the lines, not the source."""
        summary = self.shape.help or self.described.summary
        paragraphs = f"{summary}\n\n{self.described.description}".strip().split("\n\n")
        called = _called(self.described, self.shape)
        return "\n\n".join(
            prompt_hints.help_of(" ".join(paragraph.split()), called) for paragraph in paragraphs
        )

    def made(self, name: str) -> Any:
        """Make the command."""
        app = typer.Typer(add_completion=False)
        app.command(name, help=self.help)(_runner(self.described, self.shape, self.options, self.prepare))
        return command_of(app, name)


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


def past_moment(called: str, text: str) -> str:
    """The same; raises InvalidRequest, which names the option, for what is no time."""
    then = moment(text)
    try:
        datetime.fromisoformat(then)
    except ValueError:
        hint = "Give '90s', '15m', '2h' or '3d' for so long ago, or a time like 2026-01-31T12:00:00Z."
        raise InvalidRequest(f"{called}: '{text}' is no time", hint=hint) from None
    return then


def is_duration(field: RequestField) -> bool:
    """Whether a field is a number of seconds."""
    return field.name.endswith("_s") and field.type in ("integer", "number")


def seconds(called: str, text: str) -> float:
    """A number of seconds, or '90s', '5m', '2h', '1d'; raises InvalidRequest, which names the option."""
    found = re.fullmatch(r"(-?\d+(?:\.\d+)?)([smhd]?)", text.strip())
    if found is None:
        hint = "Give a number of seconds, or '90s', '5m', '2h' or '1d'."
        raise InvalidRequest(f"{called}: '{text}' is no duration", hint=hint)
    number = float(found[1]) * _UNITS[found[2] or "s"]
    return int(number) if number.is_integer() else number


def words(text: str) -> list[str]:
    """What stands between the commas of a text, but for those inside the braces and brackets of patterns."""
    found, depth = [""], 0
    for character in text:
        depth += (character in "{[") - (character in "}]")
        if character == "," and depth <= 0:
            found.append("")
        else:
            found[-1] += character
    return [word.strip() for word in found]


def _splits(field: RequestField) -> bool:
    """Whether a word of this list may name several things, with commas between."""
    return field.many and field.type == "string" and field.name not in _SENTENCES


def _positional(described: OperationDescription, shape: CommandOverride) -> tuple[str, ...]:
    """The fields that are given by position."""
    in_path = tuple(field.name for field in described.fields if f"{{{field.name}}}" in described.path)
    return shape.arguments or in_path


def _called(described: OperationDescription, shape: CommandOverride) -> dict[str, str]:
    """By field the word by which it is known at the prompt: an option, or an argument's name."""
    by_position = {name: name.upper() for name in _positional(described, shape)}
    return {field.name: flag(field.name) for field in described.fields} | by_position


def _runner(
    described: OperationDescription,
    shape: CommandOverride,
    options: Sequence[inspect.Parameter],
    prepare: Prepare | None,
) -> Callable[..., None]:
    """A function with a parameter for each field, from which Typer makes the command."""
    fields = {field.name: field for field in described.fields if field.name not in shape.left_out}
    positional = [fields[name] for name in _positional(described, shape)]
    called = _called(described, shape)
    or_alone = described.name.partition(".")[0] in WITHOUT_SERVER
    names = [field.name for field in positional]

    def run(**given: Any) -> None:
        as_json, url, agent = given.pop("as_json"), given.pop("server_url"), given.pop("acting_agent")
        show_secret = given.pop("show_secret", False)
        to_file, verbose = given.pop("to_file", None), given.pop("verbose", False)
        if to_file is None:
            show_secret = secrets.shown(described, wanted=show_secret, as_json=as_json)
        beside = {each.name: given.pop(each.name) for each in options}
        values = {
            name: value_of(fields[name], value) for name, value in given.items() if value not in (None, [])
        }
        meant = ""

        async def work(client: Client) -> Any:
            nonlocal meant
            fields = values if prepare is None else await prepare(client, values, beside)
            fields = pathspecs.resolved(described.name, fields, url)
            whole = await ids.resolved(client, described.name, fields)
            whole = await fencing_tokens.with_token(client, described, whole)
            try:
                answer = await waiting.call(client, described, whole, agent)
            except RemoteError as error:
                meant = await corrections.meant(client, described, names, whole, error)
                raise
            try:
                keep(answer)
            except OSError:
                await secrets.take_back(client, described, answer)
                raise
            return answer if as_json else await show.with_names(client, described, answer)

        try:
            with secrets.kept_file(to_file, described) as keep:
                result = ask(
                    work, url=url, agent=agent, or_alone=or_alone, writes=described.kind == "command"
                )
        except RemoteError as error:
            error = corrections.corrected(described, names, values, error, meant)
            raise in_options(error, called, values) from None
        except ids.IdNotFound as error:
            error.hint = f"{corrections.swapped_id(described, names, values)}{error.hint}"
            raise
        if not show_secret:
            result = show.without_secret(described, result)
        default = next((field.default for field in described.fields if field.name == "what"), None)
        looked_at = values.get("what", default) or ()
        brief = described.kind == "command" and not verbose
        show.result(described, result, as_json=as_json, looked_at=looked_at, brief=brief)

    needed = {field.name for field in positional if field.name not in shape.optional}
    parameters = _arguments(described, positional, needed, called)
    parameters += [_option(described, field, called) for field in fields.values() if field not in positional]
    parameters += [*options, *_common(described)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _arguments(
    described: OperationDescription,
    fields: Sequence[RequestField],
    needed: set[str],
    called: Mapping[str, str],
) -> list[inspect.Parameter]:
    """Fields given by position. A list that others follow is one word, with commas in it."""
    made = []
    for index, field in enumerate(fields):
        listed = field.many and index == len(fields) - 1
        words = [_help(described, field, called)]
        if field.many and not listed:
            words = [_about(described, field, called), "Several with commas between."]
        offered = completing.of_field(described.name, field.name)
        about = typer.Argument(
            metavar=field.name.upper(), help=" ".join(words), show_default=False, autocompletion=offered
        )
        listed = listed or (field.name in _JOINED and described.kind == "query" and field is fields[-1])
        type_ = list[str] if listed else str if field.many else _type(field)
        made.append(_parameter(field.name, type_, about, required=field.name in needed))
    return made


def flag(name: str) -> str:
    """The option that a field is given by."""
    return f"--{name.replace('_', '-')}"


_SYNONYMS: dict[str, tuple[str, ...]] = {
    "dependencies": ("--depends-on",),
    "capabilities": ("--capability",),
    "note": ("--reason",),
    "reason": ("--note",),
}
"""Options of one meaning that operations call by different words: each takes both."""


def flags_of(field: RequestField, described: OperationDescription) -> list[str]:
    """Every option by which a field is given: its own first, then those that no other field has.

    '--task' is '--task-id', and one of several '--tags' may be called '--tag'.
    """
    own = flag(field.name)
    also = list(_SYNONYMS.get(field.name, ()))
    if is_duration(field):
        also.append(own.removesuffix("-s"))
    if own.endswith("-id"):
        also.append(own.removesuffix("-id"))
    elif field.many and own.endswith("s") and not own.endswith("ies"):
        also.append(own[:-1])
    taken = {flag(each.name) for each in described.fields} | {"--url", "--as", "--json", "--verbose"}
    return [own, *(one for one in also if one not in taken)]


_AMOUNTS: Final = {"_s": "SECONDS", "_at": "TIME", "_id": "ID", "_ids": "ID", "_chars": "CHARACTERS"}
_WORDS: Final = {
    "since": "TIME",
    "until": "TIME",
    "dependencies": "ID",
    "to": "NAME",
    "files": "PATH",
    "file": "PATH",
    "path": "PATH",
    "paths": "PATH",
    "folders": "PATH",
    "scope": "PATH",
    "resources": "RESOURCE",
    "cursor": "CURSOR",
    "artifact_id": "NAME",
    "chunk_id": "NAME",
    "channel": "CHANNEL",
}


def _metavar(described: OperationDescription, field: RequestField) -> str | None:
    """What stands for an option's value in the help; None for a flag, and where the choices do."""
    if field.type == "boolean" or (field.choices and not field.many):
        return None
    if field.choices:
        return "CHOICE"
    if field.name in _WORDS:
        return _WORDS[field.name]
    if ids.sorts_of(described.name, field.name) == ("agent",):
        return "AGENT"
    if ids.sorts_of(described.name, field.name) is not None:
        return "ID"
    unit = next((word for end, word in _AMOUNTS.items() if field.name.endswith(end)), None)
    if unit is not None:
        return unit
    return {"integer": "NUMBER", "number": "NUMBER", "time": "TIME", "json": "JSON"}.get(field.type, "TEXT")


def _option(
    described: OperationDescription, field: RequestField, called: Mapping[str, str]
) -> inspect.Parameter:
    flags = flags_of(field, described)
    if field.type == "boolean" and field.default is not False:
        flags = [f"{flags[0]}/--no-{flags[0][2:]}"]
    offered = completing.of_field(described.name, field.name)
    looked_up = " Left out: that of the present claim." * fencing_tokens.may_be_looked_up(described, field)
    about = typer.Option(
        *flags,
        metavar=_metavar(described, field),
        help=_help(described, field, called) + looked_up,
        show_default=False,
        autocompletion=offered,
    )
    if field.many:  # the terminal's library knows no lists of choices
        type_: Any = list[str] if field.choices else list[_type(field)]  # type: ignore[misc]
    else:
        type_ = _type(field)
    required = field.required and not fencing_tokens.may_be_looked_up(described, field)
    return _parameter(field.name, type_, about, required=required)


def _type(field: RequestField) -> Any:
    if is_duration(field):
        return str
    return Literal[field.choices] if field.choices else _TYPES.get(field.type, str)


def _parameter(name: str, type_: Any, about: Any, *, required: bool) -> inspect.Parameter:
    annotation = Annotated[type_, about] if required else Annotated[type_ | None, about]
    default = inspect.Parameter.empty if required else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _about(described: OperationDescription, field: RequestField, called: Mapping[str, str]) -> str:
    """What a field is, in the words of the prompt."""
    text = prompt_hints.help_of(field.help, called) or f"{field.name.replace('_', ' ').capitalize()}."
    if pathspecs.is_pathspec(described.name, field.name):
        text = text.replace(" from the repository's root", "")
        text = f"{text} {pathspecs.HELP}"
    return text


def _help(described: OperationDescription, field: RequestField, called: Mapping[str, str]) -> str:
    parts = [_about(described, field, called)]
    if field.many and field.choices:
        parts.append(f"Of: {', '.join(str(one) for one in field.choices)}.")
    if field.type == "json":
        parts.append("As JSON.")
    elif field.type == "any":
        parts.append("What begins with '{' or '[' is JSON; '-' reads standard input.")
    elif field.name in _PAST:
        parts.append("'2h' is two hours ago.")
    elif is_duration(field):
        parts.append("'5m' is five minutes.")
    elif field.name in _WORD_LISTS:
        parts.append("May be given several times; 'yes,no' are two, and commas before blanks are commas.")
    elif field.many:
        parts.append(
            "Several with commas between, or given several times."
            if _splits(field)
            else "May be given several times."
        )
    elif field.name in _FROM_STDIN:
        parts.append("'-' reads standard input.")
    if field.default not in (None, "", [], False) and field.type != "boolean":
        default = field.default
        shown = ", ".join(map(str, default)) if isinstance(default, (list, tuple)) else default
        parts.append(f"Default: {shown}.")
    return " ".join(parts)


def _common(described: OperationDescription) -> list[inspect.Parameter]:
    common = [
        option("as_json", AsJson, False),
        option("server_url", Url),
        option("acting_agent", ActingAgent),
    ]
    if described.kind == "command":
        about = typer.Option("--verbose", help="Print all that the server answers.")
        common.insert(0, option("verbose", Annotated[bool, about], False))
    if described.secret:
        help_ = f"Print the new {described.secret}. It can't be shown again."
        about = typer.Option(f"--show-{described.secret}", help=help_)
        common.insert(0, option("show_secret", Annotated[bool, about], False))
        words = f"Write the new {described.secret} to this file, for its user alone."
        file = typer.Option("--to-file", metavar="FILE", help=words, show_default=False)
        common.insert(1, option("to_file", Annotated[Path | None, file]))
    return common


def value_of(field: RequestField, given: Any) -> Any:
    """The value of a field as it is sent, from what was typed.

    Raises InvalidRequest for what is no JSON, no duration or no time where one is needed.
    """
    if field.many and isinstance(given, str):
        return words(given)
    if field.name in _WORD_LISTS and len(given) == 1 and _SINGLE_WORDS.fullmatch(given[0]):
        return words(given[0])
    if _splits(field):
        return [word for one in given for word in words(one)]
    if field.name in _PAST:
        return past_moment(flag(field.name), given)
    if is_duration(field):
        return seconds(flag(field.name), given)
    if field.name in _JOINED and isinstance(given, list):
        given = " ".join(given)
    if given == "-" and (field.type == "any" or (field.type != "json" and field.name in _FROM_STDIN)):
        given = sys.stdin.read()
    return parsed(field, given)


def parsed(field: RequestField, given: Any) -> Any:
    """The JSON of a field that takes it, any other value as it is; raises InvalidRequest for bad JSON."""
    if field.type == "json" or (field.type == "any" and given[:1] in ("{", "[")):
        try:
            return json.loads(given)
        except ValueError as error:
            hint = "Write texts in double quotes, and quote the whole for the shell."
            raise InvalidRequest(f"{field.name}: this is not JSON: {error}", hint=hint) from None
    return given
