"""What the statements find is what a plain comparison of all rows finds, on both engines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from repomesh.app import Server
from repomesh.domains.agents.operations import ensure_agent
from repomesh.domains.leases import conflicts, leasing, prefilter, resources, rules
from repomesh.domains.leases.candidates import PAGE_ROWS
from repomesh.domains.leases.models import LockObstacle, Mode
from repomesh.domains.leases.resources import Resource
from repomesh.domains.leases.tables import leases, lock_waiters
from repomesh.domains.workspaces.operations import workspace_ids
from repomesh.kernel.identity import system_caller
from repomesh.kernel.ids import new_id
from repomesh.store.transaction import Transaction

LITERAL = st.sampled_from(
    (
        *(
            "a",
            "b",
            "src",
            "x_%",
            "v1.2",
            ".env",
            ".py",
            "Makefile",
            "README.md",
            "b.py",
            "B.PY",
            "test_a.py",
        ),
        *("é.py", "名.txt", "a.b.py", "a.", "..x", "[id", "a b.py", "x.%", "a\U0001f600.md"),
        *("x." + "e" * (prefilter.KIND_CHARS_MAX - 1), "x." + "e" * prefilter.KIND_CHARS_MAX),
    )
)
WILD = st.sampled_from(
    (
        *(
            "*",
            "**",
            "*.py",
            "test_*",
            "?.py",
            "??",
            "[ab].py",
            "[id]",
            "[!a]*",
            "x_*",
            "*_%",
            "*.md",
            "*.",
            "*.p?",
        ),
        *(
            "a*b",
            "*[.]py",
            "*y",
            "[z-a].py",
            "?[*.py",
            "*[!x].py",
            "* *",
            "[a]*[b].*",
            "*a*b*c*d*e*.py",
            "]*[.md",
        ),
        *("*." + "e" * (prefilter.KIND_CHARS_MAX - 1), "*." + "e" * prefilter.KIND_CHARS_MAX),
    )
)
# Paths meet more often when they begin alike.
PATHS = st.lists(LITERAL, min_size=1, max_size=3) | st.lists(LITERAL | WILD, min_size=1, max_size=4)
RESOURCES = st.builds(
    lambda start, parts: resources.path("/".join([*start, *parts])),
    st.sampled_from([(), ("src",), ("src", "a")]),
    PATHS,
)
MODES = st.sampled_from(["exclusive", "exclusive", "shared"])
LATER = st.sampled_from([True, True, True, False])


@dataclass(frozen=True, slots=True)
class Held:
    """A lease of one of a few agents; the first is the one that asks."""

    resource: Resource
    mode: Mode = "exclusive"
    agent: int = 1
    live: bool = True


@dataclass(frozen=True, slots=True)
class Waiting:
    """A waiting request, behind those before it in a list."""

    resources: Sequence[Resource]
    mode: Mode = "exclusive"
    agent: int = 1
    live: bool = True


HELD = st.lists(st.builds(Held, RESOURCES, MODES, st.integers(0, 2), LATER), max_size=12)
QUEUE = st.lists(
    st.builds(Waiting, st.lists(RESOURCES, min_size=1, max_size=2), MODES, st.integers(0, 2), LATER),
    max_size=6,
)


class Undone(Exception):
    """Takes back what a transaction did."""


class Desk:
    """A store with three agents, of which the first asks."""

    def __init__(self, server: Server) -> None:
        self._store = server.store
        [self._workspace_id] = self._store.read_now(system_caller(""), workspace_ids)
        self._caller = system_caller(self._workspace_id)
        self.ids = self._store.write_now(
            self._caller, lambda tx: [ensure_agent(tx, f"agent-{number}").id for number in range(3)]
        )

    def answer(
        self, held: Sequence[Held], queue: Sequence[Waiting], ask: Callable[[Transaction], Any]
    ) -> Any:
        """What `ask` answers with these leases and waiting requests, of which nothing is left behind."""
        answers = []

        def work(tx: Transaction) -> None:
            if held:
                tx.execute(insert(leases), [self._lease(tx, number, one) for number, one in enumerate(held)])
            rows = [row for number, one in enumerate(queue) for row in self._waiter(tx, number, one)]
            if rows:
                tx.execute(insert(lock_waiters), rows)
            answers.append(ask(tx))
            raise Undone

        with pytest.raises(Undone):
            self._store.write_now(self._caller, work)
        return answers[0]

    def obstacles(
        self,
        held: Sequence[Held],
        queue: Sequence[Waiting],
        wanted: Sequence[Resource],
        mode: Mode = "exclusive",
    ) -> list[LockObstacle]:
        """What is in the way of the first agent."""
        found: list[LockObstacle] = self.answer(
            held, queue, lambda tx: leasing.find_obstacles(tx, wanted, mode, self.ids[0])
        )
        return found

    def _row(self, tx: Transaction, one: Held | Waiting, resource: Resource) -> dict[str, Any]:
        return {
            "workspace_id": self._workspace_id,
            "resource_type": resource.type,
            "resource": resource.text,
            "prefix": resource.prefix,
            "mode": one.mode,
            "agent_id": self.ids[one.agent],
            "agent_name": f"agent-{one.agent}",
            "note": "",
            "expires_at": tx.now + timedelta(hours=1 if one.live else -1),
        } | prefilter.prefilter_columns(resource.type, resource.text, resource.prefix)

    def _lease(self, tx: Transaction, number: int, one: Held) -> dict[str, Any]:
        held = {"id": new_id(), "token_id": new_id(), "fencing_token": number + 1, "ttl_us": 1}
        return self._row(tx, one, one.resource) | held | {"acquired_at": tx.now, "max_hold_until": tx.now}

    def _waiter(self, tx: Transaction, number: int, one: Waiting) -> list[dict[str, Any]]:
        place = {"id": new_id(), "position": number, "request_hash": str(number), "since": tx.now}
        return [
            self._row(tx, one, resource) | place | {"ordinal": ordinal}
            for ordinal, resource in enumerate(one.resources)
        ]


@pytest.fixture
def desk(server: Server) -> Desk:
    return Desk(server)


def excludes(one: Held, other: Waiting) -> bool:
    modes = rules.exclude_each_other(one.mode, other.mode)
    return modes and any(overlap(one.resource, resource) for resource in other.resources)


def overlap(one: Resource, other: Resource) -> bool:
    return one.overlaps(other.type, other.text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(HELD, QUEUE, st.lists(RESOURCES, min_size=1, max_size=3, unique=True), MODES)
def test_what_is_in_the_way_is_what_a_comparison_of_all_rows_finds(
    desk: Desk, held: list[Held], queue: list[Waiting], wanted: list[Resource], mode: Mode
) -> None:
    live = [one for one in held if one.live]
    expected = {
        (resource.text, one.resource.text, False)
        for one in live
        for resource in wanted
        if one.agent and rules.exclude_each_other(one.mode, mode) and overlap(one.resource, resource)
    }
    expected = expected or {
        (resource.text, text.text, True)
        for one in queue
        if one.live and one.agent and rules.exclude_each_other(one.mode, mode)
        if not any(excludes(mine, one) for mine in live if not mine.agent)
        for text in one.resources
        for resource in wanted
        if overlap(text, resource)
    }
    found = desk.obstacles(held, queue, wanted, mode)
    assert {(one.wanted, one.resource, one.waiting) for one in found} == expected


LONGEST = "n" * prefilter.NAME_CHARS_MAX
# Few names, of which many begin or end alike; some look like a file's and have something below.
ALIKE = st.sampled_from(
    (
        *("a", "conf.d", "test_a.py", "test_b.py", "test_.md", "test", "tesu.py", "x.py", "Makefile"),
        *("t\U0010ffff.py", "t\ud7ff.py", "t\ue000.py", f"{LONGEST}.py", f"{LONGEST}a.py", "t[1].py"),
    )
)
ALIKE_WILD = st.sampled_from(
    (
        *("*", "**", "*.py", "test_*", "test_*.py", "test_?.*", "t*", "*.d", "conf.*", "*[!b].py", "*a*"),
        *("t\U0010ffff*", "\U0010ffff*", "t\ud7ff*", f"{LONGEST}*.py", f"{LONGEST}a*", "t[1]*", "t[1].py"),
    )
)
CLOSE = st.builds(
    lambda start, parts: resources.path("/".join([*start, *parts])),
    st.sampled_from([(), ("a",), ("a", "conf.d")]),
    st.lists(ALIKE, min_size=1, max_size=2) | st.lists(ALIKE | ALIKE_WILD, min_size=1, max_size=3),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(st.lists(CLOSE, max_size=30), CLOSE, st.booleans())
def test_files_are_found_by_name_and_by_depth_as_a_comparison_of_all_rows_finds_them(
    desk: Desk, others: list[Resource], wanted: Resource, waiting: bool
) -> None:
    held, queue = [*map(Held, others)], [Waiting([one]) for one in others]
    found = desk.obstacles((), queue, [wanted]) if waiting else desk.obstacles(held, (), [wanted])
    expected = [one.text for one in others if overlap(one, wanted)]
    assert sorted(one.resource for one in found) == sorted(expected)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(HELD, RESOURCES)
def test_who_may_hold_something_is_whom_a_comparison_of_all_rows_finds(
    desk: Desk, held: list[Held], wanted: Resource
) -> None:
    found = desk.answer(
        held, (), lambda tx: [row.resource for row in conflicts.overlapping_leases(tx, [wanted])]
    )
    expected = [one.resource.text for one in held if one.live and overlap(one.resource, wanted)]
    assert sorted(found) == sorted(expected)


MANY = 2 * PAGE_ROWS + 50


@pytest.mark.parametrize(
    ("name", "text", "pattern", "read_plan"),
    [
        ("src/p{:03}/*.md", "src/z/last_y.py", "src/*/*.py", "by_depth_and_kind"),
        ("src/{:03}/b/c", "src/z/last_y.py", "src/*/*.py", "by_depth_and_kind"),
        ("src/*{:03}.md", "src/z/last_y.py", "src/*/*.py", "by_depth_and_kind"),
        ("src/{:03}_x.py", "src/z/last_y.py", "src/**/*[!x].py", "files"),
        ("src/{:03}_x.py", "src/last_y.py", "src/*[!x].py", "by_depth_and_kind"),
        ("src/{:03}.py_x", "src/z/last.py_y", "src/**/*[!x]", "any"),
        ("src/{:03}/test_x.py", "src/z/test_y.py", "src/**/test_*[!x].py", "by_name_start"),
        ("src/{0:03}/test_{0:03}x.py", "src/a/test_y.py", "src/**/test_*[!x].py", "by_name_start"),
        ("src/{:03}.x", "src/a.y", "src/*[!x]", "by_depth"),
        ("src/a.{:03}x", "src/a.y", "src/*[!x]", "by_depth"),
        ("src/{:03}x/a.py", "src/z/a.py", "src/*[!x]/a.py", "by_name"),
    ],
)
def test_what_does_not_fit_on_one_page_is_read_to_the_end(
    desk: Desk, name: str, text: str, pattern: str, read_plan: str
) -> None:
    beside = [resources.path(name.format(number)) for number in range(MANY)]
    last = resources.path(text)
    wanted = [resources.path(pattern)]
    assert prefilter.filter_of(pattern, wanted[0].prefix).read_plan == read_plan
    held = [*map(Held, beside), Held(last)]
    assert [one.resource for one in desk.obstacles(held, (), wanted)] == [last.text]
    queue = [Waiting(beside[start : start + 100]) for start in range(0, MANY, 100)]
    found = desk.obstacles((), [*queue, Waiting([last])], wanted)
    assert [one.resource for one in found] == [last.text]


def test_of_many_in_the_way_as_many_are_told_as_one_caller_is_told(desk: Desk) -> None:
    many = [resources.path(f"src/f{number}.py") for number in range(MANY)]
    for count in (conflicts.OBSTACLES_MAX, conflicts.OBSTACLES_MAX + 1):
        held = [*map(Held, many[:count])]
        assert len(desk.obstacles(held, (), [resources.path("src")])) == conflicts.OBSTACLES_MAX
    for wanted in ("src/**", "src", "**/*.py", "src/*", "**"):
        found = desk.obstacles([*map(Held, many)], (), [resources.path(wanted)])
        assert len(found) == conflicts.OBSTACLES_MAX
        found = desk.obstacles((), [Waiting([one]) for one in many], [resources.path(wanted)])
        assert len(found) == conflicts.OBSTACLES_MAX


def test_who_waits_for_what_the_caller_holds_is_not_in_its_way_however_many_wait(desk: Desk) -> None:
    mine, other = resources.path("src/mine.py"), resources.path("src/other.py")
    queue = [Waiting([other, mine]) for _ in range(MANY)]
    held = [Held(mine, agent=0)]
    assert desk.obstacles(held, queue, [mine]) == []
    assert desk.obstacles(held, queue, [other]) == []
    assert len(desk.obstacles(held, [*queue, Waiting([other])], [resources.path("src/**")])) == 1
