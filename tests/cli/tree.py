"""Every command of the tree with words that its parser takes, and one run of it in this process."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from typer.core import TyperGroup, TyperOption

from repomesh.cli import root

ENDLESS = frozenset({"demo", "demo meeting", "demo queue", "inbox follow"})
"""Commands that go on until somebody stops them, or start servers of their own."""


LEARNED = {"create": ["--show-token"], "add": ["--show-token"], "rotate-secret": ["--show-secret"]}
"""By verb, options without which nobody would learn what is made."""

ALSO_NEEDED = {
    ("artifact", "add"): ("x" * 8, "--content", "x"),
    ("chunk", "add"): ("x" * 8,),
    ("memory", "store"): ("x" * 8,),
    ("meeting", "create"): ("x" * 8, "x" * 8),
    ("plan",): ("x" * 8,),
    ("rollback",): ("x" * 8,),
}
"""Arguments that one of several options may stand for, so that none of them is required."""


@dataclass(frozen=True)
class Leaf:
    """A command, and arguments for all that it needs."""

    path: tuple[str, ...]
    needed: tuple[str, ...]
    options: frozenset[str]

    @property
    def name(self) -> str:
        return " ".join(self.path)

    @property
    def words(self) -> list[str]:
        return [*self.path, *self.needed]


@cache
def leaves() -> tuple[Leaf, ...]:
    """Every command but `mcp`, which is a program of its own."""
    found: list[Leaf] = []
    for name, entry in root.ENTRIES.items():
        if name != "mcp":
            found += _leaves(entry.load(name), (name,))
    return tuple(found)


def _leaves(command: Any, path: tuple[str, ...]) -> Iterator[Leaf]:
    if not isinstance(command, TyperGroup) or command.invoke_without_command:
        options = frozenset(word for one in command.params for word in one.opts)
        yield Leaf(path, (*_needed(command), *ALSO_NEEDED.get(path, ())), options)
    if isinstance(command, TyperGroup):
        for name, inner in command.commands.items():
            yield from _leaves(inner, (*path, name))


def _needed(command: Any) -> Iterator[str]:
    for parameter in command.params:
        if not parameter.required:
            continue
        if isinstance(parameter, TyperOption):
            yield max(parameter.opts, key=len)
        yield _value(parameter)
    yield from (word for one in command.params for word in one.opts if word in LEARNED.get(command.name, ()))


def _value(parameter: Any) -> str:
    if parameter.name == "before":  # a time
        return "30d"
    descriptor = parameter.type_descriptor
    if descriptor.choices:
        return str(descriptor.choices[0])
    number = descriptor.annotation in (int, float)
    return "1" if number else "[{}]" if "As JSON" in (parameter.help or "") else "x" * 8


@dataclass(frozen=True)
class Ran:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


def run(capsys: pytest.CaptureFixture[str], *words: str) -> Ran:
    """Run a command in this process, as `main` does."""
    capsys.readouterr()
    code = root.run(words)
    return Ran(code, *capsys.readouterr())


def fault(ran: Ran, *, as_json: bool) -> str | None:
    """What is wrong with how a command failed: it is to print one error and nothing else."""
    if "Traceback" in ran.err or '"unforeseen"' in ran.err:
        return "a traceback"
    if ran.out:
        return f"output: {ran.out[:200]}"
    if not as_json:
        errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
        hints = [line for line in ran.err.splitlines() if line.startswith("hint: ")]
        whole = (
            re.fullmatch(r"(?:Made the data folder .*\n)?error: .*\n(?:       .*\n)*hint: .+\n", ran.err)
            is not None
        )
        return None if len(errors) == len(hints) == 1 and whole else f"no single error: {ran.err[:300]}"
    try:
        problem = json.loads(ran.err)
    except ValueError:
        return f"not one JSON document: {ran.err[:300]}"
    missing = {"code", "failure", "message", "hint"} - problem.keys()
    return f"without {missing}" if missing else None
