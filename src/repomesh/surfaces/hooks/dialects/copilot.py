"""Copilot CLI: the hooks in `~/.copilot/hooks/NAME.json`."""

from __future__ import annotations

from repomesh.surfaces.hooks.dialects.base import Dialect, Event, Heard, Json, Keys, Moment

_EDITORS = {
    "create": ("path", "file_path"),
    "edit": ("path", "file_path"),
    "str_replace_editor": ("path", "file_path"),
}


def _tell(_event: str, text: str) -> Json:
    return {"additionalContext": text}


def _deny(_event: str, reason: str) -> Json:
    return {"permissionDecision": "deny", "permissionDecisionReason": reason}


def _adjust(said: Json, heard: Heard) -> Heard | None:
    """That a person is asked, only a notification tells: `permissionRequest` comes before every tool."""
    if heard.moment is Moment.PERMISSION and said.get("notification_type") != "permission_prompt":
        return None
    return heard


COPILOT = Dialect(
    cli="copilot",
    events={
        "sessionStart": Event(Moment.SESSION_START, tells=True),
        "userPromptSubmitted": Event(Moment.PROMPT, tells=True),
        "preToolUse": Event(Moment.BEFORE_TOOL, denies=True),
        "postToolUse": Event(Moment.AFTER_TOOL, tells=True),
        "agentStop": Event(Moment.TURN_END, blocks=True),
        "preCompact": Event(Moment.COMPACTED),
        "notification": Event(Moment.PERMISSION),
        "sessionEnd": Event(Moment.SESSION_END),
    },
    editors=_EDITORS,
    shells=frozenset({"bash"}),
    patchers=frozenset({"apply_patch"}),
    keys=Keys(session="sessionId", transcript="transcriptPath", tool="toolName", input="toolArgs"),
    tell_with=_tell,
    deny_with=_deny,
    adjust=_adjust,
)
"""It names its transcript at the end of a turn only, and says nothing after compacting."""
