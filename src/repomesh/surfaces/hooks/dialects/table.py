"""The table of all programs with a handler. Any other program counts as writing nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Final

from repomesh.surfaces.hooks.dialects import inline_code, programs
from repomesh.surfaces.hooks.dialects.archives import ARCHIVES
from repomesh.surfaces.hooks.dialects.formatters import FORMATTERS
from repomesh.surfaces.hooks.dialects.package_managers import PACKAGE_MANAGERS
from repomesh.surfaces.hooks.dialects.programs import ProgramCall
from repomesh.surfaces.hooks.dialects.remote_formatters import (
    CONTAINERS,
    TASK_RUNNERS,
    container,
    task_runner,
)

_VERSIONED: Final = re.compile(r"(python|pypy|node|ruby|perl|php|lua|clang|gcc|g\+\+)[\d.-]*\d")


def program_of(name: str) -> str:
    """The program's name in the table: that of `python3.11` is `python`."""
    match = _VERSIONED.fullmatch(name)
    return match[1] if match is not None else name


_PROGRAMS: Final[dict[str, Callable[[ProgramCall], None]]] = {
    **programs.PROGRAMS,
    **ARCHIVES,
    **FORMATTERS,
    **dict.fromkeys(("sed", "gsed"), inline_code.sed),
    **dict.fromkeys(("awk", "gawk", "mawk", "nawk"), inline_code.awk),
    **dict.fromkeys(("perl", "ruby"), inline_code.in_place_or_code),
    **dict.fromkeys(("python", "pypy"), partial(inline_code.scan_code, valued="-W -X -m")),
    **dict.fromkeys(
        ("node", "bun", "nodejs", "tsx", "ts-node"),
        inline_code.javascript,
    ),
    "php": partial(inline_code.scan_code, codes="-r"),
    **dict.fromkeys(("lua", "julia", "Rscript", "R"), partial(inline_code.scan_code, codes="-e -E")),
    **dict.fromkeys(("pwsh", "powershell"), inline_code.powershell),
}


def _handle_both(name: str, call: ProgramCall) -> None:
    """A package manager that also formats code or runs it."""
    PACKAGE_MANAGERS[name](call)
    if name in _PROGRAMS:
        _PROGRAMS[name](call)


def _handle_container(name: str, call: ProgramCall) -> None:
    """A program that copies files out of containers, or runs programs in them."""
    if name in _PROGRAMS:
        _PROGRAMS[name](call)
    container(call)


PROGRAMS: Final[dict[str, Callable[[ProgramCall], None]]] = (
    _PROGRAMS
    | {name: partial(_handle_both, name) for name in PACKAGE_MANAGERS}
    | {name: partial(_handle_container, name) for name in CONTAINERS}
    | dict.fromkeys(TASK_RUNNERS, task_runner)
)
"""The handler of each program."""
