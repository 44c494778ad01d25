"""The bodies of a command's functions, which are read again with the arguments of each call."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from repomesh.surfaces.hooks.dialects.shell_words import ShellCommand, ShellReader

_HEAD = re.compile(r"\s*function\s+[^\s(]+\s*(?:\(\s*\))?")
_BRACKET = re.compile(r"\s*\(")
_PARAMETER = re.compile(r"\$\{?[@*1-9]|\bshift\b")


class Functions:
    """The texts of all bodies that each name may have."""

    def __init__(self) -> None:
        self._bodies: dict[str, list[str]] = {}
        self._running: list[str] = []

    def define(self, name: str, body: str) -> None:
        """Keep a body, if it uses its arguments; any other was read where it is defined."""
        body = _HEAD.sub("", body, count=1)
        bodies = self._bodies.setdefault(name, [])
        if _PARAMETER.search(body) and body not in bodies:
            bodies.append(body)

    def define_subshell(self, name: str, reader: ShellReader) -> None:
        """Keep a body in round brackets, `f() (commands)`, if one follows in `reader`."""
        match = _BRACKET.match(reader.text, reader.at)
        if match is not None:
            ahead = ShellReader(reader.text[match.end() :], reader.steps)
            self.define(name, ahead.text_until(")"))

    @contextmanager
    def call(self, name: str) -> Iterator[list[str]]:
        """The bodies that a call of `name` runs; none within such a call, where the name is a program's."""
        if name not in self._bodies or name in self._running:
            yield []
            return
        self._running.append(name)
        try:
            yield self._bodies[name]
        finally:
            self._running.pop()


def head_of_function(command: ShellCommand) -> str:
    """The function whose head a command is, as `f()` or `function f()`; else an empty text."""
    is_head = command.brackets and command.ending == ")" and 0 < len(command.words) < 3
    is_list = any("=" in word.text for word in command.words)  # `NAME=(value)`
    return command.words[-1].text if is_head and not is_list else ""
