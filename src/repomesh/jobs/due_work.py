"""Due work: which operations have something to do in which workspaces, by a few queries over all of them.

Nothing visits a workspace in which nothing is due, however many there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from repomesh.domains.workspaces.operations import workspace_ids
from repomesh.kernel.identity import system_caller
from repomesh.kernel.operation import Due, Operation
from repomesh.store.base import Store
from repomesh.store.prepared import Prepared
from repomesh.store.transaction import Transaction

Visit = tuple[str, str]
"""(workspace id, name of the operation that has something to do there)."""


@dataclass(slots=True)
class DueVisits:
    """What a look found: `found_again` comes up in each look until it is done, `found_once` may not."""

    found_again: set[Visit] = field(default_factory=set)
    found_once: set[Visit] = field(default_factory=set)
    next_at: datetime | None = None


@dataclass(slots=True)
class _Query:
    """The due query of one operation, and when it ran last; None before the first time."""

    name: str
    due: Due
    statement: Prepared
    ran_at: datetime | None = None

    def is_wanted(self, now: datetime, *, changed: bool) -> bool:
        if self.ran_at is None or not self.is_found_once or (changed and self.due.on_change):
            return True
        return now - self.ran_at >= timedelta(seconds=self.due.every_s)

    @property
    def is_found_once(self) -> bool:
        return self.due.every_s > 0


class DueWork:
    """Looks for what is due for some operations, up to `ahead_s` seconds ahead."""

    def __init__(self, operations: Iterable[Operation], store: Store, ahead_s: float) -> None:
        self._store = store
        self._ahead = timedelta(seconds=ahead_s)
        self._queries = [
            _Query(operation.name, due, Prepared(due.statement(store.settings)))
            for operation in operations
            for due in operation.due
        ]
        self._changed = True

    def note_change(self) -> None:
        """A log has grown, so that a command may have left something to do."""
        self._changed = True

    def forget(self) -> None:
        """Have the next look run every query."""
        for query in self._queries:
            query.ran_at = None

    async def look(self) -> DueVisits:
        """What is due now, and when the next thing will be; None when nothing is within `ahead_s`.

        Workspaces that were removed and closed are left out.
        """
        changed, self._changed = self._changed, False
        try:
            found, ran, now = await self._store.read(system_caller(""), lambda tx: self._read(tx, changed))
        except BaseException:
            self._changed = self._changed or changed
            raise
        for query in ran:
            query.ran_at = now
        return found

    def _read(self, tx: Transaction, changed: bool) -> tuple[DueVisits, list[_Query], datetime]:
        look = DueVisits()
        ran = [query for query in self._queries if query.is_wanted(tx.now, changed=changed)]
        for query in ran:
            into = look.found_once if query.is_found_once else look.found_again
            for workspace_id, due_at in self._rows(tx, query.statement):
                if due_at <= tx.now:
                    into.add((workspace_id, query.name))
                elif look.next_at is None or due_at < look.next_at:
                    look.next_at = due_at
        self._leave_out_closed(tx, look)
        return look, ran, tx.now

    def _rows(self, tx: Transaction, statement: Prepared) -> list[Any]:
        return list(tx.execute(statement, {"now": tx.now, "until": tx.now + self._ahead}).all())

    def _leave_out_closed(self, tx: Transaction, look: DueVisits) -> None:
        named = {workspace_id for workspace_id, _ in look.found_again | look.found_once}
        if named:
            kept = set(workspace_ids(tx, named))
            look.found_again = {visit for visit in look.found_again if visit[0] in kept}
            look.found_once = {visit for visit in look.found_once if visit[0] in kept}
