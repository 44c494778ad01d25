"""The commands of the first level, and the help that lists them, without loading Typer for it."""

from __future__ import annotations

import os
import textwrap

SUMMARY = "One server where AI agents and people work together on a repository."

_SERVER, _WORK, _CARE = "Server", "Working together", "Care"

COMMANDS: dict[str, tuple[str, ...]] = {
    "up": ("Start the server of this repository.", "up", _SERVER),
    "down": ("Stop the server.", "down", _SERVER),
    "status": ("Show the server, agents, locks and waiting work.", "status", _SERVER),
    "env": ("Print the variables by which programs find this server.", "env", _SERVER),
    "logs": ("Print the log file of the server's process; -f follows it.", "logs", _SERVER),
    "open": ("Open the description of the server's API in a browser.", "open_browser", _SERVER),
    "daemon": ("Wake idle agent CLIs when a message comes; 'up' starts it.", "daemon", _SERVER),
    "doctor": ("Find problems, and the command that fixes each.", "doctor", _SERVER),
    "trust": ("Use a data folder that was moved or copied here.", "trust", _SERVER),
    "connect": ("Connect an agent CLI to this repository.", "connect", _SERVER),
    "disconnect": ("Disconnect an agent CLI.", "connect", _SERVER, "disconnect_app"),
    "guard": ("Make git refuse changes to locked paths.", "guard", _SERVER),
    "demo": (
        "Watch agents share work on a clone, or meet.",
        "demo.command",
        _SERVER,
    ),
    "mcp": ("Run an agent's MCP server over stdio; agent CLIs start it.", "", _SERVER),  # see main
    "inbox": ("What needs you: questions, permissions, notices, messages.", "inbox", _WORK),
    "agent": ("Manage agents: list, register, retire.", "", _WORK),
    "message": ("Send, read, answer, acknowledge and search messages.", "", _WORK),
    "question": ("Questions to people: ask, answer, withdraw.", "", _WORK),
    "channel": ("Manage channels: create, join, read.", "", _WORK),
    "task": ("Manage tasks: create, claim, complete.", "", _WORK),
    "lock": ("Lock paths and named resources: acquire, check, release.", "", _WORK),
    "review": ("Ask for reviews, comment, decide.", "", _WORK),
    "change": ("Hand work to the merge queue: submit, list, approve.", "change", _WORK),
    "queue": ("The merge queue: status, pause, resume, stats, report.", "queue", _WORK),
    "request": ("Ask for work and follow it: create, show, approve, stop.", "request", _WORK),
    "plan": ("Divide the files of a request among tasks.", "plan", _WORK),
    "rollback": ("Take landed changes back, through the merge queue.", "rollback", _WORK),
    "meeting": ("Discuss in turn, vote and decide: create, watch, minutes.", "meeting", _WORK),
    "decision": ("Manage decisions: list, record, supersede, overrule.", "", _WORK),
    "session": ("Shared memory: create, search, export.", "session", _WORK),
    "chunk": ("Conversation of a session: add, list, read.", "chunk", _WORK),
    "memory": ("Manage memories: store, list, correct.", "memory", _WORK),
    "artifact": ("Manage artifacts of a session: add, list, read.", "artifact", _WORK),
    "search": ("Find anything by its words, or recall what answers a question.", "", _WORK),
    "webhook": ("Send events to other servers: subscribe, test, replay.", "", _WORK),
    "events": ("The event log: tail --follow, list, post.", "events", _WORK),
    "api": ("Call any operation by its name.", "api", _WORK),
    "workspace": ("The repositories that this server holds.", "", _CARE),
    "token": ("Make, list and revoke tokens.", "tokens", _CARE),
    "db": ("The database's schema: current, check, upgrade.", "database", _CARE, "db"),
    "backup": ("Copy the database to a file.", "database", _CARE, "backup_app"),
    "restore": ("Restore a backup.", "database", _CARE, "restore_app"),
    "log": ("Archive old events of the event log.", "log", _CARE),
}
"""By command name: help, module (empty for the generated group of a noun), heading in a terminal, and the
name of the Typer app unless that is `app`. Listed in this order."""

_OPTIONS = (
    ("--version", "Print the version."),
    ("--install-completion", "Install completion for the current shell."),
    (
        "--show-completion",
        "Show completion for the current shell, to copy it or customize the installation.",
    ),
    ("-h, --help", "Show this message and exit."),
)


def help_text(columns: int) -> str:
    """Return the text that Typer prints for `--help` into a pipe, for a terminal of `columns` columns.

    Loading Typer would take most of the command's time.
    """
    width = max(min(columns, 80) - 2, 50)  # as Typer does
    name_columns = 6 + max(map(len, COMMANDS))
    commands = [(name, _shorten(entry[0], width - name_columns)) for name, entry in COMMANDS.items()]
    lines = ["Usage: repomesh [OPTIONS] COMMAND [ARGS]...", ""]
    lines += textwrap.wrap(SUMMARY, width, initial_indent="  ", subsequent_indent="  ")
    lines += ["", "Options:", *_format_definitions(_OPTIONS, width)]
    lines += ["", "Commands:", *_format_definitions(commands, width)]
    return "\n".join(lines)


def terminal_columns() -> int:
    """Return the width that Typer uses: COLUMNS, else that of the terminal of standard output, else 80."""
    try:
        columns = int(os.environ.get("COLUMNS", "0"))
    except ValueError:
        columns = 0
    if columns > 0:
        return columns
    try:
        return os.get_terminal_size(1).columns or 80
    except OSError:  # no terminal
        return 80


def _format_definitions(rows: list[tuple[str, str]] | tuple[tuple[str, str], ...], width: int) -> list[str]:
    name_width = max(len(name) for name, _ in rows) + 2
    lines = []
    for name, description in rows:
        first_line, *further_lines = textwrap.wrap(description, max(width - name_width - 2, 10))
        lines.append(f"  {name:<{name_width}}{first_line}")
        lines += [f"  {'':<{name_width}}{line}" for line in further_lines]
    return lines


def _shorten(text: str, chars: int) -> str:
    """Return the first sentence, or as many whole words and '...' as fit into `chars`."""
    words = text.split()
    for index, word in enumerate(words):
        if word.endswith(".") and len(" ".join(words[: index + 1])) <= chars:
            return " ".join(words[: index + 1])
    if len(text) <= chars:
        return text
    while len(" ".join(words)) + len("...") > chars:
        words.pop()
    return " ".join(words) + "..."
