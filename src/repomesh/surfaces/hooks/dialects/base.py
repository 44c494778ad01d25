"""What the dialects share: the moments of a CLI session, and how most CLIs speak of them.

A CLI's hook is called with a JSON object on its standard input and may print another. Most took over the
names and shapes of Claude Code's hooks; a dialect says where its CLI differs.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from posixpath import join
from typing import Any, Final

import orjson

from repomesh.kernel.limits import (
    FILE_PATH_CHARS_MAX,
    HOOK_TEXT_CHARS_MAX,
    LABEL_CHARS_MAX,
    PERMISSION_SUMMARY_CHARS_MAX,
)
from repomesh.surfaces.hooks.dialects.shell import writes_of_command, writes_of_patch
from repomesh.surfaces.hooks.dialects.writes import WriteSet, WriteTarget, bounded

Json = Mapping[str, Any]

CUT = "repomesh_cut"
"""What a hook adds to an input whose texts it had to shorten."""


_FOLDER_ARGUMENTS: Final = ("dir_path", "directory", "workdir", "cwd")
"""How CLIs name the folder that a command is to run in; a relative one is from the hook's own."""


class HookPhase(StrEnum):
    """When a hook is called, whatever its CLI calls it."""

    SESSION_START = "session_start"
    COMPACTED = "compacted"
    PROMPT = "prompt"
    BEFORE_TOOL = "before_tool"
    AFTER_TOOL = "after_tool"
    TURN_END = "turn_end"
    PERMISSION = "permission"
    SESSION_END = "session_end"


@dataclass(frozen=True, slots=True)
class HookEvent:
    """One of a CLI's hook events: when it comes, and what its answer can do.

    `matcher` narrows it to the tools that matter where the CLI can; `reaches_model`: text in the
    answer reaches the model, `blocks` that the turn goes on with a reason, `denies` that the tool is stopped.
    """

    moment: HookPhase
    matcher: str = ""
    reaches_model: bool = False
    blocks: bool = False
    denies: bool = False


@dataclass(frozen=True, slots=True)
class HookInput:
    """What a hook said, in words that no longer depend on the CLI.

    `loop_guard` says whether the turn goes on only because its end was held back before, None where the CLI
    does not tell; `writes` is what the tool writes, as its input names it, with relative paths from `folder`,
    which is the folder that a command is to run in, else `cwd`, even where that can't be written down;
    `nested` says that a subagent is at work, whose context is not the session's; `goes_on` that the process
    outlives the session.
    """

    moment: HookPhase
    session_id: str
    cwd: str = ""
    transcript_path: str | None = None
    tool: str = ""
    writes: WriteSet = field(default_factory=WriteSet)
    folder: str = ""
    loop_guard: bool | None = None
    reason: str = ""
    prompt: str = ""
    summary: str = ""
    nested: bool = False
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class HookFieldNames:
    """The names under which a CLI's hooks say things."""

    session: str = "session_id"
    transcript: str = "transcript_path"
    tool: str = "tool_name"
    input: str = "tool_input"


@dataclass(frozen=True, slots=True)
class HookDialect:
    """How one CLI's hooks speak.

    `editors` are its tools that write the file which one of the named arguments holds; `mcp_editors` those of
    any MCP server, which it calls `mcp__SERVER__TOOL`; `shells` those that run a command; `patchers` those
    whose argument is a patch.
    """

    cli: str
    events: Mapping[str, HookEvent]
    editors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    mcp_editors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shells: frozenset[str] = frozenset()
    patchers: frozenset[str] = frozenset()
    keys: HookFieldNames = HookFieldNames()
    context_with: Callable[[str, str], Json] = lambda event, text: {
        "hookSpecificOutput": {"hookEventName": event, "additionalContext": text}
    }
    block_with: Callable[[str, str], Json] = lambda _event, reason: {"decision": "block", "reason": reason}
    deny_with: Callable[[str, str], Json] = lambda event, reason: {
        "hookSpecificOutput": {
            "hookEventName": event,
            "permissionDecision": "deny",
            "permissionDecisionReason": reason,
        }
    }
    adjust: Callable[[Json, HookInput], HookInput | None] = lambda _said, heard: heard

    def read(self, event: str, said: Json) -> HookInput | None:
        """What a hook said; None for an event that means nothing here, or one without a session."""
        known = self.events.get(event)
        session_id = said.get(self.keys.session)
        if known is None or not isinstance(session_id, str) or not session_id:
            return None
        arguments = _object(said.get(self.keys.input))
        tool = _text(said.get(self.keys.tool))[:LABEL_CHARS_MAX]
        source = _text(said.get("source"))
        moment = known.moment
        if moment is HookPhase.SESSION_START and source == "compact":
            moment = HookPhase.COMPACTED
        guard = said.get("stop_hook_active")
        writes, folder = self.edited(tool, arguments, cut=said.get(CUT) is True), _text(said.get("cwd"))
        if tool in self.shells or tool in self.patchers:
            place = _working_folder(arguments)
            if place is None:
                writes = replace(writes, unresolved=writes.unresolved or "the folder in its input is no path")
            folder = join(folder, place) if place else folder
        heard = HookInput(
            moment=moment,
            session_id=session_id,
            cwd=_path(said.get("cwd")) or "",
            transcript_path=_path(said.get(self.keys.transcript)),
            tool=tool,
            writes=writes,
            folder=folder,
            loop_guard=guard if isinstance(guard, bool) else None,
            reason=(_text(said.get("reason")) or source)[:64],
            prompt=_text(said.get("prompt")),
            summary=_summary(said, arguments)[:PERMISSION_SUMMARY_CHARS_MAX],
            nested=bool(said.get("agent_id")),
            goes_on=_text(said.get("reason")) in ("clear", "resume"),
        )
        return self.adjust(said, heard)

    def edited(self, tool: str, arguments: Json, *, cut: bool = False) -> WriteSet:
        """What a call of a tool would write, as far as its arguments tell; `cut` if they came shortened."""
        named = self.editors.get(tool)
        if tool.startswith("mcp__"):
            named = self.mcp_editors.get(tool.rpartition("__")[2])
        if named is not None:
            values = [arguments[name] for name in named if name in arguments]
            paths = [value for value in values if isinstance(value, str)]
            odd = "" if len(paths) == len(values) else "the path in its input is no text"
            return bounded(WriteSet(tuple(map(WriteTarget, paths)), odd))
        if tool not in self.shells and tool not in self.patchers:
            return WriteSet()
        text = _command(arguments)
        if cut and len(text) >= HOOK_TEXT_CHARS_MAX:
            return WriteSet((), "its input is too long to be looked through")
        return writes_of_patch(text) if tool in self.patchers else writes_of_command(text)

    def context_output(self, event: str, text: str) -> bytes:
        """What to print so that the model reads `text`."""
        return orjson.dumps(self.context_with(event, text))

    def block(self, event: str, reason: str) -> bytes:
        """What to print so that the turn goes on, with `reason` before the model."""
        return orjson.dumps(self.block_with(event, reason))

    def deny(self, event: str, reason: str) -> bytes:
        """What to print so that the tool does not run, with `reason` before the model."""
        return orjson.dumps(self.deny_with(event, reason))


CLAUDE_EVENTS: Final[Mapping[str, HookEvent]] = {
    "SessionStart": HookEvent(HookPhase.SESSION_START, reaches_model=True),
    "UserPromptSubmit": HookEvent(HookPhase.PROMPT, reaches_model=True),
    "PreToolUse": HookEvent(HookPhase.BEFORE_TOOL, denies=True),
    "PostToolUse": HookEvent(HookPhase.AFTER_TOOL, reaches_model=True),
    "Stop": HookEvent(HookPhase.TURN_END, blocks=True),
    "SessionEnd": HookEvent(HookPhase.SESSION_END),
}
"""The events that Claude Code has, and those CLIs that took its hooks over."""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _path(value: object) -> str | None:
    """A path that can be one: neither empty, nor endless, nor with control characters."""
    text = _text(value)
    if not text or len(text) > FILE_PATH_CHARS_MAX or any(ord(character) < 32 for character in text):
        return None
    return None if "\x7f" in text else text


def _object(value: object) -> Json:
    """Arguments as an object; some CLIs give them as JSON inside a string."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}


def _working_folder(arguments: Json) -> str | None:
    """The folder that a tool's arguments have a command run in; '' for none, None for what is no path."""
    for name in _FOLDER_ARGUMENTS:
        value = arguments.get(name)
        if value is None or value == "":
            continue
        return value if isinstance(value, str) and len(value) <= FILE_PATH_CHARS_MAX else None
    return ""


def _command(arguments: Json) -> str:
    """The shell command or patch in a tool's arguments; a list of words is one that was split already."""
    for name in ("command", "patch", "input", "cmd", "script"):
        value = arguments.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, list) and value and all(isinstance(word, str) for word in value):
            return str(value[-1]) if len(value) > 2 and value[1] in ("-c", "-lc") else shlex.join(value)
    return ""


def _summary(said: Json, arguments: Json) -> str:
    """What a CLI asks permission for, in one line."""
    for value in (_command(arguments), *(arguments.get(name) for name in ("file_path", "path", "url"))):
        if isinstance(value, str) and value:
            return " ".join(value.split())
    return " ".join(_text(said.get("message")).split())
