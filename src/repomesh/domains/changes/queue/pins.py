"""Finds submitted commits that need not be kept any more, and forgets old results of checks."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select, tuple_

from repomesh.domains.changes import rules
from repomesh.domains.changes.queue.processing_models import FindPins, FoundPins
from repomesh.domains.changes.tables import change_checks, changes, check_results
from repomesh.kernel import limits
from repomesh.kernel.ids import first_id_at
from repomesh.kernel.operation import Empty, command, query
from repomesh.store.transaction import Transaction

_table = changes.c
_ENDED = frozenset({"landed", *rules.TAKEN_OUT})


@query("queue.find_pins", scope="changes:admin")
def find_pins(tx: Transaction, request: FindPins) -> FoundPins:
    """Of some changes, those that ended long ago, and those that were never submitted.

    A commit is pinned before its submission is written, so the newest without a change may still get one.
    """
    statement = select(_table.id, _table.state, _table.updated_at).where(
        _table.workspace_id == tx.workspace_id, _table.id.in_(request.change_ids)
    )
    known = {row.id: row for row in tx.execute(statement)}
    ended_before = tx.now - timedelta(seconds=limits.QUEUE_PINS_KEPT_S)
    orphaned_at = tx.now - timedelta(seconds=limits.QUEUE_PIN_ORPHANS_KEPT_S)
    newest_orphan = first_id_at(int(orphaned_at.timestamp() * 1_000))
    unneeded = [
        change_id
        for change_id in request.change_ids
        if (
            change_id < newest_orphan
            if (row := known.get(change_id)) is None
            else row.state in _ENDED and row.updated_at < ended_before
        )
    ]
    return FoundPins(unneeded=unneeded)


@command("queue.forget_checks", scope="changes:admin")
def forget_checks(tx: Transaction, request: Empty) -> Empty:
    """Delete the oldest results of checks that are kept for long enough: CHECK_RESULTS_FORGOTTEN_MAX at most.

    A tree that comes again after that is checked again.
    """
    result = check_results.c
    before = tx.now - timedelta(seconds=limits.CHECK_RESULTS_KEPT_S)
    statement = (
        select(result.tree, result.check_key)
        .where(result.workspace_id == tx.workspace_id, result.at < before)
        .order_by(result.at)
        .limit(limits.CHECK_RESULTS_FORGOTTEN_MAX)
    )
    keys = [(row.tree, row.check_key) for row in tx.execute(statement)]
    if keys:
        of_links, of_results = (
            delete(table).where(
                table.c.workspace_id == tx.workspace_id, tuple_(table.c.tree, table.c.check_key).in_(keys)
            )
            for table in (change_checks, check_results)
        )
        tx.execute(of_links)
        tx.execute(of_results)
    return Empty()
