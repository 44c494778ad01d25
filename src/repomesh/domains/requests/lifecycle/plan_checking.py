"""Makes and checks plans on the files of the target branch's tip. It reads git, and no database."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from repomesh.adapters.git.repository import Repository
from repomesh.domains.changes.building import risk
from repomesh.domains.changes.configuration import CheckSection, Configuration
from repomesh.domains.changes.repositories import read_target
from repomesh.domains.requests.lifecycle import rules
from repomesh.domains.requests.lifecycle.models import Brief
from repomesh.domains.requests.planning.models import Plan, PlannedTask, PlanViolation, TaskSize
from repomesh.domains.requests.planning.rules import check_plan, measure_independence
from repomesh.domains.requests.planning.source_files import SourceFiles
from repomesh.domains.requests.planning.splitter import PlanOptions, propose_plan
from repomesh.domains.requests.planning.task_texts import default_checks
from repomesh.kernel import limits
from repomesh.kernel.errors import InvalidRequest


class RepositoryTooLarge(InvalidRequest):
    """The repository has more files than a plan is made for."""

    code = "repository_too_large"
    hint = "Divide the request by hand, and put its tasks on the board with 'repomesh task create'."


@dataclass(frozen=True, slots=True)
class CheckedPlan:
    """A plan, the rules that it breaks, and why a person must approve it under the policy 'risk'."""

    plan: Plan
    violations: list[PlanViolation]
    risks: list[str]


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

    def checks(paths: Sequence[str]) -> list[str]:
        commands = [_command(check) for check in settings.checks if check.is_for(paths)]
        return commands if settings.checks else default_checks(paths)

    options = PlanOptions(append_only=settings.merge.append_only, checks=checks)
    plan = propose_plan(files.paths, files.read, brief.files, options)
    return CheckedPlan(plan, [], _risks(plan, settings))


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
    return CheckedPlan(measured, violations, _risks(plan, files.configuration))


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


def _command(check: CheckSection) -> str:
    return check.command if isinstance(check.command, str) else shlex.join(check.command)
