"""Programs in a group or function that read its standard input, which stands behind it: `{ sh; } <<EOF`."""

from __future__ import annotations

from typing import Final

from repomesh.surfaces.hooks.dialects.folders import WorkingFolders
from repomesh.surfaces.hooks.dialects.programs import ProgramCall

_CALLS_MAX: Final = 16  # kept for one group; of more the first count
ReadingCall = tuple[ProgramCall, WorkingFolders]
"""A program without a standard input of its own, and the folders that it runs in."""


class GroupStdin:
    """Tracks the programs that read the standard input of the groups around them."""

    def __init__(self) -> None:
        self._groups: list[list[ReadingCall]] = []
        self._closed: list[ReadingCall] = []
        self._functions: dict[str, list[ReadingCall]] = {}

    def open_group(self) -> None:
        """Begin a group, a subshell or the body of a function."""
        self._groups.append([])

    def close_group(self, function_name: str = "") -> None:
        """End the innermost group, or the body of a function, whose programs run when it is called."""
        calls = self._groups.pop() if self._groups else []
        if function_name:
            self._functions[function_name] = calls
            return
        self._closed = calls
        if self._groups:
            self._groups[-1] += calls[: _CALLS_MAX - len(self._groups[-1])]

    def note(self, call: ProgramCall, folders: WorkingFolders) -> None:
        """Note that a program in the innermost group reads its standard input."""
        if self._groups and len(self._groups[-1]) < _CALLS_MAX:
            self._groups[-1].append((call, folders))

    def take_closed(self) -> list[ReadingCall]:
        """The programs of the group that was closed last; none if they were taken already."""
        calls, self._closed = self._closed, []
        return calls

    def of_function(self, name: str) -> list[ReadingCall]:
        """The programs in the body of a function."""
        return self._functions.get(name, [])
