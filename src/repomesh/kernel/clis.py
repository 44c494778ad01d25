"""The agent CLIs that repomesh knows by name, for every floor that must name one."""

from __future__ import annotations

PROGRAMS: dict[str, str] = {
    "claude": "claude-code",
    "codex": "codex",
    "gemini": "gemini-cli",
    "copilot": "copilot-cli",
    "qwen": "qwen-code",
    "opencode": "opencode",
}
"""Each CLI's short name with the program that its agents are registered as."""

SAY_WHEN_OVER = frozenset({"claude", "codex", "copilot", "gemini"})
"""The CLIs whose hooks say when a session is over, also without a terminal; Qwen Code's do not (measured)."""


def cli_of(program: str) -> str | None:
    """The CLI behind what a client calls itself, such as 'codex' of 'codex-mcp-client'; None if unknown."""
    lower = program.lower()
    return next((cli for cli in PROGRAMS if cli in lower), None)
