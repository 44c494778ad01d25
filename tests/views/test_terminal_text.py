"""Times, ids and texts of others, as a terminal and a pipe show them."""

from __future__ import annotations

import pytest

from repomesh.views.terminal_text import TextStyle, ago, clean
from views.styles import NOW, PIPE, terminal


@pytest.mark.parametrize(
    ("time", "shown"),
    [("2000-01-01T00:00:00Z", "due 9497 d ago"), ("2026-01-01T12:04:00Z", "for another 4 min")],
)
def test_an_expiry_is_shown_in_english(time: str, shown: str) -> None:
    assert PIPE.until(time) == f"until {time}"
    assert terminal(80).until(time) == shown


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        ("2026-01-01T11:59:48Z", "12 s ago"),
        ("2026-01-01T12:00:00Z", "now"),
        ("2026-01-01T14:30:00Z", "in 2 h"),
        ("2025-12-30T12:00:00Z", "2 d ago"),
        ("soon", "soon"),
    ],
)
def test_a_time_is_relative_to_now(time: str, shown: str) -> None:
    assert ago(time, NOW) == shown


def test_no_colour_means_no_bold_either() -> None:
    styled = TextStyle(NOW, colour=True)
    assert (styled.bold("x"), styled.dim("x")) == ("\x1b[1mx\x1b[0m", "\x1b[2mx\x1b[0m")
    assert (PIPE.bold("x"), PIPE.dim("x"), styled.coloured("x", None)) == ("x", "x", "x")


def test_texts_of_others_cannot_change_a_terminal() -> None:
    assert clean("a\x1b[31m\u202eb\n\tc") == "a\ufffd[31m\ufffdb\n\tc"
