"""Gemini CLI: the hooks in `~/.gemini/settings.json`."""

from __future__ import annotations

from repomesh.surfaces.hooks.dialects.base import Dialect, Event, Heard, Json, Moment

_SHELL = "run_shell_command"
_EDITORS = {"write_file": ("file_path",), "replace": ("file_path",), "edit": ("file_path",)}


def _deny(_event: str, reason: str) -> Json:
    return {"decision": "deny", "reason": reason}


def _adjust(said: Json, heard: Heard) -> Heard | None:
    """Of the notifications only the one about a permission matters."""
    if heard.moment is Moment.PERMISSION and said.get("notification_type") != "ToolPermission":
        return None
    return heard


GEMINI = Dialect(
    cli="gemini",
    events={
        "SessionStart": Event(Moment.SESSION_START, tells=True),
        "BeforeAgent": Event(Moment.PROMPT, tells=True),
        "BeforeTool": Event(Moment.BEFORE_TOOL, matcher="|".join((*_EDITORS, _SHELL)), denies=True),
        "AfterTool": Event(Moment.AFTER_TOOL, tells=True),
        "AfterAgent": Event(Moment.TURN_END, blocks=True),
        "Notification": Event(Moment.PERMISSION),
        "SessionEnd": Event(Moment.SESSION_END),
    },
    editors=_EDITORS,
    shells=frozenset({_SHELL}),
    block_with=_deny,
    deny_with=_deny,
    adjust=_adjust,
)
"""Its PreCompress comes before every request, compressing or not, so it tells nothing of a compaction."""
