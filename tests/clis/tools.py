"""How the model of each CLI asks for the same things: files, commands, the tools of MCP servers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from clis.wires import Call


def write(cli: str, folder: Path, path: str, text: str) -> Call:
    """The CLI's own tool for files writes `text` to `path` of the repository."""
    return _WRITE[cli](folder, path, text)


def look(cli: str, folder: Path, path: str) -> list[Call]:
    """The CLI's own tool reads a file, where it must have before it edits one."""
    reading = {
        "claude": Call("Read", {"file_path": str(folder / path)}),
        "qwen": Call("read_file", {"file_path": str(folder / path)}),
        "opencode": Call("read", {"filePath": str(folder / path)}),
    }
    return [reading[cli]] if cli in reading else []


def edit(cli: str, folder: Path, path: str, old: str, new: str) -> Call:
    """The CLI's own tool replaces `old` by `new` in a file of the repository."""
    return _EDIT[cli](folder, path, old, new)


def shell(cli: str, command: str) -> Call:
    """The CLI's own shell runs a command."""
    return _SHELL[cli](command)


def mcp(cli: str, server: str, tool: str, **arguments: Any) -> Call:
    """The CLI calls a tool of an MCP server."""
    if cli == "codex":
        return Call(tool, arguments, namespace=f"mcp__{server}")
    name = {"gemini": f"mcp_{server}_{tool}", "copilot": f"{server}-{tool}", "opencode": f"{server}_{tool}"}
    return Call(name.get(cli, f"mcp__{server}__{tool}"), arguments)


def _patch(folder: Path, path: str, text: str) -> Call:
    added = "\n".join(f"+{line}" for line in text.splitlines())
    return _applied(f"*** Add File: {path}\n{added}")


def _applied(changes: str) -> Call:
    return Call("apply_patch", free=f"*** Begin Patch\n{changes}\n*** End Patch")


def _replaced(tool: str, file: str, old: str, new: str) -> Callable[[Path, str, str, str], Call]:
    """An edit tool whose arguments have these names."""
    return lambda at, path, before, after: Call(tool, {file: str(at / path), old: before, new: after})


_WRITE: Final[dict[str, Callable[[Path, str, str], Call]]] = {
    "claude": lambda at, path, text: Call("Write", {"file_path": str(at / path), "content": text}),
    "codex": _patch,
    "gemini": lambda at, path, text: Call("write_file", {"file_path": str(at / path), "content": text}),
    "copilot": lambda at, path, text: Call("create", {"path": str(at / path), "file_text": text}),
    "qwen": lambda at, path, text: Call("write_file", {"file_path": str(at / path), "content": text}),
    "opencode": lambda at, path, text: Call("write", {"filePath": str(at / path), "content": text}),
}
_EDIT: Final[dict[str, Callable[[Path, str, str, str], Call]]] = {
    "claude": _replaced("Edit", "file_path", "old_string", "new_string"),
    "codex": lambda at, path, old, new: _applied(f"*** Update File: {path}\n@@\n-{old}\n+{new}"),
    "gemini": lambda at, path, old, new: Call(
        "replace",
        {"file_path": str(at / path), "old_string": old, "new_string": new, "instruction": "Change it"},
    ),
    "copilot": _replaced("edit", "path", "old_str", "new_str"),
    "qwen": _replaced("edit", "file_path", "old_string", "new_string"),
    "opencode": _replaced("edit", "filePath", "oldString", "newString"),
}
_SHELL: Final[dict[str, Callable[[str], Call]]] = {
    "claude": lambda command: Call("Bash", {"command": command, "description": "Run it"}),
    "codex": lambda command: Call("exec_command", {"cmd": command}),
    "gemini": lambda command: Call("run_shell_command", {"command": command, "description": "Run it"}),
    "copilot": lambda command: Call("bash", {"command": command, "description": "Run it"}),
    "qwen": lambda command: Call(
        "run_shell_command", {"command": command, "description": "Run it", "is_background": False}
    ),
    "opencode": lambda command: Call("bash", {"command": command, "description": "Run it"}),
}
