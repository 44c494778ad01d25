"""Due work: finds the workspaces in which operations are due, by a few queries over all workspaces.

So workspaces in which nothing is due cost nothing, however many there are.
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
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

Visit = tuple[str, str]
"""(workspace id, name of the operation that is due there)."""


@dataclass(slots=True)
class DueVisits:
    """The visits that are due, and `next_at`, when the next one will be.

    Each look finds those in `from_every_look` until they are done, those in `from_throttled` perhaps once.
    """

    from_every_look: set[Visit] = field(default_factory=set)
    from_throttled: set[Visit] = field(default_factory=set)
    next_at: datetime | None = None


@dataclass(slots=True)
class _Query:
    """The due query of one operation, and when it ran last; None before the first time."""

    name: str
    due: Due
    statement: PreparedStatement
    ran_at: datetime | None = None

    def is_wanted(self, now: datetime, *, changed: bool) -> bool:
        if self.ran_at is None or not self.is_throttled or (changed and self.due.on_change):
            return True
        return now - self.ran_at >= timedelta(seconds=self.due.every_s)

    @property
    def is_throttled(self) -> bool:
        return self.due.every_s > 0


class DueWork:
    """Finds the due visits of some operations, and the time of the next one up to `ahead_s` seconds ahead."""

    def __init__(self, operations: Iterable[Operation], store: Store, ahead_s: float) -> None:
        self._store = store
        self._ahead = timedelta(seconds=ahead_s)
        self._queries = [
            _Query(operation.name, due, PreparedStatement(due.statement(store.settings)))
            for operation in operations
            for due in operation.due
        ]
        self._changed = True

    def note_change(self) -> None:
        """Note that a log has grown, so that queries with `on_change` run at the next look."""
        self._changed = True

    def forget(self) -> None:
        """Let the next look run every query."""
        for query in self._queries:
            query.ran_at = None

    async def look(self) -> DueVisits:
        """The visits that are due now, and when the next one will be; None if not within `ahead_s`.

        Workspaces that were removed and closed are left out.
        """
        changed, self._changed = self._changed, False
        try:
            visits, run_queries, now = await self._store.read(
                system_caller(""), lambda tx: self._run_queries(tx, changed)
            )
        except BaseException:
            self._changed = self._changed or changed
            raise
        for query in run_queries:
            query.ran_at = now
        return visits

    def _run_queries(self, tx: Transaction, changed: bool) -> tuple[DueVisits, list[_Query], datetime]:
        visits = DueVisits()
        run_queries = [query for query in self._queries if query.is_wanted(tx.now, changed=changed)]
        for query in run_queries:
            visit_set = visits.from_throttled if query.is_throttled else visits.from_every_look
            for workspace_id, due_at in self._due_rows(tx, query.statement):
                if due_at <= tx.now:
                    visit_set.add((workspace_id, query.name))
                elif visits.next_at is None or due_at < visits.next_at:
                    visits.next_at = due_at
        self._drop_closed_workspaces(tx, visits)
        return visits, run_queries, tx.now

    def _due_rows(self, tx: Transaction, statement: PreparedStatement) -> list[Any]:
        return list(tx.execute(statement, {"now": tx.now, "until": tx.now + self._ahead}).all())

    def _drop_closed_workspaces(self, tx: Transaction, visits: DueVisits) -> None:
        named_ids = {workspace_id for workspace_id, _ in visits.from_every_look | visits.from_throttled}
        if named_ids:
            open_ids = set(workspace_ids(tx, named_ids))
            visits.from_every_look = {visit for visit in visits.from_every_look if visit[0] in open_ids}
            visits.from_throttled = {visit for visit in visits.from_throttled if visit[0] in open_ids}
