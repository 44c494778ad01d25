"""A disk that is full, or fails, in the middle of a batch: all that was answered is there, and no more."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fault.programs import write_until_refused
from fault.running import run_program
from notebook import Notebook, NoteWritten, open_notebook
from repomesh.app import Server, prepare
from repomesh.kernel.errors import Unavailable
from repomesh.kernel.identity import RequestContext
from repomesh.kernel.settings import Settings
from repomesh.store import folder
from repomesh.store.log import NewEvent
from repomesh.store.transaction import Transaction

pytestmark = [pytest.mark.anyio, pytest.mark.fault]
on_sqlite = pytest.mark.parametrize("engine", ["sqlite"])


def assert_kept(told: dict[str, list[str]], notebook: Notebook) -> None:
    """What was answered is there when the store is opened again, what was refused is not."""
    notebook.store.close()
    again = notebook.reopened()
    assert again.texts() == set(told["answered"])
    assert set(told["refused"]).isdisjoint(again.texts())
    assert again.is_consistent()
    again.store.close()


def set_pages_max(notebook: Notebook, further: int) -> None:
    """Let the database grow by so many pages, and not one more."""

    def work(tx: Transaction) -> None:
        pages = tx.connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        tx.connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + further}")

    notebook.store.write_now(notebook.caller, work)


@on_sqlite
def test_a_database_that_may_not_grow_loses_nothing_that_was_answered(notebook: Notebook) -> None:
    told = write_until_refused(notebook, lambda: set_pages_max(notebook, 400))
    assert len(told["answered"]) > 20
    set_pages_max(notebook, 100_000)
    told["answered"].append(notebook.write_now("after"))
    assert_kept(told, notebook)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk can't be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_loses_nothing_that_was_answered(small_disk: Path) -> None:
    settings = Settings(data=small_disk / "data")
    folder.prepare(settings.data)
    server = Server(settings)
    prepare(settings, server.store, "test", None)
    notebook = open_notebook(server.store)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 2_000_000)
    told = write_until_refused(notebook, lambda: None)
    assert len(told["answered"]) > 20
    ballast.unlink()
    told["answered"].append(notebook.write_now("after"))
    assert_kept(told, notebook)


@on_sqlite
def test_a_disk_that_fails_loses_nothing_that_was_answered(notebook: Notebook, settings: Settings) -> None:
    notebook.store.close()
    told = json.loads(run_program("writes_until_files_may_not_grow", settings.data, 400_000))
    assert len(told["answered"]) > 20
    assert_kept(told, notebook)


@on_sqlite
async def test_a_batch_that_the_database_rolled_back_is_refused_whole(notebook: Notebook) -> None:
    reached, opened = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        assert opened.wait(30)

    def lose(tx: Transaction) -> None:
        notebook.work("lost")(tx)
        driver = tx.connection.connection.driver_connection
        assert driver is not None
        driver.execute("ROLLBACK")  # as SQLite does itself when the disk is full or fails
        failure = sqlite3.OperationalError("disk I/O error")
        failure.sqlite_errorname = "SQLITE_IOERR_WRITE"
        raise failure

    held = asyncio.create_task(notebook.write("held", hold))
    await asyncio.to_thread(reached.wait, 30)
    batch = [
        asyncio.create_task(notebook.write("before")),
        asyncio.create_task(notebook.store.write(notebook.caller, RequestContext(), lose)),
        asyncio.create_task(notebook.write("after")),
    ]
    await asyncio.sleep(0)
    opened.set()
    assert await held == "held"
    answers = await asyncio.gather(*batch, return_exceptions=True)
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert "disk I/O error" in str(answers[0])
    assert await notebook.write("later") == "later"
    assert notebook.texts() == {"held", "later"}
    assert notebook.is_consistent()


@on_sqlite
async def test_a_piece_that_spoils_the_commit_fails_alone(notebook: Notebook) -> None:
    def overlook(tx: Transaction) -> None:
        driver = tx.connection.connection.driver_connection
        assert driver is not None
        driver.execute("ROLLBACK")

    def emit_what_no_log_can_hold(tx: Transaction) -> None:
        tx.emit(NewEvent("test.note", "\ud800", NoteWritten(text="unspeakable")))

    for spoil in (overlook, emit_what_no_log_can_hold):
        name = spoil.__name__
        reached, opened = threading.Event(), threading.Event()

        def hold(reached: threading.Event = reached, opened: threading.Event = opened) -> None:
            reached.set()
            assert opened.wait(30)

        held = asyncio.create_task(notebook.write(f"held for {name}", hold))
        await asyncio.to_thread(reached.wait, 30)
        tries = [
            asyncio.create_task(notebook.write(f"before {name}")),
            asyncio.create_task(notebook.store.write(notebook.caller, RequestContext(), spoil)),
            asyncio.create_task(notebook.write(f"after {name}")),
        ]
        await asyncio.sleep(0)
        opened.set()
        answers = await asyncio.gather(held, *tries, return_exceptions=True)
        assert isinstance(answers[2], RuntimeError)
        assert {answer for answer in answers if isinstance(answer, str)} <= notebook.texts()
        assert sum(isinstance(answer, str) for answer in answers) == 3
    assert notebook.is_consistent()


@on_sqlite
def test_a_damaged_database_is_told_as_unavailable(notebook: Notebook, settings: Settings) -> None:
    notebook.store.close()
    database = settings.data / folder.DATABASE
    os.truncate(database, 5_000)
    with pytest.raises(Unavailable) as told:
        notebook.reopened()
    assert "repomesh restore" in told.value.hint
