"""What the command line prints: JSON for programs, tables for terminals, tab-separated lines for pipes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import typer
from typer.exceptions import Abort

from repomesh.cli import command
from repomesh.client.errors import RemoteError
from repomesh.kernel.errors import FAILURES, InvalidRequest, RepomeshError
from repomesh.views import tables
from repomesh.views.terminal_text import UNSHOWN, TextStyle, clean


def is_terminal() -> bool:
    """Whether standard output is a terminal that a person looks at."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def wants_style() -> bool:
    """Whether standard output takes bold and coloured text: a terminal without NO_COLOR (https://no-color.org)."""
    return is_terminal() and not os.environ.get("NO_COLOR")


def print_line(text: str) -> None:
    """Print one line for a person to standard output, without control characters."""
    print(clean(text))


def style() -> TextStyle:
    """Return the current style of standard output."""
    terminal = is_terminal()
    return TextStyle(
        now=datetime.now(UTC),
        colour=wants_style(),
        is_terminal=terminal,
        width_chars=_width_chars() if terminal else 80,
        program=command.program_name(),
    )


def _width_chars() -> int:
    """Return the terminal's width as Rich finds it: COLUMNS, else that of any standard stream, else 80."""
    width = os.environ.get("COLUMNS", "")
    if width.isdigit():
        return int(width) or 80
    for descriptor in (0, 1, 2):
        try:
            return os.get_terminal_size(descriptor).columns or 80
        except OSError:  # no terminal
            continue
    return 80


_notes: ContextVar[list[str] | None] = ContextVar("notes", default=None)


def print_note(text: str) -> None:
    """Print one line beside the result to standard error; inside `defer_notes` it is printed at the end."""
    deferred = _notes.get()
    if deferred is None:
        print(clean(command.replace_program_name(text)), file=sys.stderr)
    else:
        deferred.append(clean(command.replace_program_name(text)))


@contextmanager
def defer_notes() -> Iterator[None]:
    """Collect notes until the command is done: `report_error` makes them a field of its JSON document."""
    token = _notes.set([])
    try:
        yield
    finally:
        deferred = _notes.get() or []
        _notes.reset(token)
        for text in deferred:
            print(text, file=sys.stderr)


def confirm(question: str, *, as_json: bool = False, default: bool = False) -> None:
    """Ask the person at the terminal to confirm.

    Raises Abort for a no, and InvalidRequest if input is no terminal.
    """
    if as_json or not sys.stdin.isatty():
        hint = "'--yes' answers the question beforehand."
        raise InvalidRequest(f"this needs a yes, and input is no terminal: {clean(question)}", hint=hint)
    try:
        agreed = typer.confirm(clean(question), default=default, err=True)
    except Abort:  # the end of the input: the question's line is still open
        print(file=sys.stderr)
        raise
    if not agreed:
        raise Abort


def print_json(value: object) -> None:
    """Print JSON, indented for a terminal and on one line for a pipe."""
    print(as_json_text(value, indent=2 if sys.stdout.isatty() else None), flush=True)


def as_json_text(value: object, indent: int | None = None) -> str:
    """Return JSON with control and invisible characters as JSON escapes.

    The value is unchanged, so pipes get the same text: it may end on a terminal.
    """
    text = json.dumps(value, indent=indent, default=str, ensure_ascii=False)
    return UNSHOWN.sub(lambda match: json.dumps(match[0])[1:-1], text)


def open_private_file(path: Path) -> TextIO:
    """Open a file to write to; a new one is readable by its owner only, since it holds what agents say."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return os.fdopen(descriptor, "w", encoding="utf-8")


def write_private(path: Path, text: str) -> None:
    """Write a text to a file of `open_private_file`."""
    with open_private_file(path) as file:
        file.write(text)


def report_error(error: RepomeshError | RemoteError, *, as_json: bool) -> int:
    """Print an error to standard error and return the exit code of its class."""
    from repomesh.cli.prompt_hints import hint_of, translate_hint

    hint = translate_hint(hint_of(error))
    if as_json:
        document = error.details | {
            "code": error.code,
            "failure": error.failure.value,
            "message": error.message,
            "hint": hint,
        }
        deferred = _notes.get()
        if deferred:
            document["notes"] = list(deferred)
            deferred.clear()
        print(as_json_text(document), file=sys.stderr)
    else:
        text_style = style()
        print_note(f"error: {text_style.short_ids(error.message)}")
        for field in error.details.get("errors", [])[1:]:
            print_note(f"       {field['field']}: {text_style.short_ids(field['message'])}")
        for candidate in error.details.get("candidates", []):
            print_note(
                f"       {text_style.short_id(candidate['id'])}  {candidate['what']} {candidate['title']}"
            )
        if hint:
            print_note(f"hint: {hint}")
    return error.exit_code if isinstance(error, RemoteError) else FAILURES[error.failure].exit


def print_lines(lines: Sequence[str]) -> None:
    """Print lines as a view returns them; no output for an empty list."""
    if lines:
        print("\n".join(lines))


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print a table of JSON objects (see `tables.table`), and note the columns that were left out."""
    text, left_out = tables.table(style(), rows, columns)
    print(text)
    if left_out:
        print_note(left_out)


def print_object(value: Mapping[str, Any]) -> None:
    """Print one JSON object, a line for each field."""
    print_lines(tables.object_lines(style(), value))
