"""Makes and checks plans on the files of the target branch's tip, in a process of its own.

It reads git, and no database. What is parsed may be hostile, and a large repository takes seconds.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repomesh.adapters.git.paths import PathRefused
from repomesh.adapters.git.repository import Repository
from repomesh.domains.changes.building import risk
from repomesh.domains.changes.configuration import Configuration
from repomesh.domains.changes.repositories import TARGET_ERRORS, read_target
from repomesh.domains.requests.lifecycle import rules
from repomesh.domains.requests.lifecycle.models import Brief
from repomesh.domains.requests.planning.models import Plan, PlannedTask, PlanViolation, TaskSize
from repomesh.domains.requests.planning.requested_paths import RequestedPathsInvalid
from repomesh.domains.requests.planning.rules import check_plan, measure_independence
from repomesh.domains.requests.planning.source_files import SourceFiles
from repomesh.domains.requests.planning.splitter import PlanOptions, propose_plan
from repomesh.domains.requests.planning.task_texts import configured_checks
from repomesh.kernel import limits
from repomesh.kernel.errors import Conflict, InvalidRequest
from repomesh.kernel.isolated import IsolatedCallFailed, IsolationLimits, call_isolated
from repomesh.kernel.operation import Model


class RepositoryTooLarge(InvalidRequest):
    """The repository has more files than a plan is made for."""

    code = "repository_too_large"
    hint = "Divide the request by hand, and put its tasks on the board with 'repomesh task create'."


class PlanningFailed(Conflict):
    """The plan took too long or too much memory, or planning failed."""

    code = "planning_failed"
    hint = "Name fewer files, or send a plan with 'repomesh request edit ID --plan FILE'."


class CheckedPlan(Model):
    """A plan, the rules that it breaks, and why a person must approve it under the policy 'risk'."""

    plan: Plan
    violations: list[PlanViolation]
    risks: list[str]


class _PlanningInput(Model):
    """What the process of its own needs: where the repository is, and a brief to split or a plan to check."""

    path: str
    private: str
    brief: Brief | None = None
    plan: Plan | None = None


ERRORS = (*TARGET_ERRORS, RequestedPathsInvalid, RepositoryTooLarge, PlanningFailed, PathRefused)
"""What `split_isolated` and `check_isolated` raise."""

_LIMITS = IsolationLimits(limits.PLANNING_MEMORY_BYTES, limits.PLANNING_CPU_S)
_ERRORS_BY_CODE = {error.code: error for error in ERRORS}


def split_isolated(brief: Brief, repository: Repository) -> CheckedPlan:
    """Return the plan of the deterministic splitter for the files of a brief. Raises one of ERRORS."""
    return _call(_input_of(repository, brief=brief))


def check_isolated(plan: Plan, repository: Repository) -> CheckedPlan:
    """Return a proposed plan with sizes and independence computed anew, and the rules that it breaks.

    Raises one of ERRORS.
    """
    return _call(_input_of(repository, plan=plan))


def plan_encoded(argument: dict[str, Any]) -> dict[str, Any]:
    """Split or check as the JSON of a `_PlanningInput` says; runs in the process of its own."""
    given = _PlanningInput.model_validate(argument)
    try:
        repository = Repository(Path(given.path), Path(given.private))
        try:
            made = split(given.brief, repository) if given.brief else None
            made = check(given.plan, repository) if given.plan else made
        finally:
            repository.close()
    except ERRORS as error:
        return {"code": error.code, "message": error.message, "hint": error.hint}
    assert made is not None, "it is given a brief or a plan"
    return {"made": made.model_dump(mode="json")}


def _input_of(repository: Repository, brief: Brief | None = None, plan: Plan | None = None) -> _PlanningInput:
    return _PlanningInput(path=str(repository.path), private=str(repository.private), brief=brief, plan=plan)


def _call(given: _PlanningInput) -> CheckedPlan:
    try:
        answer = call_isolated(plan_encoded, given.model_dump(mode="json"), _LIMITS)
    except IsolatedCallFailed as failure:
        raise PlanningFailed(f"the plan was given up: {failure}") from None
    if "code" in answer:
        raise _ERRORS_BY_CODE[answer["code"]](answer["message"], hint=answer["hint"])
    return CheckedPlan.model_validate(answer["made"])


@dataclass(frozen=True, slots=True)
class _TargetFiles:
    """The files of the target branch's tip, and what its `repomesh.toml` says."""

    paths: list[str]
    read: Callable[[str], bytes | None]
    configuration: Configuration


def split(brief: Brief, repository: Repository) -> CheckedPlan:
    """Return the plan of the deterministic splitter for the files of a brief.

    Raises what `read_target` does, RequestedPathsInvalid and RepositoryTooLarge.
    """
    files = _target_files(repository)
    settings = files.configuration

    options = PlanOptions(append_only=settings.merge.append_only, checks=configured_checks(settings.checks))
    plan = propose_plan(files.paths, files.read, brief.files, options)
    return CheckedPlan(plan=plan, violations=[], risks=_risks(plan, settings))


def check(plan: Plan, repository: Repository) -> CheckedPlan:
    """Return a proposed plan with its independence computed anew, and the rules that it breaks.

    Raises what `read_target` does, and RepositoryTooLarge.
    """
    files = _target_files(repository)
    sources = SourceFiles(files.paths, files.read)
    violations = check_plan(plan, sources, append_only=files.configuration.merge.append_only)
    measured = plan.model_copy(
        update={
            "tasks": tuple(_measured(task, sources) for task in plan.tasks) if not violations else plan.tasks,
            "independence": measure_independence(plan.tasks),
        }
    )
    return CheckedPlan(plan=measured, violations=violations, risks=_risks(plan, files.configuration))


def _measured(task: PlannedTask, sources: SourceFiles) -> PlannedTask:
    """The task with the size of its literal files; what the proposer says about sizes does not count."""
    sizes = [sources.size(path) for path in task.files if path in sources.paths]
    size = TaskSize(
        files=len(task.owned),
        lines=sum(each.lines for each in sizes),
        tokens=sum(each.tokens for each in sizes),
    )
    return task.model_copy(update={"size": size})


def _risks(plan: Plan, configuration: Configuration) -> list[str]:
    owned = [path for task in plan.tasks for path in task.owned]
    return rules.plan_risks(plan, risk.assess_paths(owned, configuration))


def _target_files(repository: Repository) -> _TargetFiles:
    target = read_target(repository)
    blobs = repository.files(target.tree, limits.PLAN_REPOSITORY_FILES_MAX)
    if blobs is None:
        raise RepositoryTooLarge(f"{target.branch} has more than {limits.PLAN_REPOSITORY_FILES_MAX:,} files")
    by_path = {os.fsdecode(path): blob for path, blob in blobs.items()}

    def read(path: str) -> bytes | None:
        blob = by_path.get(path)
        return None if blob is None else repository.text(blob, limits.PLAN_READ_BYTES_MAX)

    return _TargetFiles(list(by_path), read, target.configuration)
