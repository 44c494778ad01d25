"""Links that a command makes itself, through which its later programs may write."""

from __future__ import annotations

from fnmatch import fnmatchcase
from posixpath import normpath

from repomesh.surfaces.hooks.dialects.programs import ProgramCall, parse_options
from repomesh.surfaces.hooks.dialects.writes import TargetExtent, WriteTarget


def makes_link(call: ProgramCall) -> bool:
    """Whether a program makes its target a link: `ln`, `cp -s`."""
    if call.name in ("cp", "gcp"):
        return parse_options(call.arguments).has("-s", "-l", "--symbolic-link", "--link")
    return call.name in ("ln", "gln", "link")


def writes_through(link: str, target: WriteTarget, program: str) -> bool:
    """Whether a program may write through a link, rather than the link itself."""
    path = normpath(target.path)
    if target.extent is TargetExtent.GLOB:
        return any(fnmatchcase(link, path.rsplit("/", count)[0]) for count in range(1, path.count("/") + 1))
    if path == link:
        return program not in ("ln", "rm", "unlink", "mv") or target.path.endswith("/")
    return path.startswith(link + "/")
