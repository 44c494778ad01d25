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

_MCP_EDITORS = {
    **dict.fromkeys(("write_file", "edit_file", "create_file"), ("path", "file_path", "filePath", "uri")),
    "move_file": ("source", "destination"),
}
"""The names that servers give the argument with the path; a URI may be one of a file."""
_MATCHER = f"^({'|'.join((*_EDITORS, _SHELL))}|mcp__.*__({'|'.join(_MCP_EDITORS)}))$"
"""A regular expression, anchored since the CLI looks for it anywhere in a tool's name."""

CLAUDE = HookDialect(
    cli="claude",
    events={
        **CLAUDE_EVENTS,
        "PreToolUse": HookEvent(HookPhase.BEFORE_TOOL, matcher=_MATCHER, denies=True),
        "PermissionRequest": HookEvent(HookPhase.PERMISSION),
    },
    editors=_EDITORS,
    mcp_editors=_MCP_EDITORS,
    shells=frozenset({_SHELL}),
)
"""A subagent's tool call carries `agent_id`: a text in its answer would not reach the session."""
