"""Messages and hints for command lines that Typer refuses."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any, Final

from typer._click.core import Context
from typer._click.exceptions import (
    BadOptionUsage,
    ClickException,
    MissingParameter,
    NoSuchOption,
    UsageError,
)
from typer.core import TyperArgument, TyperGroup

from repomesh.cli import spelling, synonyms

CHOICES: Final = re.compile(r"'([^']*)'")
FROM_STDIN: Final = "'-' reads standard input."
"""In the help of a parameter whose value may come from standard input."""

_TEXTS: Final = frozenset(
    {"answer", "body", "content", "decision", "goal", "question", "query", "text", "title", "topic"}
)
"""Arguments that hold a text, which people forget to quote."""
_TRUE: Final = frozenset({"true", "yes", "on", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "0"})
_OF_COMMANDS: Final = {"--as": " NAME", "--json": "", "--url": " URL"}
"""Options of every command that groups do not have, each with its value."""
_MEANT_BY_OPTION: Final = {
    "agent": ("to",),
    "body": ("body", "content", "text"),
    "content": ("content", "body", "text"),
    "id": ("task_id", "message_id", "meeting_id", "session_id"),
    "message": ("body", "content"),
    "name": ("name", "key", "session_id"),
    "query": ("text", "query"),
    "recipient": ("to",),
    "session": ("session_id",),
    "text": ("text", "body", "content", "question", "goal"),
    "title": ("goal", "topic", "title"),
}
"""By an option that people expect: the arguments that may be meant."""


def explain(error: ClickException, message: str) -> tuple[str, str]:
    """Return the message and the hint for a usage error whose own message is `message`."""
    context: Any = error.ctx if isinstance(error, UsageError) else None
    path = context.command_path if context is not None else "repomesh"
    hint = f"'{path} --help' shows how it is used."
    unknown = re.fullmatch(r"No such command '(.*?)'(?:\. Did you mean (.*)\?)?", message, re.DOTALL)
    choice = re.search(r"'(.*)' is not one of (.*)", message)
    extra = re.fullmatch(r"Got unexpected extra argument(?:s|\(s\))? \((.*)\)", message, re.DOTALL)
    is_group = context is not None and isinstance(context.command, TyperGroup)
    if unknown is not None:
        commands = context.command.list_commands(context) if is_group else []
        hint = synonyms.suggest_command(path, unknown[1], commands)
        return f"there is no command '{path} {unknown[1]}'", hint
    if isinstance(error, NoSuchOption):
        message = f"no such option: {error.option_name}"
        if is_group and error.option_name in _OF_COMMANDS:
            value = _OF_COMMANDS[error.option_name]
            return message, f"Put it after the command: '{path} … {error.option_name}{value}'."
        return message, f"{_suggest_argument(error.option_name, context)}{hint}"
    if choice is not None:
        choices = CHOICES.findall(choice[2])
        swapped = _suggest_order(context, choice[1], choices)
        suggestion = spelling.did_you_mean(spelling.similar_words(choice[1], choices))
        return message, swapped or f"{suggestion}{hint}"
    if extra is not None and context is not None:
        message = message.replace("argument(s)", "arguments" if " " in extra[1] else "argument")
        return message, f"{_explain_extra(context, extra[1])}{hint}"
    if isinstance(error, MissingParameter):
        return message, f"{_explain_missing(error)}{hint}"
    if isinstance(error, BadOptionUsage):
        return message, _explain_missing_value(error, hint)
    return message, hint


def lower_first(message: str) -> str:
    """Return the message with a small first letter, unless its first word is a metavar."""
    return message if message[1:2].isupper() or message[1:2] == "_" else message[:1].lower() + message[1:]


def _arguments(context: Context) -> list[Any]:
    return [parameter for parameter in context.command.params if isinstance(parameter, TyperArgument)]


def usage_line(context: Context) -> str:
    """Return the command with the names of its arguments in their order."""
    return " ".join([context.command_path, *(_metavar(argument) for argument in _arguments(context))])


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or (parameter.name or "").upper())


def _suggest_argument(name: str, context: Context | None) -> str:
    """Return what to type in place of an unknown option; ends with a space, or is empty."""
    if context is None:
        return ""
    word = name.lstrip("-").replace("-", "_")
    arguments = {parameter.name: parameter for parameter in _arguments(context)}
    meant_names = (word, *_MEANT_BY_OPTION.get(word, ()))
    argument = next((arguments[each] for each in meant_names if each in arguments), None)
    if argument is not None:
        metavar = _metavar(argument)
        return f"{metavar} is given without an option, by its position: '{usage_line(context)}'. "
    options = [
        flag for parameter in context.command.params for flag in (*parameter.opts, *parameter.secondary_opts)
    ]
    similar = spelling.similar_words(name, [flag for flag in options if flag.startswith("--")])
    return spelling.did_you_mean(similar)


def _suggest_order(context: Context | None, refused: str, choices: Sequence[str]) -> str:
    """Return the right order if another argument holds one of `choices`; else empty."""
    if context is None or not any(
        context.params.get(argument.name) in choices for argument in _arguments(context)
    ):
        return ""
    values = [context.params.get(argument.name) for argument in _arguments(context)]
    choice = next(value for value in values if value in choices)
    words = [refused if value in choices else choice for value in values]
    corrected = shlex.join([*context.command_path.split(), *(str(word) for word in words)])
    return f"The order is '{usage_line(context)}'. Did you mean '{corrected}'?"


def _explain_extra(context: Context, extra: str) -> str:
    """Return what to do with surplus arguments; ends with a space, or is empty."""
    flag = next(
        (
            parameter
            for parameter in context.command.params
            if getattr(parameter, "is_flag", False) and context.params[parameter.name]
        ),
        None,
    )
    if extra.lower() in _TRUE | _FALSE and flag is not None:
        return _explain_flag_value(flag, extra)
    arguments = _arguments(context)
    if any("--output" in parameter.opts for parameter in context.command.params) and " " not in extra:
        return f"Name the file with '--output {shlex.quote(extra)}'. "
    if not arguments or arguments[-1].name not in _TEXTS:
        return ""
    before = [shlex.quote(str(context.params.get(parameter.name) or "")) for parameter in arguments[:-1]]
    text = f'"{context.params.get(arguments[-1].name)} {extra}"'
    return f"Put the text in quotes: {' '.join([context.command_path, *before, text])}. "


def _explain_flag_value(flag: Any, value: str) -> str:
    """Return what to type in place of a flag with a value, as `--ready false`; ends with a space."""
    name = flag.opts[0]
    if value.lower() in _TRUE:
        return f"{name} takes no value: leave out '{value}'. "
    instead = f"write {flag.secondary_opts[0]}" if flag.secondary_opts else f"leave out {name}, too"
    return f"{name} takes no value: {instead}. "


def _explain_missing(error: MissingParameter) -> str:
    """Return how to give a missing text; ends with a space, or is empty."""
    parameter = error.param
    help_ = str(getattr(parameter, "help", "") or "")
    if not isinstance(parameter, TyperArgument) or FROM_STDIN not in help_:
        return ""
    return f"Give {_metavar(parameter)}, or '-' to read it from standard input. "


def _explain_missing_value(error: BadOptionUsage, hint: str) -> str:
    if error.option_name == "--as":
        return "Name the agent: '--as NAME'."
    if "does not take a value" in error.message:
        return f"Give {error.option_name} alone, or leave it out. {hint}"
    return hint
