"""Tables: every column that has room whole, ids short and never broken, colour only where it is wanted."""

from __future__ import annotations

import pytest

from repomesh.views.answers import COLUMNS
from repomesh.views.tables import IDS, fitting_columns, object_lines, table
from views.styles import NOW, PIPE, terminal

ID = "01a22692-a71d-7f04-8771-0bdd9c2ebcaa"
TASKS = [{"id": ID, "goal": "Write all of the documentation " * 4, "status": "open"}]


@pytest.mark.parametrize("width", [60, 80, 110])
@pytest.mark.parametrize("item", sorted(COLUMNS))
def test_a_table_has_room_for_its_columns(item: str, width: int) -> None:
    """Every column that is shown has its words whole; what was left out is noted."""
    columns = COLUMNS[item]
    words = {name: ID if name == "id" else "word " * 20 for name in columns}
    words |= {name: "one-word" for name in columns if name in IDS - {"id"} or name == "status"}
    words |= {name: "2000-01-01T00:00:00Z" for name in columns if name.endswith("_at")}
    row: dict[str, object] = {}
    for name, value in words.items():
        outer, _, inner = name.partition(".")
        row[outer] = {**row.get(outer, {}), inner: value} if inner else value  # type: ignore[dict-item]
    text, note = table(terminal(width), [row], columns)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    left_out = [name for name in columns if name.replace("_", " ").replace(".", " ") not in lines[0]]
    texts = [{name: words[name] for name in columns}]
    assert set(fitting_columns(texts, columns, width)) <= set(columns)
    assert bool(left_out) == ("hidden columns: " in note)
    assert len(lines) <= 8, text


@pytest.mark.parametrize("width", [60, 80, 110])
def test_an_id_is_short_on_a_terminal_and_never_broken(width: int) -> None:
    assert ID in table(PIPE, TASKS, ("id", "status", "goal"))[0]
    shown, _ = table(terminal(width), TASKS, ("id", "status", "goal"))
    assert ID[-8:] in shown
    assert ID not in shown


def test_a_table_is_coloured_where_that_is_wanted() -> None:
    rows = [{"id": "plan", "status": "active", "title": "Plan"}]
    for plain in (PIPE, terminal(80)):
        assert "\x1b" not in table(plain, rows, ("id", "status", "title"))[0]
    shown, _ = table(terminal(80, colour=True), rows, ("id", "status", "title"))
    assert "\x1b[36mplan" in shown
    assert "\x1b[32mactive" in shown
    assert shown.startswith("\x1b[1mid")


def test_a_pipe_gets_one_line_for_each_row_and_whole_times() -> None:
    rows = [{"name": "a\tb\nc", "owner": {"name": "ann"}, "at": "x", "seen_at": "2026-01-01T00:00:00Z"}]
    columns = ("name", "owner.name", "missing", "seen_at")
    assert table(PIPE, rows, columns) == (
        "name\towner.name\tmissing\tseen_at\na b c\tann\t\t2026-01-01T00:00:00Z",
        "",
    )


def test_an_object_has_a_line_for_each_field_and_long_texts_last() -> None:
    value = {"id": ID, "body": "one\ntwo", "made_at": "2026-01-01T11:59:00Z", "empty": [], "is_new": True}
    assert object_lines(PIPE, value) == [
        f"id\t{ID}",
        "made_at\t2026-01-01T11:59:00Z",
        "is_new\tyes",
        "",
        "body:",
        "one\ntwo",
    ]
    assert NOW.isoformat().startswith("2026-01-01T12:00:00")
    assert object_lines(terminal(80), value)[:3] == [
        f"id       {ID[-8:]}",
        "made at  1 min ago",
        "is new   yes",
    ]
