"""Converts every exception of a command to an error with message, hint and class."""

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
"""With this environment variable set, an unexpected failure prints its traceback."""


class CommandLineError(InvalidRequest):
    """The command line can't be understood: an unknown command or option, or a value that does not fit."""

    code = "usage"


class Aborted(RepomeshError):
    """The question at the prompt was answered with no."""

    code = "aborted"
    hint = "Nothing was changed; '--yes' answers the question in advance."


class UnexpectedFailure(RepomeshError):
    """The command failed unexpectedly."""

    code = "unforeseen"
    hint = f"This is a fault of repomesh. Run it with {TRACEBACK}=1 and report what it prints."


class FileMissing(NotFound):
    """A file or folder that the command needs does not exist."""

    code = "file_not_found"
    hint = "Check the path with 'ls'."


class FileExists(Conflict):
    """The command is to write a new file, and one exists in its place."""

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
    r"^[0-9a-f]{40}$": "40 hexadecimal digits",
    r"^[A-Za-z0-9+/]+={0,2}$": "base64",
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
"""By the beginning of a pattern: what it matches, in words. The longest beginning counts."""


def describe_pattern(pattern: str) -> str:
    """Return in words what a pattern matches."""
    beginnings = [beginning for beginning in _FORMS if pattern.startswith(beginning)]
    return _FORMS[max(beginnings, key=len)] if beginnings else f"a text like {pattern}"


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
        lambda found: f"must be {describe_pattern(found[1])}",
    ),
    (re.compile(r"(Input|String|List|Tuple|Set|Value) should "), "must "),
    (re.compile(r"Value error, "), ""),
    (re.compile(r"Field required"), "is missing"),
    (re.compile(r"Extra inputs are not permitted"), "is not known"),
)
"""Messages of pydantic, and the plain words that replace them."""

CORRECT: Final = "Correct it and try again."


def to_error(error: BaseException) -> RepomeshError | RemoteError:
    """Convert any exception to an error with a code, a message and a hint."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, (RepomeshError, RemoteError)):
        return error
    if isinstance(error, ClickException):
        return _usage_error(error)
    if isinstance(error, OSError):
        return _file_error(error)
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error)
    return UnexpectedFailure(f"{type(error).__name__}: {error}")


def simplify_message(message: str) -> str:
    """Return a validation message of pydantic in plain words."""
    parts = message.split("; or ")
    for pattern, words in _PLAIN:
        parts = [pattern.sub(words, part) for part in parts]
    return ", or ".join(parts)


def name_options(error: RemoteError, names: Mapping[str, str], values: Mapping[str, Any]) -> RemoteError:
    """Return the error with the command's options in place of fields.

    `names` are the options and `values` the given values, both by field.
    """
    hint = re.sub(r"'(\w+)'", lambda match: f"'{names.get(match[1], match[1])}'", error.hint)
    errors = error.details.get("errors")
    if not isinstance(errors, list):
        field, _, reason = error.message.partition(": ")
        message = f"{names[field]}: {reason}" if field in names else error.message
        return RemoteError(error.status, error.code, message, hint, error.details)
    suggestion = next((question for item in errors if (question := _suggest_choice(item, values))), "")
    renamed = [
        item
        | {
            "field": _option_name(str(item["field"]), names),
            "message": _translate_message(item["message"], names),
        }
        for item in errors
    ]
    first = renamed[0]
    details = error.details | {"errors": renamed}
    is_whole_body = first["field"] == "body" and "body" not in names
    message = first["message"] if is_whole_body else f"{first['field']}: {first['message']}"
    hint = f"{suggestion}{CORRECT}" if error.hint == InvalidRequest.hint else hint
    return RemoteError(error.status, error.code, message, hint, details)


def _suggest_choice(field_error: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """Return a question about similar choices for a value that is not among them; else empty."""
    name, _, index = str(field_error["field"]).partition(".")
    value = values.get(name)
    if index.isdigit() and isinstance(value, list) and int(index) < len(value):
        value = value[int(index)]
    if not isinstance(value, str) or "Input should be '" not in str(field_error["message"]):
        return ""
    choices = usage_errors.CHOICES.findall(str(field_error["message"]))
    return spelling.did_you_mean(spelling.similar_words(value, choices))


def settings_error(error: InvalidRequest, options: Container[str]) -> InvalidRequest:
    """Return an error about settings that names their options, or variables for those not in `options`."""
    errors = [
        item
        | {
            "field": f"--{item['field']}"
            if item["field"] in options
            else f"REPOMESH_{item['field'].upper()}",
            "message": simplify_message(item["message"]),
        }
        for item in error.details["errors"]
    ]
    first = errors[0]
    return InvalidRequest(f"{first['field']}: {first['message']}", hint=CORRECT, errors=errors)


def _option_name(field: str, names: Mapping[str, str]) -> str:
    """Return the option of a field path: 'tags.0' is an item of '--tags'."""
    name, _, subfield = field.partition(".")
    option = names.get(name, name)
    return f"{option} ({subfield})" if subfield and not subfield.isdigit() else option


def _translate_message(message: str, names: Mapping[str, str]) -> str:
    """Return a message with options in place of fields."""
    quoted = re.sub(r"'(\w+)'", lambda match: f"'{names.get(match[1], match[1])}'", simplify_message(message))
    return re.sub(r"\b\w+_\w+\b", lambda match: names.get(match[0], match[0]), quoted)


def _usage_error(error: ClickException) -> CommandLineError:
    message = error.format_message()
    if isinstance(error, BadParameter) and not isinstance(error, MissingParameter):
        message = f"{_parameter_name(error)}: {simplify_message(error.message)}"
    message, hint = usage_errors.explain(error, message.rstrip("."))
    return CommandLineError(usage_errors.lower_first(message), hint=hint)


def _parameter_name(error: BadParameter) -> str:
    hint = error.param_hint or (error.param.get_error_hint() if error.param is not None else "")
    return (hint if isinstance(hint, str) else " / ".join(hint)).strip("'") or "value"


def _file_error(error: OSError) -> RepomeshError:
    prefix = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes)) else ""
    message = f"{prefix}{error.strerror or error}"
    classes: tuple[tuple[type[OSError], type[RepomeshError]], ...] = (
        (FileNotFoundError, FileMissing),
        (NotADirectoryError, FileMissing),
        (IsADirectoryError, FileExists),
        (FileExistsError, FileExists),
        (PermissionError, FileForbidden),
    )
    kind = next(
        (error_class for os_class, error_class in classes if isinstance(error, os_class)), FileUnusable
    )
    return kind(message)
