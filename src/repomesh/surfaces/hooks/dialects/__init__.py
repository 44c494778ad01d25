"""Each CLI's dialect: the input and output formats of its hooks. Pure; imports only the kernel."""

from __future__ import annotations

from repomesh.surfaces.hooks.dialects.base import HookDialect, HookEvent, HookInput, HookPhase
from repomesh.surfaces.hooks.dialects.claude import CLAUDE
from repomesh.surfaces.hooks.dialects.codex import CODEX
from repomesh.surfaces.hooks.dialects.copilot import COPILOT
from repomesh.surfaces.hooks.dialects.gemini import GEMINI
from repomesh.surfaces.hooks.dialects.opencode import OPENCODE
from repomesh.surfaces.hooks.dialects.qwen import QWEN

DIALECTS: dict[str, HookDialect] = {
    dialect.cli: dialect for dialect in (CLAUDE, CODEX, GEMINI, COPILOT, QWEN, OPENCODE)
}
"""Every dialect by its CLI's name."""

__all__ = ["DIALECTS", "HookDialect", "HookEvent", "HookInput", "HookPhase"]
