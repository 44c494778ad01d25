"""The description of an agent CLI for connect; each CLI has a module with its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repomesh.connect.entries import SERVER, SettingsEntry, SettingsFile, hook_command, proxy_command
from repomesh.surfaces.hooks.dialects import DIALECTS, HookDialect, HookEvent, HookPhase


@dataclass(frozen=True, slots=True)
class Http:
    """An HTTP connection in place of the proxy: the server's URL, and the files with the agent's token."""

    url: str
    token: Path
    """Holds the token and nothing else."""
    headers: Path
    """Holds the request's headers as JSON."""

    @property
    def endpoint(self) -> str:
        """The URL of the MCP endpoint."""
        return f"{self.url.rstrip('/')}/mcp"


@dataclass(frozen=True, slots=True)
class ConnectTarget:
    """The place where a CLI is connected: the work tree, and the user's home and environment."""

    root: Path
    home: Path
    variables: Mapping[str, str]
    http: Http | None = None

    def under(self, variable: str, *default: str) -> Path:
        """The folder that `variable` names, else one of the home folder."""
        value = self.variables.get(variable)
        return Path(value) if value else self.home.joinpath(*default)


@dataclass(frozen=True, slots=True)
class Cli:
    """An agent CLI and its settings files. Its dialect describes its hooks."""

    name: str
    title: str
    settings: Callable[[ConnectTarget], list[SettingsFile]]
    servers_in: str
    """The scope and file of its MCP entry, for the documentation."""
    hooks_in: str
    wake: str = ""
    """The method by which an idle session is woken."""
    afterwards: str = ""
    """Instruction for the user, shown once after connecting."""

    @property
    def dialect(self) -> HookDialect:
        """The dialect of its hooks."""
        return DIALECTS[self.name]

    def routes(self) -> dict[str, tuple[str, ...]]:
        """The hook events that reach the model and check edits, by purpose; empty where there are none."""
        events = self.dialect.events.items()

        def event_names(matches: Callable[[HookEvent], bool]) -> tuple[str, ...]:
            return tuple(name for name, event in events if matches(event))

        return {
            "start": event_names(
                lambda event: event.phase is HookPhase.SESSION_START and event.reaches_model
            ),
            "busy": event_names(lambda event: event.phase in _BUSY and event.reaches_model),
            "turn_end": event_names(lambda event: event.blocks),
            "wake": (self.wake,) if self.wake else (),
            "guard": event_names(lambda event: event.denies),
        }


_BUSY = frozenset({HookPhase.AFTER_TOOL, HookPhase.PROMPT})
_OF_TOOLS = frozenset({HookPhase.BEFORE_TOOL, HookPhase.AFTER_TOOL})
TOKEN_VARIABLE = "REPOMESH_TOKEN"


def server_entry(path: Sequence[str], value: Mapping[str, Any]) -> SettingsEntry:
    """The MCP entry `repomesh` under `path`."""
    return SettingsEntry((*path, SERVER), dict(value))


def stdio_entry(cli: str) -> dict[str, Any]:
    """An MCP entry as most CLIs write it: a command and its arguments."""
    program, *words = proxy_command(cli)
    return {"command": program, "args": words}


def hook_groups(cli: str) -> tuple[SettingsEntry, ...]:
    """Hooks in the format of Claude Code and most CLIs: groups by event, with a matcher for tools."""
    entries = []
    for name, event in DIALECTS[cli].events.items():
        group: dict[str, Any] = {"hooks": [{"type": "command", "command": hook_command(cli, name)}]}
        if event.matcher or event.phase in _OF_TOOLS:
            group = {"matcher": event.matcher or "*"} | group
        entries.append(SettingsEntry(("hooks", name), group, item=True))
    return tuple(entries)
