"""Generated histories of changes, landed by real servers that are killed at random, against a serial oracle.

`make faults` lands 1,000 changes on 5,000 files; the suite a few dozen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import databases
from fault.landings import campaigns, evidence
from fault.landings.plans import make_plan
from fault.landings.workshop import Workshop
from fault.running import AT_FULL_SIZE, Forked, Process

pytestmark = pytest.mark.fault

SEED = 14
FILES, CHANGES = (5_000, 1_000) if AT_FULL_SIZE else (300, 40)
KILLS = campaigns.Kills(every_s=2.0) if AT_FULL_SIZE else campaigns.Kills(every_events=60, count_max=3)
LIMIT_S = 3_600.0 if AT_FULL_SIZE else 240.0
ALONE_MIN = 0.95


@contextmanager
def running(folders: Sequence[Path], work: Path, database_url: str | None) -> Iterator[list[Process]]:
    """Servers of one repository, each with a data folder of its own."""
    servers: list[Process] = [
        Forked(
            folder,
            database_url,
            work=work,
            agent_inactive_after_s=86_400,
            messages_per_minute=1_000_000,
        )
        for folder in folders
    ]
    try:
        for server in servers:
            server.start()
        yield servers
    finally:
        for server in servers:
            server.stop()


def land(
    tmp_path: Path, kills: campaigns.Kills | None, *, servers: int = 1, database_url: str | None = None
) -> campaigns.Outcome:
    """Play the plan, check all that came of it, and print the figures."""
    plan = make_plan(SEED, FILES, CHANGES)
    workshop = Workshop.begin(tmp_path / "repository", plan.files)
    folders = [tmp_path / f"data-{number}" for number in range(servers)]
    with running(folders, workshop.path, database_url) as processes:
        outcome = campaigns.play(plan, workshop, processes, kills=kills, limit_s=LIMIT_S)
        print(f"\n{outcome}")
        evidence.check(outcome)
    assert outcome.alone > ALONE_MIN
    return outcome


def test_changes_land_as_by_one_author_after_another(tmp_path: Path) -> None:
    land(tmp_path, None)


def test_they_do_when_the_server_is_killed_every_two_seconds(tmp_path: Path) -> None:
    assert land(tmp_path, KILLS).kills


def test_they_do_with_two_servers_of_which_one_is_killed_at_a_time(
    tmp_path: Path, postgres_admin: Any
) -> None:
    with databases.new_database(postgres_admin) as url:
        assert land(tmp_path, KILLS, servers=2, database_url=url).kills
