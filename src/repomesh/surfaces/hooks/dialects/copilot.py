"""Copilot CLI: the hooks in `~/.copilot/hooks/NAME.json`."""

from __future__ import annotations

from repomesh.surfaces.hooks.dialects.base import (
    HookDialect,
    HookEvent,
    HookFieldNames,
    HookInput,
    HookPhase,
    Json,
)

_EDITORS = {
    "create": ("path", "file_path"),
    "edit": ("path", "file_path"),
    "str_replace_editor": ("path", "file_path"),
}


def _additional_context(_event: str, text: str) -> Json:
    return {"additionalContext": text}


def _deny(_event: str, reason: str) -> Json:
    return {"permissionDecision": "deny", "permissionDecisionReason": reason}


def _adjust(payload: Json, hook_input: HookInput) -> HookInput | None:
    """Keep permission notifications only: `permissionRequest` comes before every tool, asked or not."""
    if hook_input.phase is HookPhase.PERMISSION and payload.get("notification_type") != "permission_prompt":
        return None
    return hook_input


COPILOT = HookDialect(
    cli="copilot",
    events={
        "sessionStart": HookEvent(HookPhase.SESSION_START, reaches_model=True),
        "userPromptSubmitted": HookEvent(HookPhase.PROMPT, reaches_model=True),
        "preToolUse": HookEvent(HookPhase.BEFORE_TOOL, denies=True),
        "postToolUse": HookEvent(HookPhase.AFTER_TOOL, reaches_model=True),
        "agentStop": HookEvent(HookPhase.TURN_END, blocks=True),
        "preCompact": HookEvent(HookPhase.COMPACTED),
        "notification": HookEvent(HookPhase.PERMISSION),
        "sessionEnd": HookEvent(HookPhase.SESSION_END),
    },
    editors=_EDITORS,
    reading={"str_replace_editor": ("view",)},
    shells=frozenset({"bash"}),
    typists=frozenset({"write_bash"}),
    patchers=frozenset({"apply_patch"}),
    keys=HookFieldNames(session="sessionId", transcript="transcriptPath", tool="toolName", input="toolArgs"),
    context_with=_additional_context,
    deny_with=_deny,
    adjust=_adjust,
)
"""It names its transcript at the end of a turn only, and has no event after compacting."""
