"""Gemini CLI: the hooks in `~/.gemini/settings.json`."""

from __future__ import annotations

from repomesh.surfaces.hooks.dialects.base import HookDialect, HookEvent, HookInput, HookPhase, Json

_SHELL = "run_shell_command"
_EDITORS = {"write_file": ("file_path",), "replace": ("file_path",), "edit": ("file_path",)}


def _deny(_event: str, reason: str) -> Json:
    return {"decision": "deny", "reason": reason}


def _adjust(said: Json, heard: HookInput) -> HookInput | None:
    """Of the notifications only the one about a permission matters."""
    if heard.moment is HookPhase.PERMISSION and said.get("notification_type") != "ToolPermission":
        return None
    return heard


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
"""Its PreCompress comes before every request, compressing or not, so it tells nothing of a compaction."""
