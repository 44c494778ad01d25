"""Decides whether a proposed plan is acceptable. It may come from a model, so nothing in it is trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice

from repomesh.domains.leases import paths
from repomesh.domains.requests.planning import naming
from repomesh.domains.requests.planning.graph import build_graph
from repomesh.domains.requests.planning.impacts import between_owners, impacting
from repomesh.domains.requests.planning.models import (
    Plan,
    PlannedTask,
    PlanViolation,
    TaskLimits,
)
from repomesh.domains.requests.planning.ordering import find_cycles, topological
from repomesh.domains.requests.planning.overlaps import OverlapsTooMany, OwnedPattern, find_overlaps
from repomesh.domains.requests.planning.ownership_rules import Ownership, check_ownership
from repomesh.domains.requests.planning.path_names import as_pattern
from repomesh.domains.requests.planning.reading import too_many_tasks
from repomesh.domains.requests.planning.shared_files import shared_trait
from repomesh.domains.requests.planning.source_files import SourceFiles
from repomesh.domains.requests.planning.text_rules import check_texts, has_control_characters
from repomesh.kernel import limits


def check_plan(
    plan: Plan,
    files: SourceFiles,
    task_limits: TaskLimits | None = None,
    append_only: Sequence[str] = (),
) -> list[PlanViolation]:
    """Return the rules that a plan breaks, at most PLAN_VIOLATIONS_MAX; an acceptable plan breaks none.

    Args:
        plan: The proposed plan.
        files: The repository on the base commit.
        task_limits: The limits that apply; what the plan says about its limits does not count.
        append_only: Patterns of files in which the merge queue keeps both sides' lines.
    """
    task_limits = task_limits or TaskLimits()
    if len(plan.tasks) > task_limits.tasks_max:
        return [too_many_tasks(len(plan.tasks), task_limits.tasks_max)]
    if not plan.tasks:
        return [
            PlanViolation(rule="empty_plan", message="the plan has no tasks", fix="Add at least one task.")
        ]
    keys = list(_check_keys(plan))
    if keys:  # all other rules name tasks by their keys
        return keys[: limits.PLAN_VIOLATIONS_MAX]
    dependencies = list(_check_dependencies(plan))
    ownership, ownership_violations = check_ownership(plan, files, task_limits)
    found: Iterator[PlanViolation] = chain(dependencies, ownership_violations, check_texts(plan))
    found = chain(found, _check_shared(plan, files, ownership, append_only))
    if not any(
        violation.rule in ("cycle", "paths_max") for violation in (*dependencies, *ownership_violations)
    ):
        found = chain(found, _check_impact(plan, files, ownership, append_only))
    return list(islice(found, limits.PLAN_VIOLATIONS_MAX))


def measure_independence(tasks: Sequence[PlannedTask]) -> float:
    """Return the share of tasks that overlap with no other, need no other, and that no other needs.

    1.0 for no tasks. Patterns that can't be read, or are too many to compare, count as overlapping.
    """
    if not tasks:
        return 1.0
    tied = {key for task in tasks if task.dependencies for key in (task.key, *task.dependencies)}
    try:
        owned = [OwnedPattern(task.key, paths.normalise(text)) for task in tasks for text in task.owned]
        for first, second in find_overlaps(owned):
            tied |= {first.owner, second.owner}
    except (paths.InvalidPathPattern, OverlapsTooMany):
        return 0.0
    return sum(task.key not in tied for task in tasks) / len(tasks)


def _check_keys(plan: Plan) -> Iterator[PlanViolation]:
    for key, count in Counter(task.key for task in plan.tasks).items():
        if not naming.KEY.fullmatch(key) or has_control_characters(key):
            message = f"the key {key!r} is not valid"
            fix = "Use at most 64 letters, digits, '_', '.' and '-', beginning with a letter or digit."
            yield PlanViolation(rule="key", task=key, message=message, fix=fix)
        if count > 1:
            message = f"{count} tasks have the key {key!r}"
            yield PlanViolation(rule="key", task=key, message=message, fix="Give each task a key of its own.")


def _check_dependencies(plan: Plan) -> Iterator[PlanViolation]:
    keys = {task.key for task in plan.tasks}
    for task in plan.tasks:
        unknown = [key for key in task.dependencies if key not in keys]
        if unknown:
            message = f"task {task.key!r} depends on {unknown[0]!r}, which is no task of the plan"
            fix = "Name keys of tasks of this plan."
            yield PlanViolation(rule="unknown_dependency", task=task.key, message=message, fix=fix)
        if task.key in task.dependencies:
            message = f"task {task.key!r} depends on itself"
            yield PlanViolation(rule="cycle", task=task.key, message=message, fix="Remove this dependency.")
    for cycle in find_cycles(_needs(plan)):
        shown = ", ".join(repr(key) for key in cycle[:5]) + (" …" if len(cycle) > 5 else "")
        message = f"the tasks {shown} depend on each other in a cycle"
        fix = "Remove a dependency, or join the tasks."
        yield PlanViolation(rule="cycle", task=cycle[0], message=message, fix=fix)


def _needs(plan: Plan) -> dict[str, set[str]]:
    keys = {task.key for task in plan.tasks}
    return {task.key: set(task.dependencies) & keys - {task.key} for task in plan.tasks}


def _check_shared(
    plan: Plan, files: SourceFiles, ownership: Ownership, append_only: Sequence[str]
) -> Iterator[PlanViolation]:
    spelled = {as_pattern(path) or path: path for path in ownership.owners} if plan.shared else {}
    for item in plan.shared:
        path = spelled.get(item.path, item.path)
        if ownership.owners.get(path) != item.task:
            message = f"the shared file {item.path[:200]!r} is not owned by task {item.task[:100]!r}"
            fix = "Name the existing file, and the task that owns it."
            yield PlanViolation(rule="shared", task=item.task, message=message, fix=fix)
        elif item.mode == "append_only" and not _is_append_only(files, path, append_only):
            message = f"{item.path[:200]!r} can't be append-only: others' additions could break its users"
            fix = "Use the mode 'one_task', or list it as append_only in repomesh.toml."
            yield PlanViolation(rule="shared", task=item.task, message=message, fix=fix)


def _check_impact(
    plan: Plan, files: SourceFiles, ownership: Ownership, append_only: Sequence[str]
) -> Iterator[PlanViolation]:
    """Yield a violation for tasks of which one uses files of the other without waiting for it."""
    graph = build_graph(files, ownership.owners)
    references = graph.among(ownership.owners)
    targets = {reference.target for reference in references}
    tolerant = {path for path in targets if _is_append_only(files, path, append_only)}
    reach = _reachable(_needs(plan))
    reported: set[frozenset[str]] = set()
    between = between_owners(impacting(references, tolerant), ownership.owners)
    for user, used in sorted(between.items()):
        for other, reference in sorted(used.items()):
            pair = frozenset((user, other))
            if other in reach[user] or user in reach[other] or pair in reported:
                continue
            reported.add(pair)
            message = f"task {user!r} reaches task {other!r}: {reference.source} uses {reference.target}"
            fix = f"Let {user!r} depend on {other!r}, or join the tasks."
            yield PlanViolation(rule="impact", task=user, message=message, fix=fix)


def _is_append_only(files: SourceFiles, path: str, append_only: Sequence[str]) -> bool:
    trait = shared_trait(files, path, append_only)
    return trait is not None and trait.mode == "append_only"


def _reachable(needs: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return by task all tasks that it needs, also through others."""
    reach: dict[str, set[str]] = {}
    for key in topological(needs):
        reach[key] = set(needs[key]).union(*(reach[other] for other in needs[key]))
    return reach
