"""Tables and single objects: for a terminal as many columns as have room, for a pipe tab-separated lines."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from repomesh.views.terminal_text import TextStyle, cell, clean, is_time

TEXT_CHARS_MIN: Final = 24
"""The least width of a column of text; where there is less room, other columns are left out."""
CELL_CHARS_MAX: Final = 200
"""Characters of a text in a cell; 'show' or 'read' shows the whole text."""
_GAP: Final = 2  # characters between columns

IDS: Final = frozenset({"id", "key", "name", "session_id", "artifact_id"})
"""Columns by which a row is found: they are coloured, and never broken into two lines."""

LESS_IMPORTANT: Final = (
    "type",
    "format",
    "bytes",
    "version",
    "mode",
    "program",
    "stored_at",
    "offered_at",
    "injected_at",
    "created_by",
    "description",
    "author",
    "tags",
    "capabilities",
    "priority",
    "fencing_token",
    "outcome",
    "round",
    "chunk_id",
    "why",
    "score",
    "severity",
    "created_at",
    "updated_at",
    "last_seen_at",
)
"""Columns that are left out first where there is too little room, in this order; then those on the right."""

_COLOURED_STATES: Final = {
    "green": ("active", "done", "current", "approved", "carried"),
    "yellow": ("paused", "claimed", "waiting", "superseded"),
    "red": ("failed", "blocked", "deleting", "dead", "disabled"),
    "dim": ("inactive", "retired", "completed", "cancelled", "retracted"),
}
_COLOURS: Final = {state: colour for colour, states in _COLOURED_STATES.items() for state in states}


def table(
    style: TextStyle,
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    priority_columns: Sequence[str] = (),
) -> tuple[str, str]:
    """Return a table of JSON objects and a note on the columns that were left out ('' if none was).

    The dotted column 'holder.name' is field 'name' of field 'holder'. Where a terminal has too little room,
    the columns in `priority_columns` are left out last.
    """
    cells = [{name: _field(row, name) for name in columns} for row in rows]
    return (
        _draw_table(style, cells, columns, priority_columns)
        if style.is_terminal
        else (_tab_separated(cells, columns), "")
    )


def object_lines(style: TextStyle, value: Mapping[str, Any]) -> list[str]:
    """Return one JSON object: a line for each field that is not empty, texts of several lines last."""
    long_texts = {name: text for name, text in value.items() if isinstance(text, str) and "\n" in text}
    short_fields = {name: item for name, item in value.items() if name not in long_texts}
    width = max((len(name) for name in short_fields), default=0)
    lines = []
    for name, item in short_fields.items():
        if item in (None, "", [], {}):
            continue
        if style.is_terminal:
            lines.append(f"{_title(name, '_'):<{width}}  {style.cell(name, item)}")
        else:
            lines.append(f"{name}\t{cell(item)}")
    for name, text in long_texts.items():
        lines += ["", f"{_title(name, '_')}:", clean(text)]
    return lines


def fitting_columns(
    texts: Sequence[Mapping[str, str]],
    columns: Sequence[str],
    width: int,
    priority_columns: Sequence[str] = (),
) -> list[str]:
    """Return the columns for which `width` characters are enough, always with the first.

    `texts` are the rows' cells by column; those in `priority_columns` are left out last.
    """
    fitting = list(columns)
    widths = {name: _needed_width(name, texts) for name in columns}
    while len(fitting) > 1 and sum(widths[name] for name in fitting) + _GAP * (len(fitting) - 1) > width:
        removable: list[str] = [
            name for name in LESS_IMPORTANT if name in fitting[1:] and name not in priority_columns
        ]
        if priority_columns and not removable:
            removable = [name for name in reversed(fitting[1:]) if name not in priority_columns]
        fitting.remove(removable[0] if removable else fitting[-2] if len(fitting) > 2 else fitting[-1])
    return fitting


def _tab_separated(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    lines = ["\t".join(re.sub(r"[\t\n]+", " ", cell(row[name])) for name in columns) for row in rows]
    return "\n".join(["\t".join(columns), *lines])


def _draw_table(
    style: TextStyle,
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    priority_columns: Sequence[str],
) -> tuple[str, str]:
    from rich.console import Console  # loading Rich takes as long as most commands run
    from rich.table import Table
    from rich.text import Text

    texts = [{name: _truncate(style.cell(name, row[name])) for name in columns} for row in rows]
    nonempty = [name for name in columns if any(text[name] for text in texts)]
    fitting = fitting_columns(texts, nonempty or list(columns), style.width_chars, priority_columns)
    grid = Table(box=None, header_style="bold" if style.colour else "", pad_edge=False)
    for name in fitting:
        grid.add_column(_title(name), overflow="fold", no_wrap=_is_unbreakable(name))
    for row, text in zip(rows, texts, strict=True):
        grid.add_row(*(Text(text[name], style=_colour(style, name, row[name])) for name in fitting))
    page = Console(
        file=io.StringIO(),
        width=style.width_chars,
        color_system="standard" if style.colour else None,
        force_terminal=True,
        highlight=False,
        _environ={},
    )
    with page.capture() as capture:
        page.print(grid)
    left_out = [_title(name) for name in nonempty if name not in fitting]
    note = f"hidden columns: {', '.join(left_out)} (widen the terminal, or use --json)"
    return capture.get().removesuffix("\n"), note if left_out else ""


def _field(row: Mapping[str, Any], column: str) -> object:
    value: object = row
    for part in column.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _needed_width(name: str, texts: Sequence[Mapping[str, str]]) -> int:
    longest = max([len(_title(name)), *(len(text[name]) for text in texts)])
    return longest if _is_unbreakable(name) else min(longest, TEXT_CHARS_MIN)


def _is_unbreakable(name: str) -> bool:
    """Whether cells of the column are one word, which must not be broken into two lines."""
    return name in IDS or is_time(name) or name == "status"


def _title(name: str, separators: str = "_.") -> str:
    return re.sub(f"[{separators}]", " ", name)


def _truncate(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= CELL_CHARS_MAX else f"{line[:CELL_CHARS_MAX]}…"


def _colour(style: TextStyle, name: str, value: object) -> str:
    """The colour of a cell, by which ids, states and times differ."""
    if not style.colour:
        return ""
    if name.rpartition(".")[2] == "status":
        return _COLOURS.get(str(value), "")
    return "cyan" if name in IDS else "dim" if is_time(name) else ""
