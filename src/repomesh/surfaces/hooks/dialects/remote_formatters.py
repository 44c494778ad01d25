"""Formatters that run elsewhere: in containers, and as tasks of the projects in a monorepo."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from repomesh.surfaces.hooks.dialects.formatters import FORMATTERS
from repomesh.surfaces.hooks.dialects.programs import ProgramCall
from repomesh.surfaces.hooks.dialects.word_forms import ShellWord

CONTAINERS: Final = ("docker", "docker-compose", "podman", "nerdctl", "kubectl", "oc")
"""Programs that run others in a container, which may share files with the work tree."""
TASK_RUNNERS: Final = ("turbo", "nx", "lerna", "rush", "wireit", "moon")
"""Programs that run the tasks of a monorepo's projects."""
_FIXING: Final = frozenset({"--fix", "--write", "--apply", "format:write"})
_STEPS_OF_FORMATTER: Final = 4


def container(call: ProgramCall) -> None:
    """`docker exec web black .`: a formatter in a container may write any file."""
    texts = [word.text for word in call.arguments]
    if ("exec" in texts or "run" in texts) and _formats(call):
        call.mark_unresolved(f"the files that '{call.name}' formats in a container are not known")


def task_runner(call: ProgramCall) -> None:
    """`turbo run lint -- --fix`: a task that formats may write any file of any project."""
    if any(word.text in _FIXING for word in call.arguments) or _formats(call):
        call.mark_unresolved(f"the files that the tasks of '{call.name}' format are not known")


def _formats(call: ProgramCall) -> bool:
    """Whether a formatter among the arguments writes files with the words behind it."""
    words = [word for word in call.arguments if word.text != "--"]
    for at, word in enumerate(words):
        name = word.text.rpartition("/")[2]
        if name in FORMATTERS:
            call.steps.take(_STEPS_OF_FORMATTER + len(words) - at)
            inner = replace(call, name=name, arguments=words[at + 1 :], targets=[], unresolved="")
            FORMATTERS[name](inner)
            if inner.targets or inner.unresolved:
                return True
    return False


def is_formatter(word: ShellWord) -> bool:
    """Whether a word names a formatter."""
    return word.text.rpartition("/")[2] in FORMATTERS
