"""Every failure of a command as one error: message, hint and class, whoever raised it."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Callable, Container, Mapping
from typing import Any, Final

from typer._click.exceptions import BadParameter, ClickException, MissingParameter

from repomesh.cli import spelling, usage_errors
from repomesh.client.errors import RemoteError
from repomesh.kernel.errors import Conflict, Forbidden, InvalidRequest, NotFound, RepomeshError, Unavailable

TRACEBACK: Final = "REPOMESH_TRACEBACK"
"""With this variable set, a failure that nobody foresaw is printed with the place where it happened."""


class CommandLineError(InvalidRequest):
    """The command line can't be understood: an unknown command or option, or a value that does not fit."""

    code = "usage"


class Aborted(RepomeshError):
    """The person at the prompt said no."""

    code = "aborted"
    hint = "Nothing was changed; '--yes' answers the question in advance."


class UnexpectedFailure(RepomeshError):
    """The command failed in a way that nobody foresaw."""

    code = "unforeseen"
    hint = f"This is a fault of repomesh. Run it with {TRACEBACK}=1 and report what it prints."


class FileMissing(NotFound):
    """A file or folder that the command needs does not exist."""

    code = "file_not_found"
    hint = "Check the path with 'ls'."


class FileExists(Conflict):
    """A file is in the place where the command is to write a new one."""

    code = "file_exists"
    hint = "Name another file, or move the existing one with 'mv'."


class FileForbidden(Forbidden):
    """This user may not read or write the file."""

    code = "file_forbidden"
    hint = "Check who owns the file and who may write it, with 'ls -ld PATH'."


class FileUnusable(Unavailable):
    """The system does not let the file be read or written."""

    code = "file_unusable"
    hint = "Check the path and the disk: 'repomesh doctor' says how much room is left."


_FORMS: Final[dict[str, str]] = {
    r"^[0-9a-f]{8}-": "an id, as a list prints it",
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$": "a name: letters, digits, '.', '_' and '-'",
    r"^[A-Za-z0-9][A-Za-z0-9._:-]*$": "a key: letters, digits, '.', '_', ':' and '-'",
    r"^[A-Za-z0-9._:-]+$": "letters, digits, '.', '_', ':' and '-'",
    r"^[A-Za-z0-9_-]+$": "what 'next_cursor' of the page before says",
    r"^[A-Za-z0-9]{": "letters and digits",
    r"^[0-9]{1,10}(": "a process's number, as hooks name it",
    r"^([a-z_]+|\*):": "an area and a right, such as 'tasks:write' or '*:read'",
    r"^[a-z0-9_-]{": "lower-case letters, digits, '_' and '-'",
    r"^[a-z][a-z0-9_]{": "a word of lower-case letters, digits and '_'",
    r"^[a-z][a-z0-9-]*$": "a word of lower-case letters, digits and '-'",
    r"^#?[A-Za-z0-9]": "a channel's name: letters, digits, '.', '_' and '-'",
    r"^(\*|#?[A-Za-z0-9]": "an agent's name, '#' and a channel's name, or '*' for all",
    r"^[^\x00-\x1f\x7f,]+$": "one line of text without commas",
    r"^[^\x00-\x1f\x7f]": "one line of text",
    r"^[^\x00-\x20\x7f": "one word without blanks",
    r"^[^\x00]": "text without null characters",
    r"^[^\x00]*[^\x00\s]": "text that is more than blanks",
    r"^[a-z][a-z0-9_-]*(\.": "an event's type: lower-case words with dots between, such as 'task.completed'",
    r"^[\x20-\x7e]+$": "one line of plain characters",
    r"^https?://": "a URL that begins with 'http://' or 'https://'",
    r"^(https?|file|git|ssh)://": "a URL that begins with 'https://', 'file://', 'git://' or 'ssh://'",
    r"^[a-z]+/": "a media type, such as 'text/markdown'",
    r"^[0-9a-f-]": "hexadecimal digits and '-'",
}
"""By how a pattern begins, what has its form; the longest beginning counts."""


def form(pattern: str) -> str:
    """What matches a pattern, in words."""
    known = [begin for begin in _FORMS if pattern.startswith(begin)]
    return _FORMS[max(known, key=len)] if known else f"a text like {pattern}"


_PLAIN: Final[tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]] = (
    (re.compile(r"Input should be a valid integer.*"), "must be a whole number"),
    (re.compile(r"Input should be a valid number.*"), "must be a number"),
    (re.compile(r"Input should be a valid UUID.*"), "must be an id"),
    (re.compile(r"Input should be a valid boolean.*"), "must be true or false"),
    (re.compile(r"Input should be a valid datetime.*"), "must be a time like 2026-01-31T12:00:00Z"),
    (re.compile(r"Input should be (greater than or equal to|at least) "), "must be at least "),
    (re.compile(r"Input should be (less than or equal to|at most) "), "must be at most "),
    (re.compile(r"(String|Value) should have at least 1 character"), "must not be empty"),
    (re.compile(r"(List|Tuple|Set) should have at least 1 item.*"), "must not be empty"),
    (
        re.compile(r"(?:List|Tuple|Set) should have at most (\d+) items? after validation, not (\d+)"),
        lambda found: f"must be at most {found[1]}, not {found[2]}",
    ),
    (
        re.compile(r"String should match pattern '(.*)'", re.DOTALL),
        lambda found: f"must be {form(found[1])}",
    ),
    (re.compile(r"(Input|String|List|Tuple|Set|Value) should "), "must "),
    (re.compile(r"Value error, "), ""),
    (re.compile(r"Field required"), "is missing"),
    (re.compile(r"Extra inputs are not permitted"), "is not known"),
)
"""What the library that checks values says, and what a person at a prompt is told instead."""

CORRECT: Final = "Correct it and try again."


def as_error(error: BaseException) -> RepomeshError | RemoteError:
    """Any exception as an error with a code, a message and a hint."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, (RepomeshError, RemoteError)):
        return error
    if isinstance(error, ClickException):
        return _usage(error)
    if isinstance(error, OSError):
        return _file(error)
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error)
    return UnexpectedFailure(f"{type(error).__name__}: {error}")


def plain(message: str) -> str:
    """A validation message without the words of the library that made it."""
    parts = message.split("; or ")
    for pattern, words in _PLAIN:
        parts = [pattern.sub(words, part) for part in parts]
    return ", or ".join(parts)


def in_options(error: RemoteError, names: Mapping[str, str], values: Mapping[str, Any]) -> RemoteError:
    """An error whose fields are called as the command's own options.

    `names` are those by field, and `values` what was given for each.
    """
    hint = re.sub(r"'(\w+)'", lambda found: f"'{names.get(found[1], found[1])}'", error.hint)
    errors = error.details.get("errors")
    if not isinstance(errors, list):
        field, _, rest = error.message.partition(": ")
        message = f"{names[field]}: {rest}" if field in names else error.message
        return RemoteError(error.status, error.code, message, hint, error.details)
    near = next((meant for one in errors if (meant := _near_choice(one, values))), "")
    renamed = [
        one | {"field": _option(str(one["field"]), names), "message": _message(one["message"], names)}
        for one in errors
    ]
    first = renamed[0]
    details = error.details | {"errors": renamed}
    of_all = first["field"] == "body" and "body" not in names
    message = first["message"] if of_all else f"{first['field']}: {first['message']}"
    hint = f"{near}{CORRECT}" if error.hint == InvalidRequest.hint else hint
    return RemoteError(error.status, error.code, message, hint, details)


def _near_choice(one: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """A question whether another choice was meant, for a value that is none; else nothing."""
    name, _, index = str(one["field"]).partition(".")
    given = values.get(name)
    if index.isdigit() and isinstance(given, list) and int(index) < len(given):
        given = given[int(index)]
    if not isinstance(given, str) or "Input should be '" not in str(one["message"]):
        return ""
    return spelling.meant(spelling.near(given, usage_errors.CHOICES.findall(str(one["message"]))))


def of_settings(error: InvalidRequest, options: Container[str]) -> InvalidRequest:
    """An error about settings: those in `options` were given at the prompt, others by the environment."""
    errors = [
        one
        | {
            "field": f"--{one['field']}" if one["field"] in options else f"REPOMESH_{one['field'].upper()}",
            "message": plain(one["message"]),
        }
        for one in error.details["errors"]
    ]
    first = errors[0]
    return InvalidRequest(f"{first['field']}: {first['message']}", hint=CORRECT, errors=errors)


def _option(field: str, names: Mapping[str, str]) -> str:
    """'tags.0' is the first of '--tags'."""
    first, _, rest = field.partition(".")
    called = names.get(first, first)
    return f"{called} ({rest})" if rest and not rest.isdigit() else called


def _message(message: str, names: Mapping[str, str]) -> str:
    """A message that names fields as the options that give them."""
    quoted = re.sub(r"'(\w+)'", lambda match: f"'{names.get(match[1], match[1])}'", plain(message))
    return re.sub(r"\b\w+_\w+\b", lambda match: names.get(match[0], match[0]), quoted)


def _usage(error: ClickException) -> CommandLineError:
    message = error.format_message()
    if isinstance(error, BadParameter) and not isinstance(error, MissingParameter):
        message = f"{_parameter(error)}: {plain(error.message)}"
    message, hint = usage_errors.explained(error, message.rstrip("."))
    return CommandLineError(usage_errors.lower_first(message), hint=hint)


def _parameter(error: BadParameter) -> str:
    hint = error.param_hint or (error.param.get_error_hint() if error.param is not None else "")
    return (hint if isinstance(hint, str) else " / ".join(hint)).strip("'") or "value"


def _file(error: OSError) -> RepomeshError:
    place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes)) else ""
    message = f"{place}{error.strerror or error}"
    classes: tuple[tuple[type[OSError], type[RepomeshError]], ...] = (
        (FileNotFoundError, FileMissing),
        (NotADirectoryError, FileMissing),
        (IsADirectoryError, FileExists),
        (FileExistsError, FileExists),
        (PermissionError, FileForbidden),
    )
    kind = next((ours for theirs, ours in classes if isinstance(error, theirs)), FileUnusable)
    return kind(message)
