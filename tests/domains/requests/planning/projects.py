"""Small repositories as dictionaries, and shorthands to plan and check on them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from repomesh.domains.requests.planning.graph import build_graph
from repomesh.domains.requests.planning.models import Plan, PlannedTask, PlanViolation, TaskLimits
from repomesh.domains.requests.planning.rules import check_plan
from repomesh.domains.requests.planning.source_files import SourceFiles
from repomesh.domains.requests.planning.splitter import PlanOptions, propose_plan

Project = Mapping[str, str | bytes]


def files_of(project: Project) -> SourceFiles:
    return SourceFiles(project, reader(project))


def reader(project: Project) -> Any:
    contents = {
        path: textwrap.dedent(text).encode() if isinstance(text, str) else text
        for path, text in project.items()
    }
    return contents.get


def references(project: Project) -> set[tuple[str, str]]:
    """(using file, used file) of all references."""
    return {(each.source, each.target) for each in build_graph(files_of(project)).references()}


def strengths(project: Project) -> dict[tuple[str, str], int]:
    found = build_graph(files_of(project)).references()
    return {(each.source, each.target): each.strength for each in found}


def planned(project: Project, requested: Iterable[str], **limits: int) -> Plan:
    return propose_plan(project, reader(project), requested, PlanOptions(TaskLimits(**limits)))


def owned(plan: Plan) -> dict[str, list[str]]:
    """The paths and patterns of each task."""
    return {task.key: sorted(task.owned) for task in plan.tasks}


def together(plan: Plan, *paths: str) -> bool:
    """Whether one task owns all of some paths."""
    return any(set(paths) <= set(task.owned) for task in plan.tasks)


def task(key: str, *files: str, **fields: Any) -> PlannedTask:
    """A task of a proposed plan that breaks no rule by itself."""
    return PlannedTask.model_validate(
        {"key": key, "goal": "Do it.", "files": files, "acceptance": ["It is done."], **fields}
    )


def violations(project: Project, *tasks: PlannedTask, **limits: int) -> list[PlanViolation]:
    return check_plan(Plan(tasks=tasks), files_of(project), TaskLimits(**limits))


def broken(project: Project, *tasks: PlannedTask, **limits: int) -> list[str]:
    """The names of the rules that a plan breaks, and the tasks that are named."""
    return [f"{each.rule} {each.task}" for each in violations(project, *tasks, **limits)]
