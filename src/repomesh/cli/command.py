"""The command name to print in texts: `repomesh`, or its path where it is not on PATH."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from functools import cache
from pathlib import Path

# A command as texts name it, such as 'repomesh up': the name at the start of a word, and a verb behind it.
_NAMED = re.compile(r"(?<![\w./-])repomesh(?= (?:-{0,2}[a-z]))")


@cache
def here() -> str:
    """Return `repomesh` when the shell finds this one under that name, else its quoted path."""
    program = Path(sys.argv[0])
    if program.name == "main.py":  # a server in the background, for whom whoever started it speaks
        return "repomesh"
    ours = program.with_name("repomesh")
    found = shutil.which("repomesh")
    if not ours.exists() or (found is not None and Path(found).exists() and Path(found).samefile(ours)):
        return "repomesh"
    whole = ours.absolute()
    folder = Path.cwd()
    return shlex.quote(str(whole.relative_to(folder) if whole.is_relative_to(folder) else whole))


def as_typed(text: str) -> str:
    """A text of ours whose commands can be typed here."""
    name = here()
    return text if name == "repomesh" else _NAMED.sub(lambda _: name, text)
