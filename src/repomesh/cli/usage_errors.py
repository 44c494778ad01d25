"""What to type in place of a command line that can't be understood."""

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
"""What the help of a parameter says whose value may come from standard input."""

_TEXTS: Final = frozenset(
    {"answer", "body", "content", "decision", "goal", "question", "query", "text", "title", "topic"}
)
"""Arguments that are a text, which people forget to quote."""
_TRUE: Final = frozenset({"true", "yes", "on", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "0"})
_OF_COMMANDS: Final = {"--as": " NAME", "--json": "", "--url": " URL"}
"""Options of every command that groups do not have, each with what follows it."""
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
"""By option that people expect, the arguments that may be meant by it."""


def explained(error: ClickException, message: str) -> tuple[str, str]:
    """Return the message and the hint for a usage error whose own message is `message`."""
    context: Any = error.ctx if isinstance(error, UsageError) else None
    path = context.command_path if context is not None else "repomesh"
    hint = f"'{path} --help' shows how it is used."
    unknown = re.fullmatch(r"No such command '(.*?)'(?:\. Did you mean (.*)\?)?", message, re.DOTALL)
    choice = re.search(r"'(.*)' is not one of (.*)", message)
    extra = re.fullmatch(r"Got unexpected extra argument(?:s|\(s\))? \((.*)\)", message, re.DOTALL)
    is_group = context is not None and isinstance(context.command, TyperGroup)
    if unknown is not None:
        known = context.command.list_commands(context) if is_group else []
        return f"there is no command '{path} {unknown[1]}'", synonyms.instead(path, unknown[1], known)
    if isinstance(error, NoSuchOption):
        message = f"no such option: {error.option_name}"
        if is_group and error.option_name in _OF_COMMANDS:
            value = _OF_COMMANDS[error.option_name]
            return message, f"Put it after the command: '{path} … {error.option_name}{value}'."
        return message, f"{_instead_of_option(error.option_name, context)}{hint}"
    if choice is not None:
        choices = CHOICES.findall(choice[2])
        swapped = _swapped(context, choice[1], choices)
        return message, swapped or f"{spelling.meant(spelling.near(choice[1], choices))}{hint}"
    if extra is not None and context is not None:
        message = message.replace("argument(s)", "arguments" if " " in extra[1] else "argument")
        return message, f"{_extra(context, extra[1])}{hint}"
    if isinstance(error, MissingParameter):
        return message, f"{_missing(error)}{hint}"
    if isinstance(error, BadOptionUsage):
        return message, _without_value(error, hint)
    return message, hint


def lower_first(message: str) -> str:
    """Return the message with a small first letter, unless its first word is a NAME for a value."""
    return message if message[1:2].isupper() or message[1:2] == "_" else message[:1].lower() + message[1:]


def _arguments(context: Context) -> list[Any]:
    return [each for each in context.command.params if isinstance(each, TyperArgument)]


def order_of(context: Context) -> str:
    """The command with the names of its arguments in their order."""
    return " ".join([context.command_path, *(_metavar(each) for each in _arguments(context))])


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or (parameter.name or "").upper())


def _instead_of_option(name: str, context: Context | None) -> str:
    """What to type in place of an option that the command does not have; ends with a space."""
    if context is None:
        return ""
    word = name.lstrip("-").replace("-", "_")
    arguments = {each.name: each for each in _arguments(context)}
    meant = next((each for each in (word, *_MEANT_BY_OPTION.get(word, ())) if each in arguments), None)
    if meant is not None:
        named = _metavar(arguments[meant])
        return f"{named} is given without an option, by its position: '{order_of(context)}'. "
    options = [flag for each in context.command.params for flag in (*each.opts, *each.secondary_opts)]
    near = spelling.near(name, [flag for flag in options if flag.startswith("--")])
    return spelling.meant(near)


def _swapped(context: Context | None, given: str, choices: Sequence[str]) -> str:
    """The right order, where another argument has a value that is one of `choices`; else nothing."""
    if context is None or not any(context.params.get(each.name) in choices for each in _arguments(context)):
        return ""
    values = [context.params.get(each.name) for each in _arguments(context)]
    choice = next(value for value in values if value in choices)
    words = [given if value in choices else choice for value in values]
    typed = shlex.join([*context.command_path.split(), *(str(word) for word in words)])
    return f"The order is '{order_of(context)}'. Did you mean '{typed}'?"


def _extra(context: Context, extra: str) -> str:
    """What to do with more words than the command takes; ends with a space."""
    flag = next(
        (
            each
            for each in context.command.params
            if getattr(each, "is_flag", False) and context.params[each.name]
        ),
        None,
    )
    if extra.lower() in _TRUE | _FALSE and flag is not None:
        return _valued_flag(flag, extra)
    arguments = _arguments(context)
    if any("--output" in each.opts for each in context.command.params) and " " not in extra:
        return f"Name the file with '--output {shlex.quote(extra)}'. "
    if not arguments or arguments[-1].name not in _TEXTS:
        return ""
    before = [shlex.quote(str(context.params.get(each.name) or "")) for each in arguments[:-1]]
    text = f'"{context.params.get(arguments[-1].name)} {extra}"'
    return f"Put the text in quotes: {' '.join([context.command_path, *before, text])}. "


def _valued_flag(flag: Any, value: str) -> str:
    """What to type in place of a flag with a value, as `--ready false`; ends with a space."""
    name = flag.opts[0]
    if value.lower() in _TRUE:
        return f"{name} takes no value: leave out '{value}'. "
    instead = f"write {flag.secondary_opts[0]}" if flag.secondary_opts else f"leave out {name}, too"
    return f"{name} takes no value: {instead}. "


def _missing(error: MissingParameter) -> str:
    """How a missing text may be given; ends with a space."""
    parameter = error.param
    help_ = str(getattr(parameter, "help", "") or "")
    if not isinstance(parameter, TyperArgument) or FROM_STDIN not in help_:
        return ""
    return f"Give {_metavar(parameter)}, or '-' to read it from standard input. "


def _without_value(error: BadOptionUsage, hint: str) -> str:
    if error.option_name == "--as":
        return "Name the agent: '--as NAME'."
    if "does not take a value" in error.message:
        return f"Give {error.option_name} alone, or leave it out. {hint}"
    return hint
