"""Usage lines and help with NAMES for values, as in manual pages, in place of Python types."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperArgument, TyperGroup, TyperOption

_NUMBERS = frozenset({"<int>", "<float>", "<int range>", "<float range>"})
_PATHS = frozenset({"<path>", "<file>", "<directory>"})


class _Argument(TyperArgument):
    """An argument that is shown as 'NAME', '[NAME]' or '[NAME]...'."""

    def _usage_display_name(self) -> str:
        name = self.display_name_raw if self.required else f"[{self.display_name_raw}]"
        return f"{name}..." if self.nargs != 1 else name

    def display_type_rich(self, ctx: Any) -> str | None:
        return None


def name_values(command: Any) -> None:
    """Set the metavar of every option and argument of a command, or of all commands in a group."""
    context = typer.Context(command)
    for parameter in command.params:
        if isinstance(parameter, TyperArgument):
            parameter.__class__ = _Argument
            parameter.metavar = parameter.metavar or (parameter.name or "").upper()
        elif isinstance(parameter, TyperOption) and parameter.metavar is None and not parameter.is_flag:
            type_name = parameter.display_type(context)
            if "|" not in type_name:
                is_number = type_name in _NUMBERS
                parameter.metavar = "NUMBER" if is_number else "PATH" if type_name in _PATHS else "TEXT"
    for subcommand in command.commands.values() if isinstance(command, TyperGroup) else ():
        name_values(subcommand)
