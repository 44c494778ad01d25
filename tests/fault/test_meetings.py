"""kill -9 at every step of a meeting of two rounds: it ends as one that nobody disturbed.

A step's server is killed before the step is committed, before it is answered, and after that; at a deadline
also so early that the time runs out while no server runs. `make faults` does all of them, the suite five.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import databases
from fault.meeting import FIVE, KILLS, SWEEP_EVERY_S, Kill, Meeting, TooSlow
from fault.outside import Outside
from fault.running import AT_FULL_SIZE, Forked
from repomesh.kernel.settings import Settings
from repomesh.store import folder

pytestmark = pytest.mark.fault

AT_ONCE = 6  # each waits for deadlines most of the time
TIMEOUT_S = 4.0
TRIES = 4  # each gives the meeting twice the time, should the machine be so slow


class Places:
    """Gives each meeting a folder and a database of its own, with the newest schema and nothing in it."""

    def __init__(self, folder_: Path, migrated: Path, database: Callable[[], Any] | None) -> None:
        self._folder, self._migrated, self._database = folder_, migrated, database
        self._numbers = count()

    @contextmanager
    def place(self) -> Iterator[Settings]:
        data = self._folder / f"place-{next(self._numbers)}"
        folder.prepare(data)
        with ExitStack() as stack:
            url = None if self._database is None else stack.enter_context(self._database())
            if url is None:
                shutil.copy(self._migrated, data / folder.DATABASE)
            yield Settings(data=data, database_url=url)
        shutil.rmtree(data)


@pytest.fixture
def places(request: pytest.FixtureRequest, engine: str, tmp_path: Path) -> Iterator[Places]:
    migrated = request.getfixturevalue("migrated_file")
    if engine == "sqlite":
        yield Places(tmp_path, migrated, None)
        return
    admin = request.getfixturevalue("postgres_admin")
    with databases.migrated_template(admin, tmp_path) as template:
        yield Places(tmp_path, migrated, partial(databases.new_database, admin, template))


def held(places: Places, kill: Kill | None) -> dict[str, Any]:
    """What came of a meeting whose server was killed at one step, or never."""
    for tried in range(TRIES):
        with places.place() as settings:
            server = Forked(
                settings.data,
                settings.database_url,
                sweep_every_s=SWEEP_EVERY_S,
                agent_inactive_after_s=3_600,
            )
            server.start()
            try:
                outcome = Meeting(server, Outside(settings), TIMEOUT_S * 2**tried).hold(kill)
            except TooSlow as late:
                print(f"held again with more time, as this machine is slow: {late}")
                continue
            finally:
                server.stop()
            assert_log_is_whole(Outside(settings))
            return outcome
    raise AssertionError(f"this machine is too slow for a meeting with {TIMEOUT_S * 2**TRIES:g} s a turn")


def assert_log_is_whole(outside: Outside) -> None:
    seqs = outside.column("SELECT seq FROM events ORDER BY seq")
    assert seqs == list(range(1, len(seqs) + 1))
    assert outside.column("SELECT max(last_seq) FROM counters") == [len(seqs)]


def test_a_meeting_ends_alike_wherever_its_server_is_killed(places: Places) -> None:
    kills = KILLS if AT_FULL_SIZE else FIVE
    with ThreadPoolExecutor(AT_ONCE) as pool:
        undisturbed, *outcomes = [pool.submit(held, places, kill) for kill in (None, *kills)]
        expected = undisturbed.result()
        assert expected["end"][:3] == ["completed", "consensus", 2]
        for kill, outcome in zip(kills, outcomes, strict=True):
            assert outcome.result() == expected, f"killed at step {kill}"
            print(f"killed at step {kill}: ended alike")
