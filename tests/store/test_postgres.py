"""PostgreSQL's own ways to fail: lost connections, deadlocks, waits without end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import text

from notebook import Notebook
from repomesh.domains.workspaces.operations import create
from repomesh.kernel import limits
from repomesh.kernel.clock import system_clock
from repomesh.kernel.errors import Unavailable
from repomesh.kernel.identity import system_caller
from repomesh.kernel.ids import new_id
from repomesh.kernel.settings import Settings
from repomesh.kernel.telemetry import Metrics
from repomesh.store.base import OutcomeUnknown
from repomesh.store.open import open_store
from repomesh.store.transaction import Transaction

pytestmark = pytest.mark.parametrize("engine", ["postgresql"])


@pytest.fixture
def schema() -> bool:
    """These tests have databases of their own."""
    return False


@pytest.fixture
def admin(settings: Settings) -> Iterator[psycopg.Connection]:
    """A session of somebody else in the same database."""
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        yield connection


def end_our_sessions(admin: psycopg.Connection) -> None:
    admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


def test_sessions_that_the_database_ended_fail_nobody(notebook: Notebook, admin: psycopg.Connection) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(notebook.write_now, (f"before {n}" for n in range(16))))
        for number in range(3):
            end_our_sessions(admin)
            list(pool.map(notebook.write_now, (f"after {number}/{n}" for n in range(16))))
            end_our_sessions(admin)
            assert len(notebook.texts()) == 16 * (number + 2)
    assert notebook.is_consistent()


def test_work_that_loses_its_session_runs_again(notebook: Notebook) -> None:
    lost: list[int] = []

    def work(tx: Transaction) -> str:
        answer = notebook.work("once")(tx)
        if not lost:
            lost.append(1)
            tx.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return answer

    assert notebook.store.write_now(notebook.caller, work) == "once"
    assert [seq_text[1] for seq_text in notebook.log()] == ["once"]


def test_a_commit_whose_answer_is_lost_is_not_run_again(
    notebook: Notebook, admin: psycopg.Connection
) -> None:
    admin.execute(
        "CREATE FUNCTION die() RETURNS trigger AS"
        " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$ LANGUAGE plpgsql"
    )
    admin.execute(
        "CREATE CONSTRAINT TRIGGER dies AFTER INSERT ON test_notes DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW WHEN (NEW.text = 'fatal') EXECUTE FUNCTION die()"
    )
    runs: list[int] = []
    with pytest.raises(OutcomeUnknown):
        notebook.write_now("fatal", lambda: runs.append(1))
    assert runs == [1]
    assert notebook.write_now("later") == "later"


def test_a_deadlock_is_resolved_by_running_one_side_again(
    notebook: Notebook, admin: psycopg.Connection
) -> None:
    admin.execute("INSERT INTO test_notes VALUES ('a'), ('b')")
    name = admin.info.dbname
    admin.execute(f"ALTER DATABASE {name} SET deadlock_timeout = '50ms'")
    end_our_sessions(admin)
    other = Notebook(notebook.store, system_caller(new_id()))
    ws = other.caller.workspace_id
    other.store.write_now(other.caller, lambda tx: create(tx, ws, "other", None, home=False))
    meeting = threading.Barrier(2, timeout=10)
    tries: list[str] = []

    def work(first: str, second: str) -> None:
        def touch(tx: Transaction) -> None:
            tries.append(first)
            tx.execute(text("UPDATE test_notes SET text = text WHERE text = :text"), {"text": first})
            if len(tries) <= 2:
                meeting.wait()
            tx.execute(text("UPDATE test_notes SET text = text WHERE text = :text"), {"text": second})

        (notebook if first == "a" else other).store.write_now(
            (notebook if first == "a" else other).caller, touch
        )

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, ("a", "b"), ("b", "a")))
    assert sorted(tries) in (["a", "a", "b"], ["a", "b", "b"])


def test_a_lock_that_somebody_holds_is_waited_for_within_bounds(
    notebook: Notebook, admin: psycopg.Connection
) -> None:
    tries: list[int] = []

    def impatient(tx: Transaction) -> str:
        tries.append(1)
        tx.execute(text("SET LOCAL lock_timeout = '10ms'"))
        return notebook.work("late")(tx)

    with admin.transaction():
        admin.execute("LOCK TABLE test_notes IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(Unavailable):
            notebook.store.write_now(notebook.caller, impatient)
    assert len(tries) == limits.POSTGRES_ATTEMPTS_MAX
    assert notebook.store.write_now(notebook.caller, impatient) == "late"
    assert notebook.is_consistent()


def test_every_statement_has_a_bound(notebook: Notebook) -> None:
    def settings_of(tx: Transaction) -> list[str]:
        names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
        return [tx.execute(text(f"SHOW {name}")).scalar_one() for name in names]

    assert notebook.store.write_now(notebook.caller, settings_of) == ["10s", "30s", "1min"]
    assert notebook.store.read_now(notebook.caller, settings_of) == ["10s", "30s", "1min"]

    def endless(tx: Transaction) -> None:
        tx.execute(text("SET LOCAL statement_timeout = '20ms'"))
        tx.execute(text("SELECT pg_sleep(60)"))

    with pytest.raises(Unavailable, match="statement timeout"):
        notebook.store.write_now(notebook.caller, endless)


def test_a_database_that_does_not_answer_is_told_without_its_password(settings: Settings) -> None:
    unreachable = settings.model_copy(update={"database_url": "postgresql://me:verysecret@127.0.0.1:9/none"})
    store = open_store(unreachable, Metrics(), system_clock)
    with pytest.raises(Unavailable) as told:
        store.write_now(system_caller(""), lambda tx: None)
    assert "verysecret" not in told.value.message
    store.close()
