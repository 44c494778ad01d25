"""The program name to print in texts: `repomesh`, or its path where it is not on PATH."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from functools import cache
from pathlib import Path

# A command in a text, such as 'repomesh up': the program name and a verb or option.
_COMMAND = re.compile(r"(?<![\w./-])repomesh(?= (?:-{0,2}[a-z]))")


@cache
def program_name() -> str:
    """Return `repomesh` if the shell finds this program under that name, else its quoted path."""
    program = Path(sys.argv[0])
    if program.name == "main.py":  # a server in the background, whose texts another command prints
        return "repomesh"
    installed = program.with_name("repomesh")
    on_path = shutil.which("repomesh")
    if not installed.exists() or (
        on_path is not None and Path(on_path).exists() and Path(on_path).samefile(installed)
    ):
        return "repomesh"
    absolute = installed.absolute()
    folder = Path.cwd()
    return shlex.quote(str(absolute.relative_to(folder) if absolute.is_relative_to(folder) else absolute))


def replace_program_name(text: str) -> str:
    """Return a text with `repomesh` in its commands replaced by the name that works in this shell."""
    name = program_name()
    return text if name == "repomesh" else _COMMAND.sub(lambda _: name, text)
