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
from repomesh.cli.failures import Aborted, CommandLineError, to_error
from repomesh.cli.first_level import COMMANDS, SUMMARY
from repomesh.cli.lazy_group import LazyGroup, build_command
from repomesh.cli.placeholders import name_values


@dataclass(frozen=True, slots=True)
class RootCommand:
    """A command or group of the first level: its module and its entry in the list of commands."""

    help: str
    module: str
    panel: str
    name: str = "app"

    def make(self, name: str) -> Any:
        """Build the command: the module's `app`, or the generated group of a noun."""
        if self.module == "":
            from repomesh.cli.generic import noun_group

            return build_command(noun_group(name, self.help), name)
        return build_command(getattr(import_module(f"repomesh.cli.{self.module}"), self.name), name)

    def load(self, name: str) -> Any:
        """Build the command with all its subcommands, for code that walks the tree."""
        command = self.make(name)
        name_values(command)
        if isinstance(command, LazyGroup):
            command.make_all()
        return command


ENTRIES: dict[str, RootCommand] = {name: RootCommand(*entry) for name, entry in COMMANDS.items()}
"""Every command of the first level, in the order in which they are listed."""


class Root(LazyGroup):
    """The first level: each command's module is imported when it is called."""

    entries = ENTRIES


def _print_version(requested: bool) -> None:
    if requested:
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
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Do nothing: the options act through their callbacks."""


def run(words: Sequence[str]) -> int:
    """Run the command line `words` and return the exit code. Failures are printed (see `failures`)."""
    options = words[: words.index("--")] if "--" in words else words
    as_json = "--json" in options
    with output.defer_notes() if as_json else nullcontext():
        return _run_command(words, as_json=as_json)


def _run_command(words: Sequence[str], *, as_json: bool) -> int:
    try:
        convert_directly()
        exit_code = typer.main.get_command(root).main(
            list(words), prog_name="repomesh", standalone_mode=False
        )
    except SystemExit as exit_:  # a broken pipe, or the shell's completion
        return exit_.code if isinstance(exit_.code, int) else 1
    except NoArgsIsHelpError as missing:
        if not as_json:
            missing.show()
            return missing.exit_code
        return output.report_error(CommandLineError("a command is missing"), as_json=True)
    except Abort:
        return output.report_error(Aborted("not confirmed"), as_json=as_json)
    except Exception as error:  # the edge of the process: every error is reported in one form
        return output.report_error(to_error(error), as_json=as_json)
    return exit_code if isinstance(exit_code, int) else 0
