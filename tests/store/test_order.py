"""Whatever clocks say: times and ids are in commit order in a workspace, on every node and over restarts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from clocks import MovableClock
from notebook import Notebook, open_notebook
from repomesh.app import Server
from repomesh.domains.agents.models import RegisterAgent
from repomesh.domains.agents.operations import register_agent
from repomesh.domains.leases import leasing, resources
from repomesh.domains.leases.errors import LockConflict
from repomesh.kernel.identity import Caller, Role
from repomesh.kernel.settings import Settings
from repomesh.store.base import Store
from repomesh.store.log import read_after
from repomesh.store.transaction import Transaction

on_postgresql = pytest.mark.parametrize("engine", ["postgresql"])


def written(notebook: Notebook) -> list[tuple[datetime, str]]:
    """(time, id) of every event, in the order of the log."""

    def read(tx: Transaction) -> list[tuple[datetime, str]]:
        found = read_after(tx.connection, tx.workspace_id, 0, 1_000).events
        return [(event.at, event.id) for event in found]

    return notebook.store.read_now(notebook.caller, read)


def in_order(notebook: Notebook) -> bool:
    """Whether times and ids grow with the numbers, but for the time of what one command wrote."""
    times, ids = zip(*written(notebook), strict=True)
    return list(times) == sorted(times) and list(ids) == sorted(set(ids))


@pytest.mark.parametrize("seconds", [3_600.0, 2.0, -3_600.0])
def test_a_clock_that_is_set_between_two_writes_changes_no_order(
    notebook: Notebook, clock: MovableClock, seconds: float
) -> None:
    notebook.write_now("one")
    clock.put_back(seconds)
    for text in ("two", "three"):
        notebook.write_now(text)
    clock.put_back(-seconds)
    notebook.write_now("four")
    assert [text for _seq, text in notebook.log()] == ["one", "two", "three", "four"]
    assert in_order(notebook)


def test_a_clock_that_is_put_back_while_no_server_runs_changes_no_order(
    notebook: Notebook, clock: MovableClock
) -> None:
    notebook.write_now("before")
    notebook.store.close()
    clock.put_back(3_600)
    again = notebook.reopened()
    now = again.store.read_now(again.caller, lambda tx: tx.now)
    again.write_now("after")
    assert in_order(again)
    if not again.store.shared:
        assert now >= written(again)[-2][0]  # also for who only reads, leases are as old as they were
    again.store.close()


def test_one_command_makes_ids_that_grow(notebook: Notebook) -> None:
    ids = notebook.store.write_now(notebook.caller, lambda tx: [tx.new_id() for _ in range(500)])
    assert ids == sorted(set(ids))
    assert notebook.store.write_now(notebook.caller, Transaction.new_id) > ids[-1]


def test_a_put_back_clock_makes_no_lease_an_hour_longer(server: Server, clock: MovableClock) -> None:
    """Half an hour later a lease of a quarter is over, though the clock was put back by an hour."""
    if server.store.shared:
        pytest.skip("the database's clock decides there, and its operator keeps it")
    ann, ben = callers(server.store, open_notebook(server.store))
    server.store.write_now(ann, lambda tx: leasing.grant(tx, WANTED, ttl_s=900))
    clock.put_back(3_600)
    clock.advance(500)
    with pytest.raises(LockConflict):
        server.store.write_now(ben, lambda tx: leasing.grant(tx, WANTED))
    clock.advance(600)
    assert server.store.write_now(ben, lambda tx: leasing.grant(tx, WANTED))


WANTED = [resources.parse("src/app.py")[0]]


def callers(store: Store, notebook: Notebook) -> list[Caller]:
    made = []
    for name in ("ann", "ben"):
        joined = store.write_now(
            notebook.caller, lambda tx, name=name: register_agent(tx, RegisterAgent(name=name))
        )
        workspace_id = notebook.caller.workspace_id
        made.append(
            Caller(workspace_id, Role.AGENT, joined.token_id, joined.agent.id, name, "ai", joined.instance_id)
        )
    return made


# -- several nodes ---------------------------------------------------------------------------------


@pytest.fixture
def late(server: Server, settings: Settings) -> Iterator[Server]:
    """Another node on the same database, whose machine is two minutes late."""
    behind = MovableClock()
    behind.put_back(120)
    made = Server(settings, behind)
    yield made
    made.store.close()


@on_postgresql
def test_nodes_whose_clocks_differ_write_one_order(notebook: Notebook, late: Server) -> None:
    other = Notebook(late.store, notebook.caller)
    for number in range(10):
        (notebook if number % 2 else other).write_now(f"{number}")
    assert in_order(notebook)


@on_postgresql
def test_nodes_whose_clocks_differ_grant_a_lock_once(server: Server, late: Server) -> None:
    ann, ben = callers(server.store, open_notebook(server.store))
    for holder, other, here, there in ((ann, ben, server, late), (ben, ann, late, server)):
        (lease,) = here.store.write_now(holder, lambda tx: leasing.grant(tx, WANTED, ttl_s=60))
        with pytest.raises(LockConflict):
            there.store.write_now(other, lambda tx: leasing.grant(tx, WANTED))
        seen = there.store.read_now(other, lambda tx: (leasing.live_lease(tx, WANTED[0]), tx.now))
        assert seen[0] is not None
        assert timedelta() < lease.expires_at - seen[1] <= timedelta(seconds=60)  # by the same clock
        here.store.write_now(
            holder, lambda tx, token=lease.fencing_token: leasing.release(tx, leasing.held_under(tx, token))
        )


@on_postgresql
def test_a_node_that_does_not_know_of_the_put_back_clock_learns_of_it_from_the_log(
    notebook: Notebook, late: Server, clock: MovableClock
) -> None:
    """Such as a replica that took over from a database whose clock was ahead."""
    other = Notebook(late.store, notebook.caller)
    notebook.write_now("one")
    clock.put_back(3_600)
    other.write_now("two")  # it wrote nothing before, and can only know from the log
    notebook.write_now("three")
    other.write_now("four")
    assert [text for _seq, text in notebook.log()] == ["one", "two", "three", "four"]
    assert in_order(notebook)
    assert notebook.is_consistent()
