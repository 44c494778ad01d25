"""Codex: the hooks in `~/.codex/hooks.json`."""

from __future__ import annotations

from repomesh.surfaces.hooks.dialects.base import CLAUDE_EVENTS, Dialect, Event, Moment

CODEX = Dialect(
    cli="codex",
    events={
        **CLAUDE_EVENTS,
        "PreToolUse": Event(Moment.BEFORE_TOOL, matcher="apply_patch|Bash", denies=True),
        "PermissionRequest": Event(Moment.PERMISSION),
    },
    shells=frozenset({"Bash"}),
    patchers=frozenset({"apply_patch"}),
)
"""Its edits come as a patch, or as a shell command that writes or applies one."""
