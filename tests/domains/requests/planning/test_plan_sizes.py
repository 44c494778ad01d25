"""Large repositories: what is read, and that the plan is whole."""

from __future__ import annotations

import pytest

from domains.requests.planning.projects import planned, reader
from repomesh.domains.requests.planning.ordering import topological
from repomesh.domains.requests.planning.requested_paths import RequestedPathsInvalid
from repomesh.domains.requests.planning.source_files import SourceFiles
from repomesh.domains.requests.planning.splitter import propose_plan
from repomesh.kernel import limits


def large_project(folders: int, modules: int) -> dict[str, str]:
    """A package of folders in which each module uses the next one of its folder."""
    project = {f"src/app/p{folder}/__init__.py": "" for folder in range(folders)}
    for folder in range(folders):
        for number in range(modules):
            text = f"from app.p{folder}.m{number + 1} import f\n" if number % 10 < 9 else ""
            project[f"src/app/p{folder}/m{number}.py"] = f"{text}def g(x):\n    return x\n"
    return project


def test_of_five_thousand_files_only_the_touched_ones_are_read() -> None:
    project = large_project(50, 99)
    content_of = reader(project)
    read: list[str] = []

    def recording(path: str) -> bytes | None:
        read.append(path)
        return content_of(path)

    requested = [f"src/app/p{folder}/m{number}.py" for folder in range(0, 50, 7) for number in range(6)]
    plan = propose_plan(project, recording, requested)
    assert len(plan.tasks) == 8
    assert plan.independence == 1.0
    assert set(read) == set(requested)


def test_five_thousand_files_can_be_touched_at_once() -> None:
    project = large_project(50, 99)
    plan = planned(project, ["src/**"], files_max=50)
    assert len(project) == 5_000
    assert sorted(path for task in plan.tasks for path in task.files) == sorted(project)
    assert max(task.size.files for task in plan.tasks) <= 50


def test_one_hub_and_thousands_of_users() -> None:
    project = {f"src/u{number}.py": "import hub" for number in range(3_000)} | {"src/hub.py": "def f(): ..."}
    plan = planned(project, project, files_max=100)
    assert len(plan.tasks) == 31
    assert plan.independence == 0.0


def test_one_long_chain_and_one_large_cycle() -> None:
    chain = {f"m{number}.py": f"import m{number + 1}" for number in range(2_000)}
    assert len(planned(chain, chain).tasks) <= 85
    ring = {f"m{number}.py": f"import m{(number + 1) % 2_000}" for number in range(2_000)}
    plan = planned(ring, ring)
    assert len(plan.tasks) <= 85
    assert len(topological({task.key: set(task.dependencies) for task in plan.tasks})) == len(plan.tasks)


def test_more_is_refused() -> None:
    project = dict.fromkeys((f"f{number}.py" for number in range(limits.PLAN_REQUESTED_MAX + 1)), "")
    with pytest.raises(RequestedPathsInvalid, match="more than 5000 files"):
        planned(project, project)
    with pytest.raises(ValueError, match="200,000"):
        SourceFiles(
            (str(number) for number in range(limits.PLAN_REPOSITORY_FILES_MAX + 1)), lambda path: None
        )
