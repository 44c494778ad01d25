"""What a started server says of itself."""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from repomesh.cli import output

_LOOPBACK = ("127.", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Started:
    """A running server, for people and scripts."""

    version: str
    pid: int
    url: str
    host: str
    workspace: str
    data: str
    store: str
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The same for a script; the token's file, never the token."""
        return asdict(self) | {"token_file": str(Path(self.data) / "token")} | self.addresses()

    def addresses(self) -> dict[str, str]:
        """Every URL of the server."""
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


def command() -> str:
    """How to type `repomesh` here: its name when it is on the path, else its place."""
    return "repomesh" if shutil.which("repomesh") else shlex.quote(str(Path(sys.argv[0]).absolute()))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    return host.startswith(_LOOPBACK)


def show(started: Started, *, detached: bool) -> None:
    """Print the banner."""
    data = Path(started.data)
    here = command()
    for text in started.notes:
        output.say(text)
    _section(
        f"repomesh {started.version}",
        {
            "workspace": started.workspace,
            "data": f"{data} ({started.store})",
            "token": f"{data / 'token'} (the owner's; keep it to yourself)",
            "log": str(data / "server.log"),
            "process": str(started.pid),
        },
    )
    names = {name.replace("_", " "): url for name, url in started.addresses().items()}
    _section("Addresses", names)
    _section(
        "Connect an agent",
        {
            "agent CLIs": f"{here} connect (Claude Code, Codex, Gemini, Copilot, Qwen, OpenCode)",
            "others": f"an MCP server over stdio: command '{here}', argument 'mcp'",
            "over HTTP": f"{started.url}/mcp with 'Authorization: Bearer TOKEN'",
        },
    )
    _section("Stop", {"": f"{here} down" if detached else f"Ctrl+C, or {here} down"})
    if not is_loopback(started.host):
        output.note(
            f"warning: {started.host} can be reached from other machines. Whoever has a token may read and "
            "write what is in its workspace, and nothing is encrypted: put a proxy with TLS in front of it."
        )


def _section(title: str, lines: dict[str, str]) -> None:
    bold, plain = ("\x1b[1m", "\x1b[0m") if output.wants_colour() else ("", "")
    print(f"{bold}{title}{plain}")
    width = max(len(name) for name in lines)
    for name, text in lines.items():
        print(f"  {name:<{width}}  {text}" if name else f"  {text}")
    print(flush=True)
