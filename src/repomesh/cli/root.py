"""The tree of commands. Each is imported when it is called; to list them, their names are enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from repomesh.cli import output
from repomesh.client.errors import RemoteError
from repomesh.kernel.errors import RepomeshError


@dataclass(frozen=True, slots=True)
class Entry:
    """A command or a group of them: where it is made, and what the list of commands says of it."""

    help: str
    module: str
    panel: str
    name: str = "app"

    def load(self, name: str) -> Any:
        """The real thing: the module's `app`, or the group of a noun."""
        if self.module == "":
            from repomesh.cli.generic import group

            app = group(name, self.help)
        else:
            app = getattr(import_module(f"repomesh.cli.{self.module}"), self.name)
        command = typer.main.get_command(app)
        command.name = name
        return command


_SERVER, _WORK, _CARE = "Server", "Working together", "Care"

ENTRIES: dict[str, Entry] = {
    "up": Entry("Start the server of this repository.", "up", _SERVER),
    "down": Entry("Stop it.", "down", _SERVER),
    "status": Entry("Say where the server is and what happens there.", "status", _SERVER),
    "daemon": Entry("Wake idle agent CLIs when a message comes; 'up' starts it.", "daemon", _SERVER),
    "doctor": Entry("Find what is wrong here, and the command that mends it.", "doctor", _SERVER),
    "connect": Entry("Make an agent CLI an agent of this repository.", "connect", _SERVER),
    "disconnect": Entry("Take it out again.", "connect", _SERVER, "disconnect_app"),
    "guard": Entry("Have git refuse what touches paths that others have locked.", "guard", _SERVER),
    "demo": Entry(
        "Watch agents share work on a clone of this repository, or hold a meeting.", "demo.command", _SERVER
    ),
    "mcp": Entry("Be an agent's MCP server over stdio: what agent CLIs start.", "", _SERVER),  # see main
    "inbox": Entry("What needs you: questions, permissions, notices, messages.", "inbox", _WORK),
    "agent": Entry("Who takes part: list, register, retire.", "", _WORK),
    "message": Entry("Send, read, answer, acknowledge and search messages.", "", _WORK),
    "question": Entry("What agents ask people: ask, answer, withdraw.", "", _WORK),
    "channel": Entry("Where several talk: create, join, read.", "", _WORK),
    "task": Entry("Work to divide: create, claim, complete.", "", _WORK),
    "lock": Entry("Hold paths and named resources: acquire, check, release.", "", _WORK),
    "review": Entry("Ask for reviews, comment, decide.", "", _WORK),
    "meeting": Entry("Discuss in turn, vote and decide: create, watch, minutes.", "meeting", _WORK),
    "decision": Entry("What was decided: list, record, supersede, overrule.", "", _WORK),
    "session": Entry("Shared memory that outlives conversations: create, search, export.", "session", _WORK),
    "chunk": Entry("Conversation of a session: add, list, read.", "", _WORK),
    "memory": Entry("What to remember: store, list, correct.", "", _WORK),
    "artifact": Entry("What came of a session: add, list, read.", "", _WORK),
    "search": Entry("Find anything by its words, or recall what answers a question.", "", _WORK),
    "webhook": Entry("Send events to other servers: subscribe, test, replay.", "", _WORK),
    "events": Entry("The event log: tail --follow, list, post.", "events", _WORK),
    "api": Entry("Call any operation by its name.", "api", _WORK),
    "workspace": Entry("The repositories that this server holds.", "", _CARE),
    "token": Entry("Make, list and revoke tokens.", "tokens", _CARE),
    "db": Entry("The database's schema: current, check, upgrade.", "database", _CARE, "db"),
    "backup": Entry("Copy the database to a file.", "database", _CARE, "backup_app"),
    "restore": Entry("Put a backup in its place.", "database", _CARE, "restore_app"),
    "log": Entry("Archive old events.", "log", _CARE),
}
"""Every command of the first level, in the order in which they are listed."""


class LazyGroup(TyperGroup):
    """A group whose commands are stand-ins until one of them is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, entry in ENTRIES.items():
            self.add_command(TyperCommand(name, help=entry.help, rich_help_panel=entry.panel))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Put the real command in its stand-in's place."""
        if args[0] in ENTRIES:
            self.commands[args[0]] = ENTRIES[args[0]].load(args[0])
        return super().resolve_command(ctx, args)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        output.say(f"repomesh {version('repomesh')}")
        raise typer.Exit


root = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


@root.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """One server where AI agents and people work together on a repository."""


def run(words: Sequence[str]) -> int:
    """Run `words`; answers the exit code."""
    try:
        typer.main.get_command(root).main(list(words), prog_name="repomesh")
    except (RepomeshError, RemoteError) as error:
        return output.report(error, as_json="--json" in words)
    except OSError as error:  # of a file or a folder: the system's words say it best
        output.note(f"error: {error}")
        return 1
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0
