"""Command groups that build a command only when it is called; listing them needs names and help alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import typer
from typer.core import TyperCommand, TyperGroup

from repomesh.cli.placeholders import name_values


class LazyCommand(Protocol):
    """A command that is not built yet: its entry in the list of commands, and how to build it."""

    @property
    def help(self) -> str:
        """The help; the list of commands shows its first sentence."""

    @property
    def panel(self) -> str | None:
        """The heading under which a terminal lists it."""

    def make(self, name: str) -> Any:
        """Build the command, or the group of commands."""


class LazyGroup(TyperGroup):
    """A group whose commands are stand-ins until one of them is called.

    A subclass sets `entries`, in listing order; commands that its Typer app registers come after them.
    """

    entries: ClassVar[Mapping[str, LazyCommand]] = {}

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self._deferred = {name: entry for name, entry in self.entries.items() if name not in self.commands}
        stand_ins = {
            name: TyperCommand(name, help=entry.help, rich_help_panel=entry.panel)
            for name, entry in self._deferred.items()
        }
        self.commands = {**stand_ins, **self.commands}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Replace the stand-in by the real command, then resolve it."""
        self._make(args[0])
        return super().resolve_command(ctx, args)

    def make_all(self) -> None:
        """Build every command, nested groups included, for code that walks the tree."""
        for name in tuple(self._deferred):
            self._make(name)
        for command in self.commands.values():
            if isinstance(command, LazyGroup):
                command.make_all()

    def _make(self, name: str) -> None:
        entry = self._deferred.pop(name, None)
        if entry is not None:
            self.commands[name] = entry.make(name)
            name_values(self.commands[name])


def build_command(app: typer.Typer, name: str) -> Any:
    """Return the command, or the group of commands, of a Typer app."""
    cls = app.info.cls
    is_lazy = isinstance(cls, type) and issubclass(cls, LazyGroup)
    command: Any = typer.main.get_group(app) if is_lazy else typer.main.get_command(app)
    command.name = name
    return command
