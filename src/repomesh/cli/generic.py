"""Commands generated from the catalogue, one for each operation: fields become options and arguments."""

from __future__ import annotations

import inspect
import json
import keyword
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
from repomesh.cli.failures import name_options
from repomesh.cli.lazy_group import LazyGroup, build_command
from repomesh.cli.options import ActingAgent, AsJson, Url
from repomesh.cli.with_client import WITHOUT_SERVER, run_with_client
from repomesh.client.catalogue import OperationDescription, RequestField, operation, operations
from repomesh.client.errors import RemoteError
from repomesh.kernel.errors import InvalidRequest

if TYPE_CHECKING:
    from repomesh.client.client import Client

Prepare = Callable[["Client", dict[str, Any], Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""(client, fields, further options) -> the fields to send."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """How a command was told to reach the server, and whether to print JSON."""

    url: str | None
    agent: str | None
    as_json: bool


Finish = Callable[[Mapping[str, Any], Mapping[str, Any], Invocation], None]
"""(answer, further options, invocation): what a command does once its answer is printed."""

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
_SENTENCES = frozenset({"agenda", "options"})  # lists of texts, which are not split at commas
_WORD_LISTS = frozenset({"options"})  # lists of texts, split where all parts are single words
_SINGLE_WORDS = re.compile(r"[^,\s]*[^\W\d][^,\s]*(,[^,\s]+){1,7}")  # not a number such as 1,000
_JOINED = frozenset({"text"})  # of queries only: several arguments are joined to one text
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def noun_group(noun: str, help_: str) -> typer.Typer:
    """Return the command group of a noun: a command for each operation `noun.*` that a client can call."""
    cls = type("Noun", (LazyGroup,), {"entries": {}})
    app = typer.Typer(cls=cls, help=help_, no_args_is_help=True, add_completion=False)
    for name, described in operations().items():
        shape = SHAPES.get(name, CommandOverride())
        if name.partition(".")[0] == noun and described.kind != "subscription" and not shape.hidden:
            add_command(app, described, shape)
    for name, shape in FURTHER:
        if name.partition(".")[0] == noun:
            add_command(app, operation(name), shape)
    return app


def add_command(
    app: typer.Typer,
    described: OperationDescription,
    shape: CommandOverride,
    options: Sequence[inspect.Parameter] = (),
    prepare: Prepare | None = None,
    finish: Finish | None = None,
) -> None:
    """Add a command for an operation to an app of `noun_group`.

    `options` are no fields of the operation: `prepare` turns their values into fields, and `finish` does what
    else they ask for once the answer is printed.
    """
    name = shape.name or described.name.partition(".")[2].replace("_", "-").replace(".", "-")
    app.info.cls.entries[name] = _Entry(described, shape, options, prepare, finish)  # type: ignore[union-attr]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A command of one operation, built when it is called: building its options takes time."""

    described: OperationDescription
    shape: CommandOverride
    options: Sequence[inspect.Parameter]
    prepare: Prepare | None
    finish: Finish | None
    panel: None = None

    @property
    def help(self) -> str:
        """The help, one line for each paragraph: the terminal wraps lines."""
        summary = self.shape.help or self.described.summary
        paragraphs = f"{summary}\n\n{self.described.description}".strip().split("\n\n")
        prompt_names = _prompt_names(self.described, self.shape)
        return "\n\n".join(
            prompt_hints.translate_help(" ".join(paragraph.split()), prompt_names) for paragraph in paragraphs
        )

    def make(self, name: str) -> Any:
        """Build the command."""
        app = typer.Typer(add_completion=False)
        app.command(name, help=self.help)(
            _build_runner(self.described, self.shape, self.options, self.prepare, self.finish)
        )
        return build_command(app, name)


def make_option(name: str, annotation: Any, default: object = None) -> inspect.Parameter:
    """Return the parameter of an option for `add_command`."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def parse_moment(text: str) -> str:
    """Return a time for the API: '90s', '15m', '2h', '3d' as UTC time so long ago; other text unchanged."""
    ago = re.fullmatch(r"(\d+)([smhd])", text)
    if ago is None:
        return text
    moment = datetime.now(UTC) - timedelta(seconds=int(ago[1]) * _UNITS[ago[2]])
    return moment.isoformat().replace("+00:00", "Z")


def parse_past_moment(option_name: str, text: str) -> str:
    """Return `parse_moment(text)`; raises InvalidRequest with the option if that is no time."""
    moment = parse_moment(text)
    try:
        datetime.fromisoformat(moment)
    except ValueError:
        hint = "Give '90s', '15m', '2h' or '3d' for so long ago, or a time like 2026-01-31T12:00:00Z."
        raise InvalidRequest(f"{option_name}: '{text}' is no time", hint=hint) from None
    return moment


def is_duration(field: RequestField) -> bool:
    """Whether a field is a number of seconds."""
    return field.name.endswith("_s") and field.type in ("integer", "number")


def parse_seconds(option_name: str, text: str) -> float:
    """Return the seconds of a number, '90s', '5m', '2h' or '1d'; raises InvalidRequest with the option."""
    match = re.fullmatch(r"(-?\d+(?:\.\d+)?)([smhd]?)", text.strip())
    if match is None:
        hint = "Give a number of seconds, or '90s', '5m', '2h' or '1d'."
        raise InvalidRequest(f"{option_name}: '{text}' is no duration", hint=hint)
    number = float(match[1]) * _UNITS[match[2] or "s"]
    return int(number) if number.is_integer() else number


def split_list(text: str) -> list[str]:
    """Split a text at its commas, except at those inside braces and brackets; parts are stripped."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "{[") - (character in "}]")
        if character == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def _splits(field: RequestField) -> bool:
    """Whether the values of this list field are split at commas."""
    return field.many and field.type == "string" and field.name not in _SENTENCES


def _positional_fields(described: OperationDescription, shape: CommandOverride) -> tuple[str, ...]:
    """Return the names of the fields given by position."""
    in_path = tuple(field.name for field in described.fields if f"{{{field.name}}}" in described.path)
    return shape.arguments or in_path


def _prompt_names(described: OperationDescription, shape: CommandOverride) -> dict[str, str]:
    """Return the name at the prompt by field: its option, or the name of its argument."""
    by_position = {name: name.upper() for name in _positional_fields(described, shape)}
    return {field.name: flag(field.name) for field in described.fields} | by_position


def _build_runner(
    described: OperationDescription,
    shape: CommandOverride,
    options: Sequence[inspect.Parameter],
    prepare: Prepare | None,
    finish: Finish | None,
) -> Callable[..., None]:
    """Return a function with a parameter for each field, from which Typer builds the command."""
    fields = {field.name: field for field in described.fields if field.name not in shape.left_out}
    positional = [fields[name] for name in _positional_fields(described, shape)]
    field_names = {_parameter_name(name): name for name in fields}
    prompt_names = _prompt_names(described, shape)
    allow_offline = described.name.partition(".")[0] in WITHOUT_SERVER
    positional_names = [field.name for field in positional]

    def run(**arguments: Any) -> None:
        as_json = arguments.pop("as_json")
        url, agent = arguments.pop("server_url"), arguments.pop("acting_agent")
        show_secret = arguments.pop("show_secret", False)
        to_file, verbose = arguments.pop("to_file", None), arguments.pop("verbose", False)
        if to_file is None:
            show_secret = secrets.should_show(described, requested=show_secret, as_json=as_json)
        option_values = {parameter.name: arguments.pop(parameter.name) for parameter in options}
        values = {
            field_names[name]: parse_value(fields[field_names[name]], value)
            for name, value in arguments.items()
            if value not in (None, [])
        }
        suggestion = ""

        async def work(client: Client) -> Any:
            nonlocal suggestion
            fields = values if prepare is None else await prepare(client, values, option_values)
            fields = pathspecs.resolve(described.name, fields, url)
            request = await ids.resolve(client, described.name, fields)
            request = await fencing_tokens.add_token(client, described, request)
            try:
                answer = await waiting.call(client, described, request, agent)
            except RemoteError as error:
                suggestion = await corrections.suggest_alternative(
                    client, described, positional_names, request, error
                )
                raise
            try:
                write_secret(answer)
            except OSError:
                await secrets.revoke_unsaved(client, described, answer)
                raise
            return answer if as_json else await show.add_actor_names(client, described, answer)

        try:
            with secrets.secret_file(to_file, described) as write_secret:
                result = run_with_client(
                    work,
                    url=url,
                    agent=agent,
                    allow_offline=allow_offline,
                    writes=described.kind == "command",
                )
        except RemoteError as error:
            error = corrections.add_correction(described, positional_names, values, error, suggestion)
            raise name_options(error, prompt_names, values) from None
        except ids.IdNotFound as error:
            error.hint = f"{corrections.suggest_swapped_id(described, positional_names, values)}{error.hint}"
            raise
        if not show_secret:
            result = show.hide_secret(described, result)
        default = next((field.default for field in described.fields if field.name == "what"), None)
        looked_at = values.get("what", default) or ()
        brief = described.kind == "command" and not verbose
        show.print_result(described, result, as_json=as_json, looked_at=looked_at, brief=brief)
        if finish is not None:
            finish(result, option_values, Invocation(url, agent, as_json))

    required_names = {field.name for field in positional if field.name not in shape.optional}
    parameters = _build_arguments(described, positional, required_names, prompt_names)
    parameters += [
        _build_option(described, field, prompt_names) for field in fields.values() if field not in positional
    ]
    parameters += [*options, *_common_options(described)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _build_arguments(
    described: OperationDescription,
    fields: Sequence[RequestField],
    required_names: set[str],
    prompt_names: Mapping[str, str],
) -> list[inspect.Parameter]:
    """Return the parameters of fields given by position; only the last list may be several words."""
    parameters = []
    for index, field in enumerate(fields):
        is_repeatable = field.many and index == len(fields) - 1
        help_parts = [_help(described, field, prompt_names)]
        if field.many and not is_repeatable:
            help_parts = [_describe(described, field, prompt_names), "Several with commas between."]
        completer = completing.field_completer(described.name, field.name)
        help_ = " ".join(help_parts)
        argument = typer.Argument(
            metavar=field.name.upper(), help=help_, show_default=False, autocompletion=completer
        )
        is_repeatable = is_repeatable or (
            field.name in _JOINED and described.kind == "query" and field is fields[-1]
        )
        type_ = list[str] if is_repeatable else str if field.many else _type(field)
        parameters.append(
            _build_parameter(field.name, type_, argument, required=field.name in required_names)
        )
    return parameters


def flag(name: str) -> str:
    """Return the option of a field: `task_id` -> '--task-id'."""
    return f"--{name.replace('_', '-')}"


_SYNONYMS: dict[str, tuple[str, ...]] = {
    "dependencies": ("--depends-on",),
    "capabilities": ("--capability",),
    "note": ("--reason",),
    "reason": ("--note",),
}
"""By field: options of the same meaning that other operations use, accepted as well."""


def flags_of(field: RequestField, described: OperationDescription) -> list[str]:
    """Return every option of a field: its own first, then aliases that no other field uses.

    '--task' stands for '--task-id', and '--tag' for '--tags'.
    """
    own = flag(field.name)
    aliases = list(_SYNONYMS.get(field.name, ()))
    if is_duration(field):
        aliases.append(own.removesuffix("-s"))
    if own.endswith("-id"):
        aliases.append(own.removesuffix("-id"))
    elif field.many and own.endswith("s") and not own.endswith("ies"):
        aliases.append(own[:-1])
    reserved = {flag(other.name) for other in described.fields} | {"--url", "--as", "--json", "--verbose"}
    return [own, *(alias for alias in aliases if alias not in reserved)]


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
    """Return the metavar of an option; None for a flag, and for one that lists its choices."""
    if field.type == "boolean" or (field.choices and not field.many):
        return None
    if field.choices:
        return "CHOICE"
    if field.name in _WORDS:
        return _WORDS[field.name]
    if ids.kinds_of(described.name, field.name) == ("agent",):
        return "AGENT"
    if ids.kinds_of(described.name, field.name) is not None:
        return "ID"
    unit = next((word for end, word in _AMOUNTS.items() if field.name.endswith(end)), None)
    if unit is not None:
        return unit
    return {"integer": "NUMBER", "number": "NUMBER", "time": "TIME", "json": "JSON"}.get(field.type, "TEXT")


def _build_option(
    described: OperationDescription, field: RequestField, prompt_names: Mapping[str, str]
) -> inspect.Parameter:
    flags = flags_of(field, described)
    if field.type == "boolean" and field.default is not False:
        flags = [f"{flags[0]}/--no-{flags[0][2:]}"]
    completer = completing.field_completer(described.name, field.name)
    lookup_note = " Left out: that of the present claim." * fencing_tokens.may_be_looked_up(described, field)
    option = typer.Option(
        *flags,
        metavar=_metavar(described, field),
        help=_help(described, field, prompt_names) + lookup_note,
        show_default=False,
        autocompletion=completer,
    )
    if field.many:  # Typer has no lists of choices
        type_: Any = list[str] if field.choices else list[_type(field)]  # type: ignore[misc]
    else:
        type_ = _type(field)
    required = field.required and not fencing_tokens.may_be_looked_up(described, field)
    return _build_parameter(field.name, type_, option, required=required)


def _type(field: RequestField) -> Any:
    if is_duration(field):
        return str
    return Literal[field.choices] if field.choices else _TYPES.get(field.type, str)


def _build_parameter(name: str, type_: Any, info: Any, *, required: bool) -> inspect.Parameter:
    annotation = Annotated[type_, info] if required else Annotated[type_ | None, info]
    default = inspect.Parameter.empty if required else None
    return inspect.Parameter(
        _parameter_name(name), inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


def _parameter_name(name: str) -> str:
    """The name of a field's parameter, which is no word of Python's own."""
    return f"{name}_" if keyword.iskeyword(name) else name


def _describe(described: OperationDescription, field: RequestField, prompt_names: Mapping[str, str]) -> str:
    """Return the description of a field, with options and commands in place of fields and routes."""
    text = (
        prompt_hints.translate_help(field.help, prompt_names)
        or f"{field.name.replace('_', ' ').capitalize()}."
    )
    if pathspecs.is_pathspec(described.name, field.name):
        text = text.replace(" from the repository's root", "")
        text = f"{text} {pathspecs.HELP}"
    return text


def _help(described: OperationDescription, field: RequestField, prompt_names: Mapping[str, str]) -> str:
    parts = [_describe(described, field, prompt_names)]
    if field.many and field.choices:
        parts.append(f"Of: {', '.join(str(choice) for choice in field.choices)}.")
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
        default_text = ", ".join(map(str, default)) if isinstance(default, (list, tuple)) else default
        parts.append(f"Default: {default_text}.")
    return " ".join(parts)


def _common_options(described: OperationDescription) -> list[inspect.Parameter]:
    common = [
        make_option("as_json", AsJson, False),
        make_option("server_url", Url),
        make_option("acting_agent", ActingAgent),
    ]
    if described.kind == "command":
        verbose = typer.Option("--verbose", help="Print all that the server answers.")
        common.insert(0, make_option("verbose", Annotated[bool, verbose], False))
    if described.secret:
        help_ = f"Print the new {described.secret}. It can't be shown again."
        show_secret = typer.Option(f"--show-{described.secret}", help=help_)
        common.insert(0, make_option("show_secret", Annotated[bool, show_secret], False))
        words = f"Write the new {described.secret} to this file, for its user alone."
        file = typer.Option("--to-file", metavar="FILE", help=words, show_default=False)
        common.insert(1, make_option("to_file", Annotated[Path | None, file]))
    return common


def parse_value(field: RequestField, typed: Any) -> Any:
    """Return the value of a field to send, from the text or texts that were typed.

    Raises InvalidRequest for bad JSON, a bad duration or a bad time.
    """
    if field.many and isinstance(typed, str):
        return split_list(typed)
    if field.name in _WORD_LISTS and len(typed) == 1 and _SINGLE_WORDS.fullmatch(typed[0]):
        return split_list(typed[0])
    if _splits(field):
        return [word for text in typed for word in split_list(text)]
    if field.name in _PAST:
        return parse_past_moment(flag(field.name), typed)
    if is_duration(field):
        return parse_seconds(flag(field.name), typed)
    if field.name in _JOINED and isinstance(typed, list):
        typed = " ".join(typed)
    if typed == "-" and (field.type == "any" or (field.type != "json" and field.name in _FROM_STDIN)):
        typed = sys.stdin.read()
    return parse_json_field(field, typed)


def parse_json_field(field: RequestField, typed: Any) -> Any:
    """Parse the value of a field that takes JSON, else return it unchanged; raises InvalidRequest."""
    if field.type == "json" or (field.type == "any" and typed[:1] in ("{", "[")):
        try:
            return json.loads(typed)
        except ValueError as error:
            hint = "Write texts in double quotes, and quote the whole for the shell."
            raise InvalidRequest(f"{field.name}: this is not JSON: {error}", hint=hint) from None
    return typed
