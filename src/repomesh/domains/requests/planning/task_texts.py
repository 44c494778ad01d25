"""What a proposed task says besides its files: acceptance, checks, and files to read."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Collection, Sequence

from repomesh.domains.changes.configuration import CheckSection
from repomesh.domains.requests.planning.path_names import as_pattern, folder, is_test, suffix
from repomesh.domains.requests.planning.references import ReferenceGraph
from repomesh.kernel import limits

CheckCommands = Callable[[Sequence[str]], Sequence[str]]
"""Return the commands that check a change of some paths."""

CONTEXT_FILES = 20
"""Files that a proposed task is told to read: about as many as it owns."""

_COMMAND_TESTS_MAX = 20  # named in one command


def describe_acceptance(paths: Sequence[str], new: Sequence[str], checks: Sequence[str]) -> tuple[str, ...]:
    """Return what must be true when a task is done."""
    criteria = ["The request's changes of the task's files are complete, and no other file is changed."]
    if new:
        criteria.append("The new files exist and are used.")
    if any(is_test(path) for path in (*paths, *new)):
        criteria.append("The task's tests cover the changed behaviour.")
    if checks:
        criteria.append("All checks of the task succeed.")
    return tuple(criteria)


def configured_checks(checks: Sequence[CheckSection]) -> CheckCommands:
    """Return how a repository's `[[checks]]` check some paths; `default_checks` where it has none."""

    def commands(paths: Sequence[str]) -> list[str]:
        return [_shell_command(check) for check in checks if check.is_for(paths)]

    return commands if checks else default_checks


def _shell_command(check: CheckSection) -> str:
    return check.command if isinstance(check.command, str) else shlex.join(check.command)


def default_checks(paths: Sequence[str]) -> list[str]:
    """Return commands that run the tests among some paths, where their language has a usual one."""
    python = [path for path in paths if suffix(path) == ".py" and path.rpartition("/")[2].startswith("test_")]
    go_folders = sorted({folder(path) or "." for path in paths if suffix(path) == ".go"})
    commands = []
    if python:
        commands.append(f"python -m pytest {shlex.join(python[:_COMMAND_TESTS_MAX])}")
    if go_folders:
        folders = [f"./{name}" if name != "." else "." for name in go_folders[:_COMMAND_TESTS_MAX]]
        commands.append(f"go test {shlex.join(folders)}")
    return [command for command in commands if len(command) <= limits.PLAN_TEXT_CHARS_MAX]


def context_of(paths: Collection[str], graph: ReferenceGraph) -> tuple[str, ...]:
    """Return the files that a task's files use and that it does not own, those used most first."""
    uses = Counter(target for path in sorted(paths) for target in graph.targets(path) if target not in paths)
    ranked = sorted(uses, key=lambda target: (-uses[target], target))
    patterns = [as_pattern(target) for target in ranked[:CONTEXT_FILES]]
    return tuple(pattern for pattern in patterns if pattern is not None)
