"""Pruning: what leaves the log is in the archive first, whole and once."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import literal, select

from repomesh.app import Server
from repomesh.kernel.errors import Unavailable
from repomesh.kernel.identity import system_caller
from repomesh.kernel.ids import new_id
from repomesh.kernel.operation import Model
from repomesh.store.log import NewEvent, bounds, read_after
from repomesh.store.prune import ArchivedEvents, PruneResult, archive_events, remove_archived
from repomesh.store.redacting import redact_events
from repomesh.store.transaction import Transaction, open_counters


class Count(Model):
    """Data of the test's events."""

    number: int


class Log:
    """A workspace's log of seven events, and its archive."""

    def __init__(self, server: Server, archive: Path) -> None:
        self.store = server.store
        self.archive = archive
        self.caller = system_caller(new_id())
        self.store.write_now(self.caller, lambda tx: open_counters(tx, self.caller.workspace_id))
        for number in range(1, 8):
            event = NewEvent("test", "test", Count(number=number))
            self.store.write_now(self.caller, lambda tx, event=event: tx.emit(event))

    def prune(self, before: int) -> PruneResult:
        archived = self.archive_events(before)
        return self.store.write_now(self.caller, lambda tx: remove_archived(tx, archived))

    def archive_events(self, before: int) -> ArchivedEvents:
        return self.store.read_now(self.caller, lambda tx: archive_events(tx, before, self.archive))

    def numbers(self) -> list[int]:
        """What is still in the log."""
        workspace_id = self.caller.workspace_id
        rows = self.store.read_now(
            self.caller, lambda tx: read_after(tx.connection, workspace_id, 0, 1_000).events
        )
        return [event.seq for event in rows]

    def oldest(self) -> int:
        return self.store.read_now(self.caller, lambda tx: bounds(tx.connection, self.caller.workspace_id))[0]

    def archived(self) -> list[dict[str, Any]]:
        """What the archive's files hold, in the order of their names."""
        return [
            json.loads(line)
            for path in sorted(self.archive.glob("*.ndjson.gz"))
            for line in gzip.decompress(path.read_bytes()).splitlines()
        ]


@pytest.fixture
def log(server: Server, tmp_path: Path) -> Log:
    return Log(server, tmp_path / "archive")


def test_one_call_moves_a_bounded_number_and_the_next_goes_on(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("repomesh.store.prune.PRUNE_EVENTS_MAX", 2)
    moved = [log.prune(before=6) for _ in range(4)]
    assert [(piece.events, piece.oldest_seq, piece.complete) for piece in moved] == [
        (2, 3, False),
        (2, 5, False),
        (1, 6, True),
        (0, 6, True),
    ]
    assert log.numbers() == [6, 7]
    assert [event["data"]["number"] for event in log.archived()] == [1, 2, 3, 4, 5]
    assert {path.stat().st_mode & 0o777 for path in log.archive.iterdir()} == {0o600}


def test_everything_may_leave_and_the_numbers_go_on(log: Log) -> None:
    log.prune(before=100)
    assert (log.numbers(), log.oldest()) == ([], 8)
    event = NewEvent("test", "test", Count(number=8))
    log.store.write_now(log.caller, lambda tx: tx.emit(event))
    assert log.numbers() == [8]


def test_nothing_leaves_when_the_archive_can_not_be_written(log: Log) -> None:
    log.archive.write_text("not a folder")
    with pytest.raises(Unavailable):
        log.prune(before=6)
    assert (log.numbers(), log.oldest()) == ([1, 2, 3, 4, 5, 6, 7], 1)


def test_a_transaction_that_fails_after_the_file_leaves_the_log_as_it_was(
    log: Log,
) -> None:
    archived = log.archive_events(before=6)

    def work(tx: Transaction) -> None:
        remove_archived(tx, archived)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        log.store.write_now(log.caller, work)
    assert log.numbers() == [1, 2, 3, 4, 5, 6, 7]
    log.prune(before=6)
    assert [event["data"]["number"] for event in log.archived()] == [1, 2, 3, 4, 5]


def test_of_two_calls_at_once_one_moves_the_events(log: Log) -> None:
    first, second = log.archive_events(before=4), log.archive_events(before=6)
    results = [
        log.store.write_now(log.caller, lambda tx, archived=archived: remove_archived(tx, archived))
        for archived in (first, second)
    ]
    assert [(result.events, result.complete) for result in results] == [(3, True), (0, False)]
    log.prune(before=6)
    del first, second
    assert [event["data"]["number"] for event in log.archived()] == [1, 2, 3, 4, 5]
    assert len(list(log.archive.iterdir())) == 2


def test_what_is_redacted_while_the_file_is_written_is_written_again(log: Log) -> None:
    archived = log.archive_events(before=6)
    subject = select(literal("test"))
    log.store.write_now(log.caller, lambda tx: redact_events(tx, ["test"], subject, reason="deleted"))
    assert log.store.write_now(log.caller, lambda tx: remove_archived(tx, archived)).events == 0
    log.prune(before=6)
    assert {event["data"]["redacted"] for event in log.archived()} == {True}
