"""However many locks there are, a check reads only those that stand on the path's ancestors."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from plans import Plan, analyze, plans, scans
from repomesh.app import Server
from repomesh.domains.agents.operations import ensure_agent
from repomesh.domains.leases import leasing, overdue_leases, prefilter, resources, waiting
from repomesh.domains.leases.conflicts import Targets
from repomesh.domains.leases.models import AcquireLocks, ListLocks, ReleaseLocks
from repomesh.domains.leases.operations import acquire_locks, release_locks
from repomesh.domains.leases.queries import list_locks
from repomesh.domains.leases.tables import leases, lock_waiters
from repomesh.domains.workspaces.operations import workspace_ids
from repomesh.kernel.identity import Caller, Role, system_caller
from repomesh.kernel.ids import new_id
from repomesh.store.transaction import Transaction

LOCKS, WAITERS, HOLDERS = 10_000, 2_000, 100


class Town:
    """A store full of locks, and one agent among many."""

    def __init__(self, server: Server) -> None:
        self.store = server.store
        [self.workspace_id] = self.store.read_now(system_caller(""), workspace_ids)
        self.system = system_caller(self.workspace_id)
        self.ids = self.store.write_now(
            self.system, lambda tx: [ensure_agent(tx, f"agent-{n}").id for n in range(HOLDERS)]
        )
        self.caller = Caller(self.workspace_id, Role.AGENT, new_id(), self.ids[0], "agent-0", "ai")
        self.store.write_now(self.system, self._fill)
        if self.store.describe()["engine"] == "postgresql":
            analyze(self.store)

    def _fill(self, tx: Transaction) -> None:
        def row(number: int) -> dict[str, Any]:
            path = f"src/part{number % 97}/file{number}.py"
            later = tx.now + timedelta(hours=1)
            return {
                "id": new_id(),
                "workspace_id": self.workspace_id,
                "resource_type": "path",
                "resource": path,
                "prefix": path,
                "mode": "exclusive",
                "agent_id": self.ids[1 + number % (HOLDERS - 1)],
                "agent_name": "x",
                "note": "",
                "expires_at": later,
            } | prefilter.prefilter_columns("path", path, path)

        def lease(number: int) -> dict[str, Any]:
            later = tx.now + timedelta(hours=1)
            held = {"token_id": new_id(), "fencing_token": number + 1, "ttl_us": 1, "acquired_at": tx.now}
            return row(number) | held | {"max_hold_until": later}

        def waiter(number: int) -> dict[str, Any]:
            place = {"ordinal": 0, "position": number, "request_hash": str(number), "since": tx.now}
            return row(number) | place

        tx.execute(insert(leases), [lease(number) for number in range(LOCKS)])
        tx.execute(insert(lock_waiters), [waiter(number) for number in range(WAITERS)])

    def plans(self, work: Callable[[Transaction], Any]) -> list[Plan]:
        """How the engine looks for rows in every statement of `work` on these tables."""
        found = plans(self.store, self.caller, work)
        return [plan for plan in found if "leases" in plan.statement or "lock_waiters" in plan.statement]


@pytest.fixture
def town(server: Server) -> Town:
    return Town(server)


TABLES = ("leases", "lock_waiters")


def test_a_literal_path_is_looked_up_by_its_ancestors(town: Town) -> None:
    literal = [resources.path("src/part5/new.py")]
    found = town.plans(lambda tx: leasing.find_obstacles(tx, literal, "exclusive", town.ids[0]))
    assert scans(found, *TABLES) == []
    assert len(found) == 3, "held on its ancestors, anything below it, and waiting on its ancestors"
    assert all("ix_leases_prefix" in plan.steps for plan in found[:2])
    assert all("ix_lock_waiters_prefix" in plan.steps for plan in found[1:])
    targets = Targets(files=["src/part5/new.py"])
    found = town.plans(lambda tx: leasing.blocking_locks(tx, targets, town.ids[0]))
    assert len(found) == 2, "held on its ancestors, and anything below it"
    assert scans(found, *TABLES) == []


@pytest.mark.parametrize(
    ("pattern", "index"),
    [
        ("**/*.md", "kind"),
        ("**/Makefile", "kind"),
        ("**/exact.py", "name"),
        ("src/**/test_*", "name"),
        ("src/*", "depth"),
        ("src/*.py", "depth"),
        ("src/part5/**/*test*", "prefix"),
    ],
)
def test_a_pattern_also_reads_what_it_may_match_below_its_prefix(
    town: Town, pattern: str, index: str
) -> None:
    wanted = [resources.path(pattern)]
    found = town.plans(lambda tx: leasing.find_obstacles(tx, wanted, "exclusive", town.ids[0]))
    assert scans(found, *TABLES) == []
    assert len(found) == 4, "held on its ancestors, held below, waiting on its ancestors, waiting below"
    for plan, table in zip(found, ("leases", "leases", "lock_waiters", "lock_waiters"), strict=True):
        assert f"ix_{table}_" in plan.steps
    assert f"ix_leases_{index}" in found[1].steps
    assert f"ix_lock_waiters_{index}" in found[3].steps


def test_requests_that_wait_are_read_only_when_nothing_held_refuses(town: Town) -> None:
    wanted = [resources.path("src/**")]
    found = town.plans(lambda tx: leasing.find_obstacles(tx, wanted, "exclusive", town.ids[0]))
    assert len(found) == 2, "held on its ancestors, and one page of what is held below"
    assert not any("lock_waiters" in plan.statement for plan in found)


def test_what_agents_do_all_day_reads_no_whole_table(town: Town) -> None:
    def day(tx: Transaction) -> None:
        taken = acquire_locks(tx, AcquireLocks(resources=("src/part5/new.py", "docs/*")))
        leasing.renew_by_heartbeat(tx, town.ids[0])
        leasing.soonest_expiry(tx, town.ids[0])
        leasing.held_by(tx, town.ids[0])
        leasing.check(tx, resources.path("docs/*"), taken.fencing_token)
        release_locks(tx, ReleaseLocks(resources=("docs/*",)))
        release_locks(tx, ReleaseLocks(fencing_token=taken.fencing_token))
        acquire_locks(tx, AcquireLocks(resources=("src/part5/file5.py",), wait_s=5.0))
        waiting.expire(tx)
        overdue_leases.end_overdue(tx)
        overdue_leases.forget_ended(tx)

    assert scans(town.plans(day), *TABLES) == []


def test_lists_of_locks_come_in_the_order_of_an_index(town: Town) -> None:
    for wanted in (ListLocks(), ListLocks(prefix="src/part5")):
        (plan,) = town.plans(lambda tx, wanted=wanted: list_locks(tx, wanted))
        assert scans([plan], *TABLES) == []
        assert "ix_leases_prefix" in plan.steps
        assert "TEMP B-TREE" not in plan.steps
    (plan, *_more) = town.plans(lambda tx: list_locks(tx, ListLocks(agent=town.ids[3])))
    assert "ix_leases_holder" in plan.steps
