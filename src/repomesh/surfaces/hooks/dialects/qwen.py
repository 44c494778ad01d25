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


def _adjust(payload: Json, hook_input: HookInput) -> HookInput | None:
    """Read an empty prompt as the end of a tool: Qwen Code sends one after every tool."""
    if hook_input.phase is HookPhase.PROMPT and not hook_input.prompt:
        return replace(hook_input, phase=HookPhase.AFTER_TOOL)
    if hook_input.phase is HookPhase.PERMISSION and payload.get("notification_type") != "permission_prompt":
        return None
    return hook_input


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
"""Its hooks use the names and shapes of Claude Code's."""
