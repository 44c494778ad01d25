"""The tree of commands. Each is imported when it is called; to list them, their names are enough."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from typer._click.exceptions import NoArgsIsHelpError
from typer.exceptions import Abort

from repomesh.cli import output
from repomesh.cli.conversion import convert_directly
from repomesh.cli.failures import Aborted, CommandLineError, as_error
from repomesh.cli.first_level import COMMANDS, SUMMARY
from repomesh.cli.lazy_group import LazyGroup, command_of
from repomesh.cli.placeholders import name_values


@dataclass(frozen=True, slots=True)
class RootCommand:
    """A command or a group of them: where it is made, and what the list of commands says of it."""

    help: str
    module: str
    panel: str
    name: str = "app"

    def made(self, name: str) -> Any:
        """Make the command: the module's `app`, or the group of a noun."""
        if self.module == "":
            from repomesh.cli.generic import group

            return command_of(group(name, self.help), name)
        return command_of(getattr(import_module(f"repomesh.cli.{self.module}"), self.name), name)

    def load(self, name: str) -> Any:
        """Make the command and all that are below it, for who walks the tree."""
        command = self.made(name)
        name_values(command)
        if isinstance(command, LazyGroup):
            command.make_all()
        return command


ENTRIES: dict[str, RootCommand] = {name: RootCommand(*about) for name, about in COMMANDS.items()}
"""Every command of the first level, in the order in which they are listed."""


class Root(LazyGroup):
    """The first level: each command's module is imported when it is called."""

    entries = ENTRIES


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        output.print_line(f"repomesh {version('repomesh')}")
        raise typer.Exit


root = typer.Typer(
    cls=Root,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


@root.callback(help=SUMMARY)
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Do nothing: the options act by themselves, and the help is that of the list of commands."""


def run(words: Sequence[str]) -> int:
    """Run `words`; answers the exit code. Every failure is reported in one form (see `failures`)."""
    options = words[: words.index("--")] if "--" in words else words
    as_json = "--json" in options
    with output.notes_kept() if as_json else nullcontext():
        return _ended(words, as_json=as_json)


def _ended(words: Sequence[str], *, as_json: bool) -> int:
    try:
        convert_directly()
        ended = typer.main.get_command(root).main(list(words), prog_name="repomesh", standalone_mode=False)
    except SystemExit as end:  # a broken pipe, or the shell's completion
        return end.code if isinstance(end.code, int) else 1
    except NoArgsIsHelpError as help_:
        if not as_json:
            help_.show()
            return help_.exit_code
        return output.report(CommandLineError("a command is missing"), as_json=True)
    except Abort:
        return output.report(Aborted("not confirmed"), as_json=as_json)
    except Exception as error:  # the edge of the process: whatever it is, it is told in one form
        return output.report(as_error(error), as_json=as_json)
    return ended if isinstance(ended, int) else 0
