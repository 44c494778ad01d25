"""What a request touches: paths and patterns, checked and expanded."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from repomesh.domains.leases import paths
from repomesh.domains.requests.planning.path_names import as_pattern
from repomesh.domains.requests.planning.source_files import SourceFiles
from repomesh.kernel import file_names, limits
from repomesh.kernel.errors import InvalidRequest

_FORBIDDEN_FOLDERS = frozenset({".git", ".repomesh"})
_WILDCARDS = frozenset("*?[")


class RequestedPathsInvalid(InvalidRequest):
    """The paths that a request touches can't be planned; `errors` names each path and what is wrong."""

    code = "requested_paths_invalid"
    hint = "Name files from the root of the repository, such as 'src/app.py', and run 'repomesh plan' again."


@dataclass(frozen=True, slots=True)
class RequestedFiles:
    """What a request touches.

    Args:
        existing: Paths of the repository.
        new: By pattern as a plan writes it: what does not exist yet, files and patterns.
    """

    existing: frozenset[str]
    new: frozenset[str]


def expand_requested(files: SourceFiles, requested: Iterable[str]) -> RequestedFiles:
    """Sort requested paths and patterns into existing and new ones.

    A text that is a path of the repository means that file; one that is a folder means all files below; a
    pattern means the existing files that it holds. What holds nothing is new. Files whose names no pattern
    can hold are left out of what a pattern or folder means, with a note.

    Raises RequestedPathsInvalid for an empty list, a path outside of the repository or in `.git` or
    `.repomesh`, a name that can't be written in a plan, and for more than PLAN_REQUESTED_MAX paths.
    """
    texts = sorted(set(requested))
    if not texts:
        raise RequestedPathsInvalid("the list of files is empty")
    problems: list[dict[str, str]] = []
    existing: set[str] = set()
    new: set[str] = set()
    for text in texts:
        try:
            found, pattern = _expand(files, text)
        except ValueError as error:
            problems.append({"field": file_names.shown(text)[:200], "message": str(error)})
            continue
        existing |= found
        if pattern is not None:
            new.add(pattern)
        if len(existing) + len(new) > limits.PLAN_REQUESTED_MAX:
            raise RequestedPathsInvalid(f"the request touches more than {limits.PLAN_REQUESTED_MAX} files")
    if problems:
        first = problems[0]
        message = f"{first['field']}: {first['message']}"
        raise RequestedPathsInvalid(message, errors=problems[: limits.PROBLEM_FIELDS_MAX])
    if not existing and not new:
        raise RequestedPathsInvalid("none of the files has a name that a plan can hold")
    return RequestedFiles(frozenset(existing), frozenset(new))


def path_problem(pattern: str) -> str | None:
    """Return what forbids that a task owns a normalised pattern; None for nothing."""
    parts = pattern.split("/")
    if any(part.casefold() in _FORBIDDEN_FOLDERS for part in parts):
        return "lies in .git or .repomesh"
    if all(part.strip("*?") == "" for part in parts):
        return "holds files everywhere"
    return None


def _expand(files: SourceFiles, text: str) -> tuple[set[str], str | None]:
    """Return the existing files that a text means, and its pattern if there are none. Raises ValueError."""
    if text in files.paths:
        pattern = as_pattern(text)
        if pattern is None:
            raise ValueError("a plan can't hold this name")
        _require_ownable(pattern)
        return {text}, None
    try:
        pattern = paths.normalise(text)
    except paths.InvalidPathPattern as error:
        raise ValueError(str(error)) from None
    _require_ownable(pattern)
    if pattern in files.paths:
        return {pattern}, None
    held = _held_files(files, pattern)
    return held, None if held else pattern


def _require_ownable(pattern: str) -> None:
    problem = path_problem(pattern)
    if problem is not None:
        raise ValueError(problem)


def _held_files(files: SourceFiles, pattern: str) -> set[str]:
    """Return the files that a pattern holds, of those below its literal prefix."""
    prefix = paths.literal_prefix(pattern)
    is_literal = not _WILDCARDS & set(pattern)
    start = bisect_left(files.sorted_paths, f"{prefix}/") if prefix else 0
    held = set()
    for index in range(start, len(files.sorted_paths)):
        path = files.sorted_paths[index]
        if prefix and not path.startswith(f"{prefix}/"):
            break
        if not is_literal and not paths.holds(pattern, path):
            continue
        if as_pattern(path) is None or path_problem(path) is not None:
            files.notes.add_file("Left out, since a plan can't hold their names", path)
        else:
            held.add(path)
    return held
