"""Changes through a running server: how soon they land, what checks add, and a queue that is full.

Beside each stands the same work in a reused work tree: `git cherry-pick`, and the check behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from bench.databases import new_database
from bench.load import Figures
from bench.messages import register
from bench.queue_client import QueueClient, Submitted, all_at_once, queue_client
from bench.report import Report
from bench.repositories import Changes, cherry_pick_ms, git, make
from bench.servers import Running, repomesh

FILES = 5_000
LANDINGS, CHECKED_OUT, WAITING, CHECKED, PICKS = 150, 60, 250, 60, 20
LANDED_MS, PLANNED_S = 50.0, 1.0
CHECK = "true"
_CHECKS_AT_ONCE = 2
_CONFIGURATION = """[queue]
verify = "{verify}"
checks_at_once = {at_once}
sandbox = "off"
[[checks]]
name = "nothing"
command = "{check}"
"""


def measure(report: Report, folder: Path) -> None:
    """Without checks on both engines; with checks on SQLite."""
    folder.mkdir(parents=True)
    changes = make(folder / "sqlite", FILES, LANDINGS + WAITING + CHECKED_OUT)
    with repomesh(changes.path / ".repomesh") as server:
        _without_checks(report, server, changes, "SQLite")
        _checked_out(report, server, changes)
    with new_database() as url:
        if url is not None:
            changes = make(folder / "postgresql", FILES, LANDINGS + WAITING)
            with repomesh(changes.path / ".repomesh", database_url=url) as server:
                _without_checks(report, server, changes, "PostgreSQL")
    for verify in ("each", "batch"):
        _with_checks(report, folder / verify, verify)


def _without_checks(report: Report, server: Running, changes: Changes, engine: str) -> None:
    token = register(server, "author")
    before_mb = server.resident_mb()
    one_by_one, full = changes.branches[:LANDINGS], changes.branches[LANDINGS : LANDINGS + WAITING]
    pick_ms = cherry_pick_ms(changes, PICKS)
    landed = asyncio.run(_one_by_one(server, token, one_by_one))
    name = f"submit to landed on {engine}, {FILES:,} files"
    report.bound(f"{name}, p50", landed.p50_ms, "ms", LANDED_MS, "cherry-pick", pick_ms)
    report.bound(f"{name}, p95", landed.p95_ms, "ms", LANDED_MS, "cherry-pick", pick_ms)
    waiting_mb = server.resident_mb()
    planned_s, per_s = asyncio.run(_full_queue(server, token, full))
    report.bound(f"{WAITING} waiting changes planned on {engine}", planned_s, "s", PLANNED_S)
    report.add(f"landings of a full queue on {engine}", per_s, "/s", "cherry-pick", 1e3 / pick_ms)
    report.note(f"resident memory on {engine}, before any change", before_mb, "MB")
    report.note(f"resident memory on {engine}, before {WAITING} changes", waiting_mb, "MB")
    report.note(f"resident memory on {engine}, behind {WAITING} changes", server.resident_mb(), "MB")


def _checked_out(report: Report, server: Running, changes: Changes) -> None:
    """The same with the target checked out, so that git moves a work tree of the user's with each landing."""
    git(changes.path, "checkout", "-q", "main")
    token = register(server, "author-of-work-tree")
    landed = asyncio.run(_one_by_one(server, token, changes.branches[LANDINGS + WAITING :]))
    name = "submit to landed with the target checked out"
    report.note(f"{name}, p50", landed.p50_ms, "ms")
    report.note(f"{name}, p95", landed.p95_ms, "ms")


async def _one_by_one(server: Running, token: str, branches: Sequence[str]) -> Figures:
    """The time from each submission to its landing; the first one, for which libraries load, is left out."""
    async with queue_client(server, token) as client:
        await client.landed([await client.submit(branches[0])])
        taken: list[float] = []
        for branch in branches[1:]:
            change = await client.submit(branch)
            [landed] = await client.landed([change])
            taken.append(landed - change.begun)
    return Figures.of(taken, sum(taken))


async def _full_queue(server: Running, token: str, branches: Sequence[str]) -> tuple[float, float]:
    """Seconds until the first of many waiting changes is built, and how many a second land then."""
    async with queue_client(server, token) as client:
        begun, changes = await all_at_once(client, branches)
        planned = min([await client.follower.until("change.building", change.id) for change in changes])
        landed = await client.landed(changes)
    return planned - begun, len(changes) / (max(landed) - begun)


def _with_checks(report: Report, folder: Path, verify: str) -> None:
    """What a check that does nothing adds to a landing: in a full queue, and one at a time."""
    configuration = _CONFIGURATION.format(verify=verify, at_once=_CHECKS_AT_ONCE, check=CHECK)
    changes = make(folder, FILES, 2 * CHECKED, {"repomesh.toml": configuration})
    floor_ms = cherry_pick_ms(changes, PICKS, ["/bin/sh", "-c", CHECK])
    with repomesh(changes.path / ".repomesh") as server:
        one, full = asyncio.run(_beyond_checks(server, register(server, "author"), changes.branches))
    name = f"queue beyond the check, verify = {verify}"
    beside = "cherry-pick and check"
    report.add(f"{name}, one at a time, p50", one.p50_ms, "ms", beside, floor_ms)
    report.add(f"{name}, one at a time, p95", one.p95_ms, "ms", beside, floor_ms)
    report.add(f"{name}, a landing of a full queue", full, "ms", beside, floor_ms)


async def _beyond_checks(server: Running, token: str, branches: Sequence[str]) -> tuple[Figures, float]:
    """Of one at a time, and of each landing in a full queue: the time without that of the check itself."""
    async with queue_client(server, token) as client:
        await client.landed([await client.submit(branches[0])])
        beyond: list[float] = []
        for branch in branches[1:CHECKED]:
            change = await client.submit(branch)
            [landed] = await client.landed([change])
            beyond.append(landed - change.begun - await _check_s(client, [change]))
        begun, changes = await all_at_once(client, branches[CHECKED:])
        elapsed = max(await client.landed(changes)) - begun
        elapsed -= await _check_s(client, changes) / _CHECKS_AT_ONCE
    return Figures.of(beyond, sum(beyond)), elapsed / len(changes) * 1e3


async def _check_s(client: QueueClient, changes: Sequence[Submitted]) -> float:
    """How long the checks of some changes ran; those of a tree once."""
    ran: dict[str, float] = {}
    for change in changes:
        ran |= {check["tree"]: check["seconds"] for check in (await client.shown(change))["checks"]}
    return sum(ran.values())
