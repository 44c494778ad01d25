"""Values of answers as text that is safe on a terminal, and the style in which a reader sees it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

# Texts come from other agents: control, escape, bidirectional and invisible characters are not shown, nor
# the tags and variation selectors in which a text can be hidden.
UNSHOWN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e01ef]"
)
"""Characters that a terminal obeys or does not show."""

ID_CHARS: Final = 8
"""Characters of a short id, from its end: ids of one millisecond have the same beginning."""

_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_IDS_ONLY: Final = re.compile(rf"(?:\w+/)?{_ID.pattern}(?:, {_ID.pattern})*")  # ids, or an event's subject
_LABELS: Final = ("name", "resource", "goal", "agent_name", "id")  # fields that name an object, best first
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True)
class TextStyle:
    """The style of text for one reader.

    `colour` allows bold, dim and coloured text as ANSI escape codes. `is_terminal` means that a person reads
    it now: times are relative to `now`, and ids are cut to their last `ID_CHARS` characters. `width_chars` is
    the length of a line, and `program` the command that the reader types for `repomesh`.
    """

    now: datetime
    colour: bool = False
    is_terminal: bool = False
    width_chars: int = 80
    program: str = "repomesh"

    def bold(self, text: str) -> str:
        """Return text in bold; clean it first."""
        return self.coloured(text, "1")

    def dim(self, text: str) -> str:
        """Return text dimmed; clean it first."""
        return self.coloured(text, "2")

    def coloured(self, text: str, code: str | None) -> str:
        """Return text in the colour of an ANSI code such as '33'; clean it first."""
        return f"\x1b[{code}m{text}\x1b[0m" if code and self.colour else text

    def when(self, time: str) -> str:
        """Return an ISO 8601 time as '12 s ago' on a terminal, and unchanged elsewhere."""
        return ago(time, self.now) if self.is_terminal else time

    def until(self, time: str) -> str:
        """Return an expiry: 'for another 4 min' on a terminal, 'until' and the time elsewhere."""
        relative_time = self.when(time)
        if relative_time.startswith("in "):
            return f"for another {relative_time[3:]}"
        return f"until {relative_time}" if relative_time == time else f"due {relative_time}"

    def short_id(self, id_: str) -> str:
        """Return the end of an id on a terminal, the whole id elsewhere. Every command takes both."""
        return id_[-ID_CHARS:] if self.is_terminal and _ID.fullmatch(id_) else id_

    def short_ids(self, text: str) -> str:
        """Return a text with each id in it as `short_id` returns it."""
        return _ID.sub(lambda match: self.short_id(match[0]), text)

    def cell(self, name: str, value: object) -> str:
        """Return the value of field `name` as one line for a person: relative times, short ids."""
        if is_time(name) and isinstance(value, str):
            return ago(value, self.now)
        text = cell(value)
        return _ID.sub(lambda id_: id_[0][-ID_CHARS:], text) if _IDS_ONLY.fullmatch(text) else text


def is_time(name: str) -> bool:
    """Return whether a field of this name holds a time."""
    return name == "at" or name.endswith("_at")


def clean(text: str) -> str:
    """Return text with a replacement character for each that could change or deceive a terminal."""
    return UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", text)


def cell(value: object) -> str:
    """Return any JSON value as one line of clean text; an object by its name, or else its fields."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        label = next((value[name] for name in _LABELS if value.get(name)), None)
        return clean(str(label or ", ".join(f"{key}={cell(item)}" for key, item in value.items())))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(cell(item) for item in value)
    return clean(str(value))


def plural(noun: str) -> str:
    """The plural of a noun: 'memories', 'tasks'."""
    return f"{noun[:-1]}ies" if noun[-1:] == "y" and noun[-2:-1] not in "aeiou" else f"{noun}s"


def counted(count: int, noun: str) -> str:
    """A number with its noun: '1 task', '2 memories'."""
    return f"{count} {noun if count == 1 else plural(noun)}"


def ago(time: str, now: datetime) -> str:
    """Return an ISO 8601 time relative to `now`: '12 s ago', 'in 4 min'; unchanged if it is no such time."""
    try:
        seconds = (now - datetime.fromisoformat(time)).total_seconds()
    except ValueError:
        return time
    for size, unit in _UNITS:
        if abs(seconds) >= size:
            if seconds > 0:
                return f"{int(seconds // size)} {unit} ago"
            return f"in {round(-seconds / size)} {unit}"
    return "now"
