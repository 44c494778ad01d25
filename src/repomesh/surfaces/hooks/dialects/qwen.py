"""Qwen Code: the hooks in `.qwen/settings.json`."""

from __future__ import annotations

from dataclasses import replace

from repomesh.surfaces.hooks.dialects.base import (
    CLAUDE_EVENTS,
    HookDialect,
    HookEvent,
    HookInput,
    HookPhase,
    Json,
)

_SHELL = "run_shell_command"
_EDITORS = {
    "write_file": ("file_path",),
    "edit": ("file_path",),
    "replace": ("file_path",),
    "notebook_edit": ("notebook_path",),
}


def _adjust(said: Json, heard: HookInput) -> HookInput | None:
    """After every tool it tells of a prompt that nobody wrote."""
    if heard.moment is HookPhase.PROMPT and not heard.prompt:
        return replace(heard, moment=HookPhase.AFTER_TOOL)
    if heard.moment is HookPhase.PERMISSION and said.get("notification_type") != "permission_prompt":
        return None
    return heard


QWEN = HookDialect(
    cli="qwen",
    events={
        **CLAUDE_EVENTS,
        "PreToolUse": HookEvent(HookPhase.BEFORE_TOOL, matcher="|".join((*_EDITORS, _SHELL)), denies=True),
        "Notification": HookEvent(HookPhase.PERMISSION),
    },
    editors=_EDITORS,
    shells=frozenset({_SHELL}),
    adjust=_adjust,
)
"""Its hooks took over the names and shapes of Claude Code's."""
