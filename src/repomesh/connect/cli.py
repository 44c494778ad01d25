"""What connect must know of an agent CLI; each has a file of its own that says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repomesh.connect.entries import SERVER, SettingsEntry, SettingsFile, hook_command, proxy_command
from repomesh.surfaces.hooks.dialects import DIALECTS, HookDialect, HookEvent, HookPhase


@dataclass(frozen=True, slots=True)
class Http:
    """Our endpoint in place of the proxy: where it is, and the files that hold an agent's token."""

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
    """Where a CLI is connected: the work tree, and whose settings."""

    root: Path
    home: Path
    variables: Mapping[str, str]
    http: Http | None = None

    def under(self, variable: str, *default: str) -> Path:
        """The folder that `variable` names, else one of the home folder."""
        named = self.variables.get(variable)
        return Path(named) if named else self.home.joinpath(*default)


@dataclass(frozen=True, slots=True)
class Cli:
    """An agent CLI: where its settings are. What its hooks can do, its dialect says."""

    name: str
    title: str
    settings: Callable[[ConnectTarget], list[SettingsFile]]
    servers_in: str
    """Where its MCP entry stands, and in whose scope."""
    hooks_in: str
    wake: str = ""
    """How an idle session of it is woken."""
    afterwards: str = ""
    """What its person has to do once."""

    @property
    def dialect(self) -> HookDialect:
        """How its hooks speak."""
        return DIALECTS[self.name]

    def routes(self) -> dict[str, tuple[str, ...]]:
        """By what its model is reached and its edits are checked; nothing where there is no way."""
        events = self.dialect.events.items()

        def those(fits: Callable[[HookEvent], bool]) -> tuple[str, ...]:
            return tuple(name for name, event in events if fits(event))

        return {
            "start": those(lambda event: event.phase is HookPhase.SESSION_START and event.reaches_model),
            "busy": those(lambda event: event.phase in _BUSY and event.reaches_model),
            "turn_end": those(lambda event: event.blocks),
            "wake": (self.wake,) if self.wake else (),
            "guard": those(lambda event: event.denies),
        }


_BUSY = frozenset({HookPhase.AFTER_TOOL, HookPhase.PROMPT})
_OF_TOOLS = frozenset({HookPhase.BEFORE_TOOL, HookPhase.AFTER_TOOL})
TOKEN_VARIABLE = "REPOMESH_TOKEN"


def server(path: Sequence[str], value: Mapping[str, Any]) -> SettingsEntry:
    """The MCP entry `repomesh` under `path`."""
    return SettingsEntry((*path, SERVER), dict(value))


def stdio(cli: str) -> dict[str, Any]:
    """An MCP entry as most CLIs write it: a command and its arguments."""
    program, *words = proxy_command(cli)
    return {"command": program, "args": words}


def hook_groups(cli: str) -> tuple[SettingsEntry, ...]:
    """Hooks as Claude Code writes them and most others do, too: groups by event, with a matcher for tools."""
    made = []
    for name, event in DIALECTS[cli].events.items():
        group: dict[str, Any] = {"hooks": [{"type": "command", "command": hook_command(cli, name)}]}
        if event.matcher or event.phase in _OF_TOOLS:
            group = {"matcher": event.matcher or "*"} | group
        made.append(SettingsEntry(("hooks", name), group, item=True))
    return tuple(made)
