"""Codex: the hooks in `~/.codex/hooks.json`."""

from __future__ import annotations

from repomesh.surfaces.hooks.dialects.base import CLAUDE_EVENTS, HookDialect, HookEvent, HookPhase

CODEX = HookDialect(
    cli="codex",
    events={
        **CLAUDE_EVENTS,
        "PreToolUse": HookEvent(HookPhase.BEFORE_TOOL, matcher="apply_patch|Bash", denies=True),
        "PermissionRequest": HookEvent(HookPhase.PERMISSION),
    },
    shells=frozenset({"Bash"}),
    patchers=frozenset({"apply_patch"}),
)
"""Its edits come as a patch, or as a shell command that writes or applies one."""
