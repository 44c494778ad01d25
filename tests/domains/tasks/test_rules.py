"""What a status allows, and what may depend on what."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repomesh.domains.tasks import rules
from repomesh.domains.tasks.errors import DependencyCycle, TaskStatusConflict
from repomesh.domains.tasks.models import TaskStatus

NODES = st.integers(min_value=0, max_value=7).map(str)
EDGES = st.lists(st.tuples(NODES, NODES), max_size=24)


@pytest.mark.parametrize("status", ["done", "failed", "cancelled"])
def test_what_is_over_stays_over(status: TaskStatus) -> None:
    assert rules.possible_actions(status) == []


def test_every_status_is_known_and_every_action_begins_somewhere() -> None:
    statuses = set(get_args(TaskStatus))
    assert all(begins and begins <= statuses for begins in rules.ALLOWED.values())


def test_a_refused_action_says_what_is_and_what_is_possible() -> None:
    with pytest.raises(TaskStatusConflict, match=r"blocked \(waiting for keys\) and can't be claimed") as no:
        rules.require_allowed("claim", "t1", "blocked", "waiting for keys")
    assert no.value.details == {"task_status": "blocked", "possible": ["unblock", "cancel", "update"]}


def test_a_cycle_is_named_in_order() -> None:
    with pytest.raises(DependencyCycle, match="a → b → c → a") as refused:
        rules.refuse_cycle("a", ["b", "x"], [("b", "c"), ("c", "a"), ("x", "y")])
    assert refused.value.details["cycle"] == ["a", "b", "c", "a"]


def test_of_a_long_cycle_both_ends_are_named() -> None:
    ids = [str(number) for number in range(1_000)]
    with pytest.raises(DependencyCycle, match=r"0 → 1 → .* → 989 more → .* → 999 → 0") as refused:
        rules.refuse_cycle("0", ["1"], [*pairwise(ids), ("999", "0")])
    assert len(refused.value.message) < 200
    assert len(refused.value.details["cycle"]) == 100


def test_a_task_does_not_wait_for_itself() -> None:
    assert rules.find_cycle("a", ["a"], []) == ["a", "a"]


@given(task=NODES, dependencies=st.lists(NODES, max_size=4), edges=EDGES)
def test_a_cycle_is_found_if_and_only_if_the_task_can_be_reached_from_itself(
    task: str, dependencies: list[str], edges: list[tuple[str, str]]
) -> None:
    kept = {edge for edge in edges if edge[0] != task} | {(task, other) for other in dependencies}
    reached: set[str] = set(dependencies)
    while further := {there for here, there in kept if here in reached} - reached:
        reached |= further
    cycle = rules.find_cycle(task, dependencies, edges)
    assert (cycle is not None) == (task in reached)
    if cycle is not None:
        assert cycle[0] == cycle[-1] == task
        assert set(pairwise(cycle)) <= kept
        assert len(set(cycle)) == len(cycle) - 1


def test_a_task_fails_when_it_was_lost_as_often_as_allowed() -> None:
    assert [rules.status_after_loss(lost, 3) for lost in (1, 2, 3)] == ["open", "open", "failed"]


def test_missing_capabilities_are_named_in_the_tasks_order() -> None:
    assert rules.missing_capabilities(["sql", "rust", "gpu"], ["gpu"]) == ["sql", "rust"]
