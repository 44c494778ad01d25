"""Claude Code: the hooks in `.claude/settings.json`."""

from __future__ import annotations

from repomesh.surfaces.hooks.dialects.base import CLAUDE_EVENTS, HookDialect, HookEvent, HookPhase

_SHELL = "Bash"
_EDITORS = {
    "Edit": ("file_path",),
    "MultiEdit": ("file_path",),
    "Write": ("file_path",),
    "NotebookEdit": ("notebook_path",),
}

CLAUDE = HookDialect(
    cli="claude",
    events={
        **CLAUDE_EVENTS,
        "PreToolUse": HookEvent(HookPhase.BEFORE_TOOL, matcher="|".join((*_EDITORS, _SHELL)), denies=True),
        "PermissionRequest": HookEvent(HookPhase.PERMISSION),
    },
    editors=_EDITORS,
    shells=frozenset({_SHELL}),
)
"""A call of a tool by a subagent carries `agent_id`: what it is told would not reach the session."""
