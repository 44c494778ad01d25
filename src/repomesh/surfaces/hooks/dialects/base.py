"""The common base of the dialects: the phases of a CLI session, and the hook formats of most CLIs.

A CLI's hook is called with a JSON object on its standard input and may print another. Most use the names and
shapes of Claude Code's hooks; a dialect defines where its CLI differs.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from posixpath import join
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import orjson

from repomesh.kernel.json_text import read_shallow, replace_lone_surrogates
from repomesh.kernel.limits import (
    FILE_PATH_CHARS_MAX,
    HOOK_TEXT_CHARS_MAX,
    LABEL_CHARS_MAX,
    PERMISSION_SUMMARY_CHARS_MAX,
)
from repomesh.surfaces.hooks.dialects.folders import UNKNOWN_FOLDERS
from repomesh.surfaces.hooks.dialects.shell import writes_of_command, writes_of_patch
from repomesh.surfaces.hooks.dialects.writes import WriteSet, WriteTarget, limit_targets

Json = Mapping[str, Any]

CUT = "repomesh_cut"
"""The field of an input that was shortened, or could not be read whole."""
_UNREAD: Final = "its input is too long or too complex to be read whole"

_TYPED_KEY: Final = re.compile(r"\{[a-z]+\}")  # as `{enter}`
_FOLDER_ARGUMENTS: Final = ("dir_path", "directory", "workdir", "cwd")
"""The arguments in which CLIs name a command's working folder; a relative one is from the hook's `cwd`."""


class HookPhase(StrEnum):
    """When a hook is called, independent of the CLI's own name for it."""

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
    """One of a CLI's hook events: its phase, and what its answer can do.

    `matcher` limits it to relevant tools where the CLI supports that. With `reaches_model` text in the answer
    reaches the model, with `blocks` the answer can continue the turn, with `denies` it can stop the tool.
    """

    phase: HookPhase
    matcher: str = ""
    reaches_model: bool = False
    blocks: bool = False
    denies: bool = False


@dataclass(frozen=True, slots=True)
class HookInput:
    """The input of a hook, independent of the CLI.

    `loop_guard` is whether the turn continues only because its end was blocked before, None where the CLI
    does not report it; `writes` is what the tool writes, with relative paths from `folder`, which is the
    command's working folder, else `cwd` unchecked; `nested` is whether a subagent runs, whose context is not
    the session's; `goes_on` is whether the process outlives the session.
    """

    phase: HookPhase
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
    """The names of the common fields in a CLI's hook input."""

    session: str = "session_id"
    transcript: str = "transcript_path"
    tool: str = "tool_name"
    input: str = "tool_input"


@dataclass(frozen=True, slots=True)
class HookDialect:
    """The hook formats of one CLI, and its tools that write files.

    `editors` maps tools to the arguments that name the file they write; `mcp_editors` does so for tools of
    any MCP server, called `mcp__SERVER__TOOL`; `reading` maps editors to the values of their argument
    `command` with which they write nothing; `shells` are the tools that run a command, `typists` those
    that type into a shell that runs already; `patchers` those whose argument is a patch. The `*_with`
    functions build the outputs; `adjust` may change or drop an input.
    """

    cli: str
    events: Mapping[str, HookEvent]
    editors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    mcp_editors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reading: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shells: frozenset[str] = frozenset()
    typists: frozenset[str] = frozenset()
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
    adjust: Callable[[Json, HookInput], HookInput | None] = lambda _payload, hook_input: hook_input

    def read(self, event: str, payload: Json) -> HookInput | None:
        """Parse the input of a hook; None for an irrelevant event, or one without a session."""
        hook_event = self.events.get(event)
        session_id = payload.get(self.keys.session)
        if hook_event is None or not isinstance(session_id, str) or not session_id:
            return None
        arguments, is_whole = _object(payload.get(self.keys.input))
        is_cut = payload.get(CUT) is True or not is_whole
        tool = _text(payload.get(self.keys.tool))[:LABEL_CHARS_MAX]
        source = _text(payload.get("source"))
        phase = hook_event.phase
        if phase is HookPhase.SESSION_START and source == "compact":
            phase = HookPhase.COMPACTED
        loop_guard = payload.get("stop_hook_active")
        writes, folder = (
            self.writes_of_tool(tool, arguments, cut=is_cut),
            _text(payload.get("cwd")),
        )
        if tool in self.shells or tool in self.patchers:
            working_folder = _working_folder(arguments)
            if working_folder is None:
                writes = replace(writes, unresolved=writes.unresolved or "the folder in its input is no path")
            folder = join(folder, working_folder) if working_folder else folder
        hook_input = HookInput(
            phase=phase,
            session_id=session_id,
            cwd=_path(payload.get("cwd")) or "",
            transcript_path=_path(payload.get(self.keys.transcript)),
            tool=tool,
            writes=writes,
            folder=folder,
            loop_guard=loop_guard if isinstance(loop_guard, bool) else None,
            reason=(_text(payload.get("reason")) or source)[:64],
            prompt=_text(payload.get("prompt")),
            summary=_summary(payload, arguments)[:PERMISSION_SUMMARY_CHARS_MAX],
            nested=bool(payload.get("agent_id")),
            goes_on=_text(payload.get("reason")) in ("clear", "resume"),
        )
        return self.adjust(payload, hook_input)

    def writes_of_tool(self, tool: str, arguments: Json, *, cut: bool = False) -> WriteSet:
        """The files that a tool call would write, by its arguments; `cut` if the input is not whole."""
        if cut and not tool:
            return WriteSet((), _UNREAD)
        path_arguments = self.editors.get(tool)
        if tool.startswith("mcp__"):
            path_arguments = self.mcp_editors.get(tool.rpartition("__")[2])
        if arguments.get("command") in self.reading.get(tool, ()):
            return WriteSet()
        if path_arguments is not None:
            values = [arguments[name] for name in path_arguments if name in arguments]
            paths = [_path_of_uri(value) for value in values if isinstance(value, str)]
            unresolved = "" if len(paths) == len(values) else "the path in its input is no text"
            if cut and len(paths) < (2 if "destination" in path_arguments else 1):
                unresolved = _UNREAD
            return limit_targets(WriteSet(tuple(map(WriteTarget, paths)), unresolved))
        if tool not in self.shells | self.typists | self.patchers:
            return WriteSet()
        text = _command(arguments)
        if cut and (not text or len(text) >= HOOK_TEXT_CHARS_MAX):
            return WriteSet((), _UNREAD)
        if tool in self.typists:  # the shell may be in any folder by now
            return writes_of_command(_TYPED_KEY.sub("\n", text), UNKNOWN_FOLDERS)
        return writes_of_patch(text) if tool in self.patchers else writes_of_command(text)

    def context_output(self, event: str, text: str) -> bytes:
        """The hook's output that makes the model read `text`."""
        return orjson.dumps(self.context_with(event, text))

    def block(self, event: str, reason: str) -> bytes:
        """The hook's output that continues the turn, with `reason` for the model."""
        return orjson.dumps(self.block_with(event, reason))

    def deny(self, event: str, reason: str) -> bytes:
        """The hook's output that stops the tool, with `reason` for the model."""
        return orjson.dumps(self.deny_with(event, reason))


def load_json(text: bytes) -> Any:
    """The JSON value in a CLI's text, with lone surrogates replaced. Raises ValueError for malformed JSON."""
    try:
        return orjson.loads(text)
    except ValueError:
        return orjson.loads(replace_lone_surrogates(text))


CLAUDE_EVENTS: Final[Mapping[str, HookEvent]] = {
    "SessionStart": HookEvent(HookPhase.SESSION_START, reaches_model=True),
    "UserPromptSubmit": HookEvent(HookPhase.PROMPT, reaches_model=True),
    "PreToolUse": HookEvent(HookPhase.BEFORE_TOOL, denies=True),
    "PostToolUse": HookEvent(HookPhase.AFTER_TOOL, reaches_model=True),
    "Stop": HookEvent(HookPhase.TURN_END, blocks=True),
    "SessionEnd": HookEvent(HookPhase.SESSION_END),
}
"""The hook events of Claude Code and of the CLIs that adopted its hooks."""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _path(value: object) -> str | None:
    """The value if it is a usable path: not empty, not too long, without control characters; else None."""
    text = _text(value)
    if not text or len(text) > FILE_PATH_CHARS_MAX or any(ord(character) < 32 for character in text):
        return None
    return None if "\x7f" in text else text


def _object(value: object) -> tuple[Json, bool]:
    """Arguments as an object, and whether it is whole; some CLIs send them as JSON inside a string."""
    if not isinstance(value, str):
        return (value if isinstance(value, dict) else {}), True
    try:
        parsed = load_json(value.encode())
    except ValueError:
        return read_shallow(value.encode(errors="replace")), not value
    return (parsed if isinstance(parsed, dict) else {}), True


def _path_of_uri(text: str) -> str:
    """The path in `file:///path`; any other text unchanged."""
    parts = urlsplit(text) if text[:5].lower() == "file:" else None
    return text if parts is None else unquote(parts.path)


def _working_folder(arguments: Json) -> str | None:
    """The working folder in a tool's arguments; '' for none, None for one that is no usable path."""
    for name in _FOLDER_ARGUMENTS:
        value = arguments.get(name)
        if value is None or value == "":
            continue
        return value if isinstance(value, str) and len(value) <= FILE_PATH_CHARS_MAX else None
    return ""


def _command(arguments: Json) -> str:
    """The shell command or patch in a tool's arguments; a list of words is joined."""
    for name in ("command", "patch", "input", "cmd", "script"):
        value = arguments.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, list) and value and all(isinstance(word, str) for word in value):
            return str(value[-1]) if len(value) > 2 and value[1] in ("-c", "-lc") else shlex.join(value)
    return ""


def _summary(payload: Json, arguments: Json) -> str:
    """One line about what a CLI asks permission for."""
    for value in (_command(arguments), *(arguments.get(name) for name in ("file_path", "path", "url"))):
        if isinstance(value, str) and value:
            return " ".join(value.split())
    return " ".join(_text(payload.get("message")).split())
