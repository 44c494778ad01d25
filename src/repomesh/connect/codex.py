"""Codex: the user's settings, since it reads hooks from nowhere else."""

from __future__ import annotations

from repomesh.connect.cli import TOKEN_VARIABLE, Cli, ConnectTarget, hook_groups, server, stdio
from repomesh.connect.entries import Scope, SettingsFile

_PASSED = ["REPOMESH_AGENT", "REPOMESH_DATA", "REPOMESH_URL", TOKEN_VARIABLE, "XDG_STATE_HOME"]
"""Variables that the proxy may need: Codex hands its servers none that it was not told to."""


def settings(place: ConnectTarget) -> list[SettingsFile]:
    """`~/.codex/config.toml` and `hooks.json`; over HTTP the server is the project's, as its address is."""
    home = place.under("CODEX_HOME", ".codex")
    hooks = SettingsFile(home / "hooks.json", "json", "user", hook_groups("codex"))
    entry, path = stdio("codex") | {"env_vars": _PASSED}, home / "config.toml"
    if place.http is not None:
        entry = {"url": place.http.endpoint, "bearer_token_env_var": TOKEN_VARIABLE}
        path = place.root / ".codex" / "config.toml"
    scope: Scope = "user" if place.http is None else "project"
    return [SettingsFile(path, "toml", scope, (server(["mcp_servers"], entry),)), hooks]


CODEX = Cli(
    name="codex",
    title="Codex",
    settings=settings,
    servers_in="user: `~/.codex/config.toml`",
    hooks_in="user: `~/.codex/hooks.json`",
    wake="`codex queue`",
    afterwards="Codex asks once whether it may trust the new hooks: review them there and say yes.",
)
