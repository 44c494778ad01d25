"""The banner that a server prints when it has started."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from repomesh.views.terminal_text import TextStyle, clean

_LOOPBACK = ("127.", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class StartedServer:
    """A running server: its process, its base URL, and the paths of its data folder and store."""

    version: str
    pid: int
    url: str
    host: str
    workspace: str
    data: str
    store: str
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return all fields and addresses, and the file that holds the owner's token."""
        return asdict(self) | {"token_file": str(Path(self.data) / "token")} | self.addresses()

    def addresses(self) -> dict[str, str]:
        """Return the URLs of the server by purpose."""
        sockets = self.url.replace("http", "ws", 1)
        return {
            "api": f"{self.url}/v1",
            "mcp": f"{self.url}/mcp",
            "websocket": f"{sockets}/v1/ws",
            "event_stream": f"{self.url}/v1/stream",
            "openapi": f"{self.url}/openapi.json",
            "health": f"{self.url}/healthz",
            "readiness": f"{self.url}/readyz",
            "metrics": f"{self.url}/metrics",
        }


def banner_lines(style: TextStyle, server: StartedServer, *, detached: bool) -> list[str]:
    """Return the banner of a started server, a block of lines for each subject, and an empty line after each.

    `detached` says that the server runs in the background.
    """
    data, program = Path(server.data), style.program
    blocks = {
        f"repomesh {server.version}": {
            "workspace": server.workspace,
            "data": f"{data} ({server.store})",
            "token": f"{data / 'token'} (the owner's; keep it to yourself)",
            "log": str(data / "server.log"),
            "process": str(server.pid),
        },
        "Addresses": {name.replace("_", " "): url for name, url in server.addresses().items()},
        "Connect an agent": {
            "agent CLIs": f"{program} connect (Claude Code, Codex, Gemini, Copilot, Qwen, OpenCode)",
            "others": f"an MCP server over stdio: command '{program}', argument 'mcp'",
            "over HTTP": f"{server.url}/mcp with 'Authorization: Bearer TOKEN'",
        },
        "Stop": {"": f"{program} down" if detached else f"Ctrl+C, or {program} down in another terminal"},
    }
    lines = [clean(note) for note in server.notes]
    for title, fields in blocks.items():
        width = max(len(name) for name in fields)
        lines.append(style.bold(title))
        lines += [f"  {name:<{width}}  {text}" if name else f"  {text}" for name, text in fields.items()]
        lines.append("")
    return lines


def exposure_warning(host: str) -> str | None:
    """Return a warning if other machines can reach `host`, an address or name to listen at."""
    if host.startswith(_LOOPBACK):
        return None
    return (
        f"warning: {host} can be reached from other machines. Whoever has a token may read and "
        "write what is in its workspace, and nothing is encrypted: put a proxy with TLS in front of it."
    )
