"""Styles of readers: a pipe, and terminals of any width, at a fixed time."""

from __future__ import annotations

from datetime import UTC, datetime

from repomesh.views.terminal_text import TextStyle

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
PIPE = TextStyle(NOW)


def terminal(width: int, *, colour: bool = False) -> TextStyle:
    return TextStyle(NOW, colour=colour, is_terminal=True, width_chars=width)
