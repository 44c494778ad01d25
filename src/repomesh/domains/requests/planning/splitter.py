"""Divides the files that a request touches among tasks.

1. Each touched file is a group. Groups that can't be apart are joined: a path and what lies below it.
2. Groups are joined along references and affinities, the strongest first, as far as the limits allow.
3. A reference that is left between two groups makes one depend on the other; cycles are broken.

The result depends on the set of paths and contents only, never on their order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from repomesh.domains.requests.planning import naming, tokens
from repomesh.domains.requests.planning.clusters import fits
from repomesh.domains.requests.planning.graph import build_graph
from repomesh.domains.requests.planning.grouping import group_files
from repomesh.domains.requests.planning.impacts import impacting
from repomesh.domains.requests.planning.models import Plan, PlannedTask, SharedFile, TaskLimits, TaskSize
from repomesh.domains.requests.planning.ordering import break_cycles, topological, without_implied
from repomesh.domains.requests.planning.overlaps import OverlapsTooMany
from repomesh.domains.requests.planning.path_names import as_pattern
from repomesh.domains.requests.planning.references import ReferenceGraph
from repomesh.domains.requests.planning.requested_paths import (
    RequestedFiles,
    RequestedPathsInvalid,
    expand_requested,
)
from repomesh.domains.requests.planning.rules import measure_independence
from repomesh.domains.requests.planning.shared_files import SharedTrait, shared_trait
from repomesh.domains.requests.planning.source_files import Read, SourceFiles
from repomesh.domains.requests.planning.task_texts import (
    CheckCommands,
    context_of,
    default_checks,
    describe_acceptance,
)
from repomesh.kernel import limits


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What a repository or a person may choose about plans.

    Args:
        task_limits: The limits of a task.
        append_only: Patterns of files in which the merge queue keeps both sides' lines (`repomesh.toml`).
        checks: The commands that check a change of some paths.
    """

    task_limits: TaskLimits = field(default_factory=TaskLimits)
    append_only: Sequence[str] = ()
    checks: CheckCommands = default_checks


def propose_plan(
    paths: Iterable[str], read: Read, requested: Iterable[str], options: PlanOptions | None = None
) -> Plan:
    """Return the tasks into which a request is divided. The same input gives the same plan, in any order.

    Args:
        paths: All files of the repository, from its root.
        read: Returns the content of one of them.
        requested: Paths and patterns that the request touches, existing or new.
        options: The limits of a task, append-only files and checks.

    Raises RequestedPathsInvalid for paths that can't be planned, or that make more tasks than are allowed.
    """
    options = options or PlanOptions()
    method, count_tokens = tokens.counter(len(requested := tuple(requested)))
    files = SourceFiles(paths, read, count_tokens=count_tokens)
    touched = expand_requested(files, requested)
    graph = build_graph(files, touched.existing)
    references = graph.among(touched.existing)
    traits = _traits(files, touched, options.append_only)
    try:
        clusters, overflows = group_files(files, touched, references, traits, options.task_limits)
    except OverlapsTooMany as error:
        raise RequestedPathsInvalid(str(error)) from None
    groups = clusters.groups()
    if len(groups) > options.task_limits.tasks_max:
        message = f"the request makes {len(groups)} tasks, more than {options.task_limits.tasks_max}"
        hint = (
            "Divide the request, or allow more files in each task; 'repomesh plan --help' names the options."
        )
        raise RequestedPathsInvalid(message, hint=hint)
    keys = naming.name_groups(groups, files.sorted_paths)
    owners = {item: keys[root] for root, items in groups.items() for item in items}
    append_only = {path for path, trait in traits.items() if trait.mode == "append_only"}
    pairs = [(each.source, each.target) for each in impacting(references, append_only)] + overflows
    needs = _dependencies(files, pairs, owners)
    draft = _Draft(files, touched, graph, options, needs)
    tasks = tuple(sorted((draft.task(keys[root], items) for root, items in groups.items()), key=_key))
    return Plan(
        tasks=tasks,
        independence=measure_independence(tasks),
        shared=_shared(traits, owners),
        notes=files.notes.lines(),
        token_method=method,
        task_limits=options.task_limits,
    )


def _key(task: PlannedTask) -> str:
    return task.key


def _traits(
    files: SourceFiles, touched: RequestedFiles, append_only: Sequence[str]
) -> dict[str, SharedTrait]:
    found = {path: shared_trait(files, path, append_only) for path in sorted(touched.existing)}
    return {path: trait for path, trait in found.items() if trait is not None}


def _shared(traits: Mapping[str, SharedTrait], owners: Mapping[str, str]) -> tuple[SharedFile, ...]:
    return tuple(
        SharedFile(path=as_pattern(path) or path, task=owners[path], mode=trait.mode, reason=trait.reason)
        for path, trait in sorted(traits.items())
    )


def _dependencies(
    files: SourceFiles, pairs: Iterable[tuple[str, str]], owners: Mapping[str, str]
) -> dict[str, set[str]]:
    """Return by task the tasks that must land before it, without those that follow from others.

    Args:
        files: The repository, whose notes name cycles.
        pairs: A file, and one that should land before it.
        owners: The task of each file.
    """
    needs: defaultdict[str, set[str]] = defaultdict(set)
    for later, earlier in pairs:
        if owners[later] != owners[earlier]:
            needs[owners[later]].add(owners[earlier])
    acyclic, cycles = break_cycles(needs)
    for cycle in cycles:
        shown = ", ".join(cycle[:5]) + (f" and {len(cycle) - 5} more" if len(cycle) > 5 else "")
        files.notes.add(f"These tasks use each other's files, so they land one after another: {shown}")
    return without_implied(acyclic, topological(acyclic))


@dataclass(frozen=True, slots=True)
class _Draft:
    """What is known when the tasks are written."""

    files: SourceFiles
    touched: RequestedFiles
    graph: ReferenceGraph
    options: PlanOptions
    needs: Mapping[str, set[str]]

    def task(self, key: str, items: Sequence[str]) -> PlannedTask:
        """Return the task that owns some existing paths and new patterns; a note tells of broken limits."""
        existing = [item for item in items if item in self.touched.existing]
        new = [item for item in items if item in self.touched.new]
        size = self._size(existing, new)
        if not fits(size, self.options.task_limits):
            self.files.notes.add(f"Task {key} is beyond the limits of a task: what it owns can't be divided")
        checks = tuple(self.options.checks(items))[: limits.PLAN_TEXTS_MAX]
        return PlannedTask(
            key=key,
            goal=naming.describe_goal(existing, new),
            files=tuple(sorted(as_pattern(path) or path for path in existing)),
            new_files=tuple(new),
            dependencies=tuple(sorted(self.needs.get(key, ()))),
            acceptance=describe_acceptance(existing, new, checks),
            checks=checks,
            read_only_context=context_of(set(existing), self.graph),
            size=size,
        )

    def _size(self, existing: Sequence[str], new: Sequence[str]) -> TaskSize:
        sizes = [self.files.size(path) for path in existing]
        return TaskSize(
            files=len(existing) + len(new),
            lines=sum(size.lines for size in sizes),
            tokens=sum(size.tokens for size in sizes),
        )
