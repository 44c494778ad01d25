"""What the command line prints: JSON for programs, tables for terminals, tab-separated lines for pipes."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from repomesh.client.errors import RemoteError
from repomesh.kernel.errors import FAILURES, RepomeshError

# Texts come from other agents: control, escape, bidirectional and invisible characters are not shown.
_UNSHOWN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]"
)
_NAMES = ("name", "resource", "goal", "agent_name", "id")  # what stands for a thing in one word
_HINTS = {"agent_required": "Say who acts: '--as NAME', or set REPOMESH_AGENT."}


def wants_colour() -> bool:
    """Whether standard output is a terminal that a person looks at."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def clean(text: str) -> str:
    """Text that can't play tricks on a terminal."""
    return _UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", text)


def bold(text: str) -> str:
    """Text that stands out on a terminal; clean it first."""
    return f"\x1b[1m{text}\x1b[0m" if wants_colour() else text


def dim(text: str) -> str:
    """Text that stands back on a terminal; clean it first."""
    return f"\x1b[2m{text}\x1b[0m" if wants_colour() else text


def when(moment: str) -> str:
    """A time as a person says it on a terminal, and as it stands elsewhere."""
    return ago(moment) if wants_colour() else moment


def say(text: str) -> None:
    """One line for a person, to standard output."""
    print(clean(text))


def note(text: str) -> None:
    """One line beside the result, to standard error."""
    print(clean(text), file=sys.stderr)


def print_json(value: object) -> None:
    """JSON, indented for a terminal and on one line for a pipe."""
    print(json.dumps(value, indent=2 if sys.stdout.isatty() else None, ensure_ascii=False), flush=True)


def report(error: RepomeshError | RemoteError, *, as_json: bool) -> int:
    """Tell an error on standard error; answers the exit code of its class."""
    hint = _HINTS.get(error.code, error.hint)
    if as_json:
        told = error.details | {
            "code": error.code,
            "failure": error.failure.value,
            "message": error.message,
            "hint": hint,
        }
        print(json.dumps(told, default=str, ensure_ascii=False), file=sys.stderr)
    else:
        note(f"error: {error.message}")
        for field in error.details.get("errors", [])[1:]:
            note(f"       {field['field']}: {field['message']}")
        if hint:
            note(f"hint: {hint}")
    return error.exit_code if isinstance(error, RemoteError) else FAILURES[error.failure].exit


def cell(value: object) -> str:
    """A value as one line of text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        named = next((value[name] for name in _NAMES if value.get(name)), None)
        return clean(str(named or ", ".join(f"{key}={cell(item)}" for key, item in value.items())))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(cell(item) for item in value)
    return clean(str(value))


def ago(moment: str) -> str:
    """A time as a person says it: '12 s ago', 'in 4 min'."""
    try:
        seconds = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    except ValueError:
        return moment
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        if abs(seconds) >= size:
            count = int(abs(seconds) // size)
            return f"{count} {unit} ago" if seconds > 0 else f"in {count} {unit}"
    return "now"


def print_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Rows with these columns; a name that ends in `_at` is a time."""
    if not wants_colour():
        print("\t".join(columns))
        for row in rows:
            print("\t".join(re.sub(r"[\t\n]+", " ", cell(_pick(row, name))) for name in columns))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in columns:
        table.add_column(name.replace("_", " ").replace(".", " "), overflow="fold")
    for row in rows:
        values = [(name, _pick(row, name)) for name in columns]
        table.add_row(*(Text(_for_eyes(name, value), style=_style(name, value)) for name, value in values))
    Console(highlight=False).print(table)


def print_object(value: Mapping[str, Any]) -> None:
    """One thing, a line for each field; longer texts last."""
    long = {name: text for name, text in value.items() if isinstance(text, str) and "\n" in text}
    short = {name: item for name, item in value.items() if name not in long}
    width = max((len(name) for name in short), default=0)
    for name, item in short.items():
        if item not in (None, "", [], {}):
            shown = _for_eyes(name, item) if wants_colour() else cell(item)
            print(f"{name.replace('_', ' '):<{width}}  {shown}" if wants_colour() else f"{name}\t{shown}")
    for name, text in long.items():
        print(f"\n{name.replace('_', ' ')}:\n{clean(text)}")


def _pick(row: Mapping[str, Any], name: str) -> object:
    """A column's value; 'holder.name' looks inside."""
    value: object = row
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


_IDS = frozenset({"id", "key", "name", "session_id", "artifact_id"})
_STATES = {
    "green": ("active", "done", "current", "approved", "carried"),
    "yellow": ("paused", "claimed", "waiting", "superseded"),
    "red": ("failed", "blocked", "deleting", "dead", "disabled"),
    "dim": ("inactive", "retired", "completed", "cancelled", "retracted"),
}
_COLOURS = {word: colour for colour, words in _STATES.items() for word in words}


def _style(name: str, value: object) -> str:
    """The colour of a cell: ids, states and times are told apart at a glance."""
    if name.rpartition(".")[2] == "status":
        return _COLOURS.get(str(value), "")
    return "cyan" if name in _IDS else "dim" if name.endswith("_at") else ""


def _for_eyes(name: str, value: object) -> str:
    return ago(value) if name.endswith("_at") and isinstance(value, str) else cell(value)
