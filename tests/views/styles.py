"""Styles of readers: a pipe, and terminals of any width, at a fixed time."""

from __future__ import annotations

from datetime import UTC, datetime

from repomesh.views.terminal_text import Style

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
PIPE = Style(NOW)


def terminal(width: int, *, colour: bool = False) -> Style:
    return Style(NOW, colour=colour, is_terminal=True, width_chars=width)
