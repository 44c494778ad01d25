"""Gemini CLI: the hooks in `~/.gemini/settings.json`."""

from __future__ import annotations

from repomesh.surfaces.hooks.dialects.base import HookDialect, HookEvent, HookInput, HookPhase, Json

_SHELL = "run_shell_command"
_EDITORS = {"write_file": ("file_path",), "replace": ("file_path",), "edit": ("file_path",)}


def _deny(_event: str, reason: str) -> Json:
    return {"decision": "deny", "reason": reason}


def _adjust(payload: Json, hook_input: HookInput) -> HookInput | None:
    """Keep only notifications about a permission."""
    if hook_input.phase is HookPhase.PERMISSION and payload.get("notification_type") != "ToolPermission":
        return None
    return hook_input


GEMINI = HookDialect(
    cli="gemini",
    events={
        "SessionStart": HookEvent(HookPhase.SESSION_START, reaches_model=True),
        "BeforeAgent": HookEvent(HookPhase.PROMPT, reaches_model=True),
        "BeforeTool": HookEvent(HookPhase.BEFORE_TOOL, matcher="|".join((*_EDITORS, _SHELL)), denies=True),
        "AfterTool": HookEvent(HookPhase.AFTER_TOOL, reaches_model=True),
        "AfterAgent": HookEvent(HookPhase.TURN_END, blocks=True),
        "Notification": HookEvent(HookPhase.PERMISSION),
        "SessionEnd": HookEvent(HookPhase.SESSION_END),
    },
    editors=_EDITORS,
    shells=frozenset({_SHELL}),
    block_with=_deny,
    deny_with=_deny,
    adjust=_adjust,
)
"""Its PreCompress comes before every request, compressing or not, so it can't signal a compaction."""
