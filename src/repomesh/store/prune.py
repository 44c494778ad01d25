"""Pruning: old events move from the log to an archive file, which is written before the transaction."""

from __future__ import annotations

import gzip
import os
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Row, delete, select, update

from repomesh.kernel.errors import DamagedRecord, Unavailable
from repomesh.kernel.limits import PAGE_CHARS_MAX, PRUNE_CHARS_MAX, PRUNE_EVENTS_MAX
from repomesh.kernel.private_files import create_draft
from repomesh.store import drafts
from repomesh.store.damage import log_once
from repomesh.store.log import (
    bounds,
    cloud_event,
    event_data,
    event_fields,
    event_name,
    raw_fields,
    within_bytes,
)
from repomesh.store.paging import take
from repomesh.store.redacting import redacted_count
from repomesh.store.tables import counters, events
from repomesh.store.transaction import Transaction
from repomesh.store.types import Unreadable

ARCHIVE = "archive"
"""The folder of the archives in the data folder."""

DAMAGED_TYPE = "damaged_event"
"""The type of an event that can't be read in an archive, which holds its row as data."""

_CHUNK = 500  # rows read at once


@dataclass(frozen=True, slots=True)
class PruneResult:
    """How many events went to which file, where the log begins now, and whether that was all."""

    events: int
    path: Path | None
    oldest_seq: int
    complete: bool


@dataclass(frozen=True, weakref_slot=True, slots=True)
class ArchivedEvents:
    """The oldest events of a log, in a file on disk that has no final name yet.

    `count` events from `oldest_seq` on are in `draft`, `redacted` of them without their data; `complete` says
    whether these are all that are older than asked for. The draft is removed with this object.
    """

    oldest_seq: int
    count: int
    complete: bool
    redacted: int
    draft: Path


def archive_events(tx: Transaction, before: datetime | int, archive: Path) -> ArchivedEvents:
    """Write the oldest events, up to `before` or to the bounds of one call, to a new file in `archive`.

    The file holds CloudEvents, one a line, gzipped; of an event that can't be read it holds the row. Only
    reads the log, so that no writer waits. Raises Unavailable when the file can't be written.
    """
    oldest, _last = bounds(tx.connection, tx.workspace_id)
    try:
        archive.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft, descriptor = create_draft(archive / f"{oldest:012d}")
        try:
            count, complete = _write_archive(tx, oldest, before, descriptor)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Unavailable(f"the archive can't be written: {error}") from error
    archived = ArchivedEvents(oldest, count, complete, redacted_count(tx, oldest, oldest + count), draft)
    weakref.finalize(archived, draft.unlink, missing_ok=True)
    return archived


def remove_archived(tx: Transaction, archived: ArchivedEvents) -> PruneResult:
    """Give the file its name and delete its events from the log.

    Changes nothing when the log changed since the file was written: another call moved events, or some of
    them were redacted. When the transaction fails after all, the file is written again under the same name.
    Raises Unavailable when the file can't get its name.
    """
    oldest, _last = bounds(tx.connection, tx.workspace_id)
    begins = archived.oldest_seq + archived.count
    if archived.oldest_seq != oldest or archived.redacted != redacted_count(tx, oldest, begins):
        return PruneResult(0, None, oldest, complete=False)
    if archived.count == 0:
        return PruneResult(0, None, oldest, complete=True)
    path = archived.draft.with_name(f"{oldest:012d}-{begins - 1:012d}.ndjson.gz")
    try:
        archived.draft.replace(path)
        drafts.sync_folder(path.parent)
    except OSError as error:
        raise Unavailable(f"the archive can't be written: {error}") from error
    in_workspace = events.c.workspace_id == tx.workspace_id
    tx.execute(delete(events).where(in_workspace, events.c.seq < begins))
    tx.execute(update(counters).where(counters.c.workspace_id == tx.workspace_id).values(oldest_seq=begins))
    return PruneResult(archived.count, path, begins, archived.complete)


def _write_archive(tx: Transaction, oldest: int, before: datetime | int, descriptor: int) -> tuple[int, bool]:
    """Write the events to a new file and sync it; returns how many, and whether none is left to move."""
    count = chars = 0
    with os.fdopen(descriptor, "r+b", closefd=False) as raw:
        with gzip.open(raw, "wb", compresslevel=6) as file:
            timeless: list[bytes] = []  # events without a time: as old as the next one that has any
            for row in _read_events(tx, oldest):
                is_older = _is_older(row, before)
                if is_older is False:
                    complete = True
                    break
                if count + len(timeless) >= PRUNE_EVENTS_MAX or chars >= PRUNE_CHARS_MAX:
                    complete = False
                    break
                lines = [*timeless, _archive_line(tx, row)]
                if is_older is None:
                    timeless = lines
                    continue
                timeless = []
                file.writelines(lines)
                count += len(lines)
                chars += sum(map(len, lines))
            else:
                complete = True
        raw.flush()
        os.fsync(raw.fileno())
    return count, complete


def _read_events(tx: Transaction, first_seq: int) -> Iterator[Row[Any]]:
    """The events from `first_seq` on, in order."""
    while True:
        in_range = events.c.workspace_id == tx.workspace_id, events.c.seq >= first_seq
        ordered = select(events).where(*in_range).order_by(events.c.seq).limit(_CHUNK + 1)
        sized = within_bytes(tx.connection, ordered, events.c.seq, PAGE_CHARS_MAX)
        rows, has_more = take(tx.execute(sized), _CHUNK)
        yield from rows
        if not has_more:
            return
        first_seq = rows[-1].seq + 1


def _is_older(row: Row[Any], before: datetime | int) -> bool | None:
    """Whether an event is to be moved; None when its time can't be read."""
    if isinstance(before, int):
        return bool(row.seq < before)
    return None if isinstance(row.at, Unreadable) else bool(row.at < before)


def _archive_line(tx: Transaction, row: Row[Any]) -> bytes:
    """An event as a line of the archive; of an event that can't be read, its row."""
    try:
        event_data(row)
        line = orjson.dumps(cloud_event(event_fields(row), tx.workspace_id))
    except (DamagedRecord, TypeError) as error:  # TypeError: bytes in place of a text
        log_once(tx.workspace_id, event_name(row.seq), str(error))
        line = orjson.dumps(_damaged_event(row, tx.workspace_id))
    return line + b"\n"


def _damaged_event(row: Row[Any], workspace_id: str) -> dict[str, Any]:
    """A CloudEvent that holds a row that can't be read, column by column."""
    return {
        "specversion": "1.0",
        "id": f"{workspace_id}/{row.seq}",
        "source": f"/v1/workspaces/{workspace_id}",
        "type": f"repomesh.{DAMAGED_TYPE}",
        "datacontenttype": "application/json",
        "data": raw_fields(row),
        "seq": row.seq,
    }
