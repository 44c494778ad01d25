"""OpenCode: it has no hooks that run a command, so it is connected over MCP only."""

from __future__ import annotations

from repomesh.surfaces.hooks.dialects.base import HookDialect

OPENCODE = HookDialect(cli="opencode", events={})
