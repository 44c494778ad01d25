"""What holds of the plan of any request on any repository."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from domains.requests.planning.projects import files_of, reader
from repomesh.domains.requests.planning.models import Plan, TaskLimits
from repomesh.domains.requests.planning.ordering import (
    break_cycles,
    find_cycles,
    topological,
    without_implied,
)
from repomesh.domains.requests.planning.overlaps import OwnedPattern, find_overlaps
from repomesh.domains.requests.planning.path_names import as_pattern
from repomesh.domains.requests.planning.rules import check_plan
from repomesh.domains.requests.planning.splitter import PlanOptions, propose_plan

FOLDERS = ("", "src/", "src/app/", "src/app/core/", "tests/", "docs/", "web/[id]/", "данные/")
STEMS = ("a", "b", "index", "__init__", "test_a", "test_b", "limits", "x*y", "core", "Ω")
SUFFIXES = (".py", ".ts", ".md", ".go", "")
paths = st.builds(
    "{}{}{}".format, st.sampled_from(FOLDERS), st.sampled_from(STEMS), st.sampled_from(SUFFIXES)
).filter(lambda path: path not in ("__init__", "index"))
statements = st.sampled_from(
    [
        *(f"from app.core import {name}" for name in ("a", "b", "core")),
        *(f"from . import {name}" for name in ("a", "b")),
        *(f"import {name}" for name in ("a", "b", "app", "limits", "test_a")),
        *(
            "from .. import core",
            "from app import *",
            'import "./a"',
            'export * from "./b"',
            "def f(): import b",
        ),
        *("if TYPE_CHECKING:\n    import a", "package a", "LIMIT = 1", "import ((", "\0", "x = 1"),
    ]
)
contents = st.lists(statements, max_size=4).map("\n".join)
projects = st.dictionaries(paths, contents, max_size=14)
limits_ = st.builds(
    TaskLimits,
    files_max=st.integers(1, 6),
    lines_max=st.integers(1, 12),
    tokens_max=st.sampled_from([5, 20, 1_000]),
)


@settings(max_examples=150, deadline=None)
@given(projects, st.lists(paths, max_size=5), limits_, st.randoms(use_true_random=False))
def test_any_plan_is_sound(
    project: dict[str, str], new: list[str], task_limits: TaskLimits, rng: random.Random
) -> None:
    requested = sorted({path for path in project if rng.random() < 0.7} | set(new)) or ["new.py"]
    plan = propose_plan(project, reader(project), requested, PlanOptions(task_limits))

    owned = [pattern for task in plan.tasks for pattern in task.owned]
    expected = {as_pattern(path) for path in requested if path in project}
    expected |= {path for path in requested if path not in project}
    # A new path may be the folder of existing files, or a pattern that holds some.
    assert expected - set(owned) <= {path for path in requested if path not in project}
    assert len(owned) == len(set(owned))
    assert (
        list(find_overlaps([OwnedPattern(task.key, path) for task in plan.tasks for path in task.owned]))
        == []
    )

    assert len(topological({task.key: set(task.dependencies) for task in plan.tasks})) == len(plan.tasks)
    said = [note for note in plan.notes if "beyond the limits" in note]
    beyond = [task.key for task in plan.tasks if not _fits(task.size.files, task.size.lines, task_limits)]
    assert all(any(f"Task {key} is" in note for note in said) for key in beyond)

    broken = [each for each in check_plan(plan, files_of(project), task_limits) if each.rule[-4:] != "_max"]
    assert broken == []
    shuffled = dict(rng.sample([*project.items()], len(project)))
    again = propose_plan(
        shuffled, reader(shuffled), rng.sample(requested, len(requested)), PlanOptions(task_limits)
    )
    assert again == plan
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def _fits(files: int, lines: int, task_limits: TaskLimits) -> bool:
    return files <= task_limits.files_max and lines <= task_limits.lines_max


needs = st.dictionaries(
    st.sampled_from("abcdefgh"), st.sets(st.sampled_from("abcdefgh"), max_size=4), max_size=8
)


@given(needs)
def test_broken_cycles_are_gone_and_all_that_reach_each_other_are_still_ordered(
    graph: dict[str, set[str]],
) -> None:
    graph = {node: others - {node} for node, others in graph.items()}
    acyclic, cycles = break_cycles(graph)
    assert find_cycles(acyclic) == []
    assert cycles == find_cycles(graph)
    ordered = topological(acyclic)
    reduced = without_implied(acyclic, ordered)
    for some, first in ((acyclic, acyclic), (reduced, reduced)):
        reach = {node: set[str]() for node in ordered}
        for node in ordered:
            reach[node] = set(some.get(node, ())).union(*(reach[other] for other in some.get(node, ())))
        pairs = {(node, other) for node, others in graph.items() for other in others}
        assert all(other in reach[node] or node in reach[other] for node, other in pairs), first


patterns = st.sampled_from(
    [
        "a",
        "a/b",
        "a/b.py",
        "a/*",
        "a/**",
        "**/b.py",
        "*/b.py",
        "a/[bc].py",
        "a/?.py",
        "c",
        "c/d/e.py",
        "c/**/e.py",
        "c/d",
    ]
)


@given(st.lists(st.tuples(st.sampled_from("xyz"), patterns), max_size=8))
def test_overlaps_are_those_that_comparing_all_pairs_finds(entries: list[tuple[str, str]]) -> None:
    from repomesh.domains.leases import paths as lock_paths

    owned = [OwnedPattern(owner, pattern) for owner, pattern in entries]
    found = {frozenset((a.owner, b.owner)) for a, b in find_overlaps(owned)}
    expected = {
        frozenset((a.owner, b.owner))
        for a in owned
        for b in owned
        if a.owner != b.owner and lock_paths.may_conflict(a.pattern, b.pattern)
    }
    linked = {owner for pair in found for owner in pair}
    assert found <= expected
    assert linked == {owner for pair in expected for owner in pair}
