"""Qwen Code: the hooks in `.qwen/settings.json`."""

from __future__ import annotations

from dataclasses import replace

from repomesh.surfaces.hooks.dialects.base import CLAUDE_EVENTS, Dialect, Event, Heard, Json, Moment

_SHELL = "run_shell_command"
_EDITORS = {
    "write_file": ("file_path",),
    "edit": ("file_path",),
    "replace": ("file_path",),
    "notebook_edit": ("notebook_path",),
}


def _adjust(said: Json, heard: Heard) -> Heard | None:
    """After every tool it tells of a prompt that nobody wrote."""
    if heard.moment is Moment.PROMPT and not heard.prompt:
        return replace(heard, moment=Moment.AFTER_TOOL)
    if heard.moment is Moment.PERMISSION and said.get("notification_type") != "permission_prompt":
        return None
    return heard


QWEN = Dialect(
    cli="qwen",
    events={
        **CLAUDE_EVENTS,
        "PreToolUse": Event(Moment.BEFORE_TOOL, matcher="|".join((*_EDITORS, _SHELL)), denies=True),
        "Notification": Event(Moment.PERMISSION),
    },
    editors=_EDITORS,
    shells=frozenset({_SHELL}),
    adjust=_adjust,
)
"""Its hooks took over the names and shapes of Claude Code's."""
