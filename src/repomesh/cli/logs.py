"""`repomesh logs`: prints the log of the server, or of the daemon that wakes CLIs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

import typer

from repomesh.cli.logfile import CHUNK_BYTES, last_lines, open_log
from repomesh.kernel import data_folder, trust
from repomesh.kernel.errors import NotFound
from repomesh.views.terminal_text import cell, clean

app = typer.Typer(add_completion=False)

LINES_MAX: Final = 1_000
"""Most lines to begin with; older ones are in the file."""
_LOOK_EVERY_S: Final = 0.5
_FIRST: Final = ("timestamp", "level", "event")


class NoLog(NotFound):
    """No server has written a log into this data folder."""

    code = "no_log"
    hint = "'repomesh up' starts a server, which writes one."


@app.command()
def logs(
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow new lines.")] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, max=LINES_MAX, help="Number of lines to show first.")
    ] = 50,
    daemon: Annotated[bool, typer.Option("--daemon", help="Show the daemon's log instead.")] = False,
    data: Annotated[
        Path | None, typer.Option(help="Data folder. Default: .repomesh of this repository.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the lines as they are, errors as JSON.")
    ] = False,
) -> None:
    """Print the last lines of the server's log: starts, stops, refusals and errors."""
    folder = (data or data_folder.data_folder(Path.cwd())).absolute()
    trust.require(folder)
    path = folder / (data_folder.DAEMON_LOG if daemon else data_folder.LOG)
    if not path.exists():
        raise NoLog(f"there is no log {path}")
    last_shown, position = last_lines(path, lines)
    for line in last_shown:
        _print(line, as_json=as_json)
    if follow:
        with suppress(KeyboardInterrupt):  # Ctrl+C is how following ends
            for line in _follow_lines(path, position):
                _print(line, as_json=as_json)


def _follow_lines(path: Path, position: int) -> Iterator[str]:
    """Yield the lines after a byte position as they come.

    A log that is renamed because it is full is read to its end before the new one is opened.
    """
    file = _open_if_there(path)
    partial_line = b""
    while True:
        if file is not None:
            file.seek(position)
            while chunk := file.read(CHUNK_BYTES):
                position += len(chunk)
                *complete_lines, partial_line = (partial_line + chunk).split(b"\n")
                yield from (line.decode("utf-8", "replace") for line in complete_lines)
        if _is_current(file, path, position):
            time.sleep(_LOOK_EVERY_S)
            continue
        if file is not None:
            file.close()
        file, position, partial_line = _open_if_there(path), 0, b""


def _open_if_there(path: Path) -> BinaryIO | None:
    with suppress(FileNotFoundError):
        return open_log(path)
    return None


def _is_current(file: BinaryIO | None, path: Path, position: int) -> bool:
    """Whether the log at `path` is still the open one, and was not shortened; True where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:  # between two names, or deleted: what is open is read on
        return True
    if file is None:
        return False
    return os.path.samestat(status, os.fstat(file.fileno())) and status.st_size >= position


def _print(line: str, *, as_json: bool) -> None:
    print(clean(line if as_json else _format_line(line)), flush=True)


def _format_line(line: str) -> str:
    """Format a line for people: time, level, event, and other fields as 'name=value'."""
    try:
        record: Any = json.loads(line)
    except ValueError:  # the end of a longer line, or what something else wrote
        return line
    if not isinstance(record, dict):
        return line
    head = "  ".join(str(record[name]) for name in _FIRST if name in record)
    fields = " ".join(f"{name}={cell(value)}" for name, value in record.items() if name not in _FIRST)
    return f"{head}  {fields}".rstrip()
