"""Rules about the files that tasks own: paths, patterns, overlaps and sizes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from repomesh.domains.leases import paths
from repomesh.domains.requests.planning.models import (
    Plan,
    PlannedTask,
    PlanViolation,
    TaskLimits,
)
from repomesh.domains.requests.planning.overlaps import OverlapsTooMany, OwnedPattern, find_overlaps
from repomesh.domains.requests.planning.requested_paths import path_problem
from repomesh.domains.requests.planning.source_files import SourceFiles, total_size
from repomesh.kernel import limits

_TOO_MANY = "Name fewer paths, or more exact patterns."


@dataclass(slots=True)
class Ownership:
    """What the tasks of a plan own: their valid patterns, and the existing files that these hold."""

    patterns: list[OwnedPattern] = field(default_factory=list)
    owners: dict[str, str] = field(default_factory=dict)
    """Keys of tasks by existing file; of overlapping tasks the first."""
    files: dict[str, list[str]] = field(default_factory=dict)
    """Existing files by key of the task, as far as they were counted."""


def check_ownership(
    plan: Plan, files: SourceFiles, task_limits: TaskLimits
) -> tuple[Ownership, list[PlanViolation]]:
    """Return what the tasks own, and what is wrong with it.

    The work is bounded by PLAN_PATTERNS_MAX and PLAN_COMPARISON_STEPS_MAX; a plan beyond them is refused.
    """
    ownership = Ownership()
    violations = list(_counts(plan))
    if violations:
        return ownership, violations
    expansion = _Expansion(files)
    for task in plan.tasks:
        violations += _task_paths(task, expansion, ownership, task_limits)
        violations += _context(task)
        violations += _limits(task, ownership, files, task_limits)
    violations += _overlaps(ownership)
    return ownership, violations


def _counts(plan: Plan) -> Iterator[PlanViolation]:
    everything = [pattern for task in plan.tasks for pattern in task.owned]
    if len(everything) > limits.PLAN_PATTERNS_MAX:
        message = f"the tasks name {len(everything):,} paths, more than {limits.PLAN_PATTERNS_MAX:,}"
        yield PlanViolation(rule="paths_max", message=message, fix="Use patterns such as 'src/app/**'.")
    wild = sum(any(char in pattern for char in "*?[") for pattern in everything)
    if wild > limits.PLAN_WILD_PATTERNS_MAX:
        message = (
            f"the tasks have {wild:,} patterns with wildcards, more than {limits.PLAN_WILD_PATTERNS_MAX}"
        )
        yield PlanViolation(rule="paths_max", message=message, fix="Name files and folders instead.")


def _task_paths(
    task: PlannedTask, expansion: _Expansion, ownership: Ownership, task_limits: TaskLimits
) -> Iterator[PlanViolation]:
    """Yield what is wrong with the paths of a task, and add the valid ones to `ownership`."""
    held = ownership.files.setdefault(task.key, [])
    if not task.owned:
        message = f"task {task.key!r} owns no files"
        yield PlanViolation(
            rule="empty_task", task=task.key, message=message, fix="Give it files, or remove it."
        )
    for text in task.owned:
        try:
            pattern = _ownable(text)
        except ValueError as error:
            message = f"task {task.key!r} can't own {text[:200]!r}: {error}"
            fix = "Name files of the repository from its root, such as 'src/app/**'."
            yield PlanViolation(rule="path", task=task.key, message=message, fix=fix)
            continue
        ownership.patterns.append(OwnedPattern(task.key, pattern))
        found = expansion.held_files(pattern, task_limits.files_max + 1)
        if found is None:
            message = (
                f"task {task.key!r}: comparing {text[:200]!r} with the repository's files takes too long"
            )
            yield PlanViolation(rule="paths_max", task=task.key, message=message, fix=_TOO_MANY)
            continue
        for path in found:
            if ownership.owners.setdefault(path, task.key) == task.key:
                held.append(path)
    held[:] = dict.fromkeys(held)
    yield from _existence(task, expansion)


def _ownable(text: str) -> str:
    pattern = paths.normalise(text)
    problem = path_problem(pattern)
    if problem is not None:
        raise ValueError(problem)
    return pattern


def _existence(task: PlannedTask, expansion: _Expansion) -> Iterator[PlanViolation]:
    """Yield a violation for existing files named as new ones, and for missing ones that are not."""
    for names, is_new in ((task.files, False), (task.new_files, True)):
        wrong = [text for text in names if not _has_wildcards(text) and expansion.exists(text) == is_new]
        if wrong:
            shown = ", ".join(repr(text[:200]) for text in wrong[:3])
            more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
            is_wrong = "exist already" if is_new else "do not exist in the repository"
            fix = f"Name {'existing files in files' if is_new else 'files that it creates in new_files'}."
            message = f"task {task.key!r}: {shown}{more} {is_wrong}"
            yield PlanViolation(rule="existence", task=task.key, message=message, fix=fix)


def _context(task: PlannedTask) -> Iterator[PlanViolation]:
    for text in task.read_only_context:
        try:
            _ownable(text)
        except ValueError as error:
            message = f"task {task.key!r} can't read {text[:200]!r}: {error}"
            fix = "Name files of the repository from its root."
            yield PlanViolation(rule="path", task=task.key, message=message, fix=fix)


def _limits(
    task: PlannedTask, ownership: Ownership, files: SourceFiles, task_limits: TaskLimits
) -> Iterator[PlanViolation]:
    held = ownership.files[task.key]
    new = [text for text in task.new_files if not _has_wildcards(text)]
    count = len(held) + len(new)
    too_large = [("files", count, task_limits.files_max)] if count > task_limits.files_max else []
    if not too_large and len(held) > 1:  # one file can't be divided
        size = total_size(files, held)
        sizes = (
            ("lines", size.lines, task_limits.lines_max),
            ("tokens", size.tokens, task_limits.tokens_max),
        )
        too_large = [entry for entry in sizes if entry[1] > entry[2]]
    for name, number, bound in too_large:
        at_least = "at least " if name == "files" else ""
        message = f"task {task.key!r} has {at_least}{number:,} {name}, more than {bound:,}"
        fix = "Divide the task, or name fewer files."
        yield PlanViolation(rule=f"{name}_max", task=task.key, message=message, fix=fix)


def _overlaps(ownership: Ownership) -> Iterator[PlanViolation]:
    seen: set[tuple[str, str]] = set()
    try:
        for first, second in find_overlaps(ownership.patterns):
            a, b = sorted((first, second), key=lambda item: (item.owner, item.pattern))
            if (a.owner, b.owner) in seen:
                continue
            seen.add((a.owner, b.owner))
            message = f"tasks {a.owner!r} and {b.owner!r} overlap: {a.pattern!r} and {b.pattern!r}"
            fix = "Give each file to one of them, or join the tasks."
            yield PlanViolation(rule="overlap", task=b.owner, message=message, fix=fix)
            if len(seen) >= limits.PLAN_VIOLATIONS_MAX:
                return
    except OverlapsTooMany as error:
        yield PlanViolation(rule="paths_max", message=str(error), fix=_TOO_MANY)


def _has_wildcards(text: str) -> bool:
    return any(char in text for char in "*?[") or text.endswith("/")


class _Expansion:
    """Finds the existing files that patterns hold, within PLAN_COMPARISON_STEPS_MAX steps for all of them."""

    def __init__(self, files: SourceFiles) -> None:
        self._paths, self._sorted = files.paths, files.sorted_paths
        self._budget = paths.ComparisonBudget(limits.PLAN_COMPARISON_STEPS_MAX)

    def exists(self, text: str) -> bool:
        """Whether a text without wildcards is a file, or a folder with files."""
        try:
            path = paths.normalise(text)
        except paths.InvalidPathPattern:
            return False
        if path in self._paths:
            return True
        place = bisect_left(self._sorted, f"{path}/")
        return place < len(self._sorted) and self._sorted[place].startswith(f"{path}/")

    def held_files(self, pattern: str, files_max: int) -> Sequence[str] | None:
        """Return the files that a pattern holds, at most `files_max`; None when the budget is used up."""
        if pattern in self._paths:
            return [pattern]
        prefix = paths.literal_prefix(pattern)
        start = bisect_left(self._sorted, f"{prefix}/") if prefix else 0
        held: list[str] = []
        for place in range(start, len(self._sorted)):
            path = self._sorted[place]
            if (prefix and not path.startswith(f"{prefix}/")) or len(held) >= files_max:
                break
            self._budget.taken += 4
            if self._budget.exhausted:
                return None
            if paths.holds(pattern, path, self._budget):
                held.append(path)
        return held
